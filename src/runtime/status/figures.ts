import { readFileSync } from "node:fs";
import nodePath from "node:path";
import type { ContainerStatus } from "../../contract/status.ts";

export type Figures = ContainerStatus["process"];

/** Of the times in /proc, whatever the kernel counts in itself. */
const TICKS_PER_SECOND = 100;
const MIB = 1024 * 1024;

/** How long a process has been there and what memory it holds; undefined where `proc` does not tell. */
export function figuresOf(pid: number, proc: string): Figures | undefined {
  const read = (...path: string[]) => textOf(nodePath.join(proc, ...path));
  // The name in front may hold anything, blanks and parentheses included.
  const stat = read(String(pid), "stat");
  const start = Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[START] || Number.NaN);
  const now = Number(read("uptime").split(" ")[0] || Number.NaN);
  const kilobytes = Number(/^VmRSS:\s+(\d+) kB/m.exec(read(String(pid), "status"))?.[1] ?? Number.NaN);
  if (!Number.isFinite(start) || !Number.isFinite(now) || !Number.isFinite(kilobytes)) return undefined;
  return figures(pid, now - start / TICKS_PER_SECOND, kilobytes * 1024);
}

/** The same of this process, as Node knows it everywhere. */
export function ownFigures(): Figures {
  return figures(process.pid, process.uptime(), process.memoryUsage.rss());
}

/** The field `starttime`, counted from behind the name. */
const START = 19;

function figures(pid: number, seconds: number, bytes: number): Figures {
  // Some containers are shown an uptime of their own beside times of the machine.
  return { pid, uptime_seconds: Math.max(0, Math.floor(seconds)), memory_mb: Math.round(bytes / MIB) };
}

/** Small files of /proc never wait for a disk. */
function textOf(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    // No such process, or not for us to see.
    return "";
  }
}
