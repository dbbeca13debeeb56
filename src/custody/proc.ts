import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { setImmediate } from "node:timers/promises";
import { Environments } from "./environments.ts";
import type { Marks, ProcessEntry, Processes } from "./processes.ts";
import { softLimitIn } from "./watermark.ts";

/**
 * Linux, for one custody. Small files of /proc are read at once: that takes some 15 µs each and never
 * waits for a disk, while a promise for each would cost ten times as much. In between the event loop
 * gets its turn.
 */
export function procProcesses(): Processes {
  const environments = new Environments();
  return {
    async read(marks) {
      const table = new Map<number, ProcessEntry>();
      let count = 0;
      for (const name of processFolders()) {
        const entry = readEntry(Number(name));
        if (entry !== undefined) table.set(entry.pid, entry);
        if (++count % AT_ONCE === 0) await setImmediate();
      }
      environments.forget(table);
      await addMarks(table, marks, environments);
      return table;
    },
    startOf: (pid) => readEntry(pid)?.start,
    memoryOf: async (pids) => pids.map(residentBytes).reduce((sum, bytes) => sum + bytes, 0),
  };
}

/**
 * Whether /proc is there and tells of other processes. In a namespace of pids of its own a process may
 * still see the /proc of another one, where its numbers are those of strangers.
 */
export function hasProc(): boolean {
  try {
    return process.platform === "linux" && readlinkSync("/proc/self") === String(process.pid) && readEntry(process.pid) !== undefined;
  } catch {
    return false;
  }
}

/** Processes looked at in one turn of the event loop. */
const AT_ONCE = 50;

function processFolders(): string[] {
  try {
    return readdirSync("/proc").filter((name) => /^\d+$/.test(name));
  } catch {
    // Too many open files: the next look may see more.
    return [];
  }
}

/** A line of /proc/<pid>/stat; the name in it may hold anything, parentheses and newlines included. */
function readEntry(pid: number): ProcessEntry | undefined {
  const text = textOf(pid, "stat");
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  const [state, parent, group, session] = fields;
  const threads = Number(fields[17]);
  const start = Number(fields[19]);
  if (state === undefined || Number.isNaN(start)) return undefined;
  // A main thread that has ended looks like a zombie while the others run on.
  const isAlive = !"ZXx".includes(state) || threads > 1;
  return { pid, parent: Number(parent), group: Number(group), session: Number(session), start, isAlive, mark: undefined };
}

/** By watermark; a program that sets this limit itself, as players of sound do, is still told by its environment. */
async function addMarks(table: ReadonlyMap<number, ProcessEntry>, { since, variable, watermark }: Marks, environments: Environments): Promise<void> {
  const young = [...table.values()].filter((entry) => entry.start >= since && entry.pid !== process.pid);
  let count = 0;
  if (watermark !== undefined) {
    for (const entry of young) {
      const limit = softLimitIn(textOf(entry.pid, "limits"));
      if (limit?.startsWith(watermark) === true) entry.mark = limit;
      if (++count % AT_ONCE === 0) await setImmediate();
    }
  }
  const unmarked = young.filter((entry) => entry.mark === undefined);
  await environments.read(unmarked, variable);
  for (const entry of unmarked) entry.mark = environments.markOf(entry);
}

function residentBytes(pid: number): number {
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(textOf(pid, "status"))?.[1] ?? 0) * 1024;
}

function textOf(pid: number, file: string): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, "utf8");
  } catch {
    // It ended in the meantime.
    return "";
  }
}
