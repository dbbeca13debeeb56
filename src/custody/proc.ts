import { readdirSync, readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { setImmediate, setTimeout } from "node:timers/promises";
import type { Marks, ProcessEntry, Processes } from "./processes.ts";
import { softLimitIn } from "./watermark.ts";

/**
 * Linux. Small files of /proc are read at once: that takes some 15 µs each and never waits for a disk,
 * while a promise for each would cost ten times as much. In between the event loop gets its turn.
 */
export const procProcesses: Processes = {
  async read(marks) {
    const table = new Map<number, ProcessEntry>();
    let count = 0;
    for (const name of processFolders()) {
      const entry = readEntry(Number(name));
      if (entry !== undefined) table.set(entry.pid, entry);
      if (++count % AT_ONCE === 0) await setImmediate();
    }
    await addMarks(table, marks);
    return table;
  },
  startOf: (pid) => readEntry(pid)?.start,
  memoryOf: async (pids) => pids.map(residentBytes).reduce((sum, bytes) => sum + bytes, 0),
};

/** Whether /proc is there and tells of other processes. */
export function hasProc(): boolean {
  return process.platform === "linux" && readEntry(process.pid) !== undefined;
}

/** Processes looked at in one turn of the event loop. */
const AT_ONCE = 50;
/** Longest wait for environments, which can be kept back for as long as the memory of a process is locked. Milliseconds. */
const ENVIRONMENTS_MS = 500;

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

async function addMarks(table: Map<number, ProcessEntry>, marks: Marks): Promise<void> {
  const young = [...table.values()].filter((entry) => entry.start >= marks.since && entry.pid !== process.pid);
  const { watermark } = marks;
  if (watermark === undefined) {
    const patience = new AbortController();
    const all = Promise.all(young.map(async (entry) => (entry.mark = await variableOf(entry.pid, marks.variable))));
    // Rejects when it is no longer needed.
    await Promise.race([all, setTimeout(ENVIRONMENTS_MS, undefined, { signal: patience.signal }).catch(() => undefined)]);
    patience.abort();
    return;
  }
  // Where limits tell, no environment has to be read.
  let count = 0;
  for (const entry of young) {
    const limit = softLimitIn(textOf(entry.pid, "limits"));
    if (limit?.startsWith(watermark) === true) entry.mark = limit;
    if (++count % AT_ONCE === 0) await setImmediate();
  }
}

/** The value behind the beginning of a variable, as `<id of the custody>-<number>`. */
async function variableOf(pid: number, beginning: string): Promise<string | undefined> {
  let environment: string;
  try {
    environment = await readFile(`/proc/${pid}/environ`, "latin1");
  } catch {
    // Gone, or of another user.
    return undefined;
  }
  const variable = environment.split("\0").find((each) => each.startsWith(beginning));
  return variable?.slice(variable.indexOf("=") + 1);
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
