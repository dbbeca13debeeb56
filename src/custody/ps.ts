import { execFile } from "node:child_process";
import { promisify } from "node:util";
import type { Marks, ProcessEntry, Processes } from "./processes.ts";

/**
 * macOS and other systems without /proc, by way of `ps`. It tells of groups but not of sessions, and of
 * starts to the second. Environments are shown on macOS only, and not those of Apple's own programs: such
 * a process is lost when it leaves its group and its parent ends between two looks.
 */
export const psProcesses: Processes = {
  async read(marks) {
    const [listing, environments] = await Promise.all([
      ps(["-A", "-o", COLUMNS]),
      process.platform === "darwin" ? ps(["-A", "-E", "-ww", "-o", "pid=,command="]) : "",
    ]);
    const marked = marksIn(environments, marks);
    const entries = listing.split("\n").flatMap((line) => entryOf(line));
    return new Map(entries.map((entry) => [entry.pid, { ...entry, mark: marked.get(entry.pid) }]));
  },
  startOf: () => undefined,
  async memoryOf(pids) {
    const wanted = new Set(pids);
    const listing = await ps(["-A", "-o", "pid=,rss="]);
    if (listing === "") return undefined;
    const lines = listing.split("\n").map((line) => line.trim().split(/\s+/).map(Number));
    return lines.reduce((sum, [pid = 0, kilobytes = 0]) => (wanted.has(pid) ? sum + kilobytes * 1024 : sum), 0);
  },
};

const COLUMNS = "pid=,ppid=,pgid=,stat=,lstart=";
/** Longest run of ps; it takes 10 to 50. Milliseconds. */
const DEADLINE_MS = 1500;
const MOST_BYTES = 64 * 1024 * 1024;

/** What ps prints; nothing when it fails. */
async function ps(args: readonly string[]): Promise<string> {
  const env = { PATH: "/bin:/usr/bin", LC_ALL: "C" };
  try {
    return (await promisify(execFile)("ps", args, { env, timeout: DEADLINE_MS, maxBuffer: MOST_BYTES })).stdout;
  } catch {
    // Not there, too slow, or nothing can be started at the moment: the next look may see more.
    return "";
  }
}

/** `4711 1 4711 Ss Mon Jan  2 15:04:05 2026` */
function entryOf(line: string): ProcessEntry[] {
  const [pid, parent, group, state = "", ...start] = line.trim().split(/\s+/);
  if (start.length === 0) return [];
  return [
    {
      pid: Number(pid),
      parent: Number(parent),
      group: Number(group),
      session: Number(group),
      start: Date.parse(start.join(" ")),
      isAlive: !state.startsWith("Z"),
      mark: undefined,
    },
  ];
}

/** Lines of a pid, the command and its environment. */
function marksIn(lines: string, marks: Marks): Map<number, string> {
  const out = new Map<number, string>();
  for (const line of lines.split("\n")) {
    const at = line.indexOf(marks.variable);
    if (at >= 0) out.set(Number.parseInt(line, 10), line.slice(at).split(" ", 1)[0]?.split("=")[1] ?? "");
  }
  return out;
}
