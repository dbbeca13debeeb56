import { execFile } from "node:child_process";
import { setTimeout as delay } from "node:timers/promises";
import type { Program, ProgramExit, Ward } from "./custody.ts";
import { membersOf, remembered } from "./members.ts";
import type { ProcessEntry, ProcessTable } from "./processes.ts";
import type { Spawned } from "./spawn.ts";

/** What a ward asks of its custody. */
export interface Keeper {
  /** A look at all processes that begins now; undefined when nothing can be seen at the moment. Never rejects. */
  look(): Promise<ProcessTable | undefined>;
  /** When the process of this pid was started; undefined where there is none, or no way to ask at once. */
  startOf(pid: number): number | undefined;
  /**
   * Called once, when the ward has come to its end; `left` says how many of its process groups could not
   * be ended. `isSure` is false when nobody could look for more than the group of the program.
   */
  ended(left: number, isSure: boolean): void;
}

/** SIGTERM to SIGKILL. Milliseconds. */
const GRACE_MS = 500;
/** Longest end of a ward. Milliseconds. */
const LONGEST_END_MS = 2000;
/** How long what a program left running may stay when nobody ends its ward. Milliseconds. */
const LEFTOVERS_MS = 1000;
/** Between two looks at processes that are about to end: first and longest. Milliseconds. */
const FIRST_NAP_MS = 5;
const LONGEST_NAP_MS = 100;
/** One look can miss a process whose parent ends while the list is read. */
const CLEAN_LOOKS = 2;
/** Until the first look has told when the program was started. */
const UNKNOWN_START = -1;

/** A running program and its tree. */
export class LiveWard implements Ward {
  readonly pid: number;
  readonly stdin: Spawned["stdin"];
  readonly stdout: Spawned["stdout"];
  readonly stderr: Spawned["stderr"];
  readonly exited: Promise<ProgramExit>;
  readonly program: Program;
  readonly startedAt = new Date().toISOString();
  /** Members that neither a mark nor the session of the program tells: they have to be remembered. Pids and starts. */
  strays: ReadonlyMap<number, number> = new Map();
  /** When the program was started, in the unit of the process table. */
  start: number;
  #hasExited = false;
  #leftovers: NodeJS.Timeout | undefined;
  readonly #keeper: Keeper;
  readonly #marks: ReadonlySet<string>;
  #seen: Map<number, number>;
  #killAt = Number.POSITIVE_INFINITY;
  #hurry = new AbortController();
  #ending: Promise<void> | undefined;

  /** `start` is that of the process table; undefined where the system does not tell at once. */
  constructor(child: Spawned, start: number | undefined, program: Program, marks: ReadonlySet<string>, keeper: Keeper) {
    this.pid = child.pid;
    this.stdin = child.stdin;
    this.stdout = child.stdout;
    this.stderr = child.stderr;
    this.program = program;
    this.#keeper = keeper;
    this.#marks = marks;
    this.start = start ?? UNKNOWN_START;
    this.#seen = new Map([[this.pid, this.start]]);
    this.exited = new Promise((resolve) => {
      child.once("exit", (code, signal) => {
        this.#hasExited = true;
        this.#wake();
        this.#leftovers = setTimeout(() => void this.end(), LEFTOVERS_MS).unref();
        resolve({ code, signal });
      });
    });
  }

  /** Takes note of the processes that are there, and returns those of this ward that are not zombies. */
  update(table: ProcessTable): ProcessEntry[] {
    if (this.start === UNKNOWN_START && !this.#hasExited) this.start = table.get(this.pid)?.start ?? UNKNOWN_START;
    this.#seen.set(this.pid, this.start);
    const members = membersOf(table, { marks: this.#marks, seen: this.#seen });
    this.#seen = remembered(table, members, this.#seen);
    const strays = members.filter((entry) => entry.mark === undefined && entry.session !== this.pid);
    this.strays = new Map(strays.map((entry) => [entry.pid, entry.start]));
    return members.filter((entry) => entry.isAlive);
  }

  end(graceMs = GRACE_MS): Promise<void> {
    this.#killAt = Math.min(this.#killAt, performance.now() + graceMs);
    this.#wake();
    this.#ending ??= process.platform === "win32" ? this.#endOnWindows() : this.#end();
    return this.#ending;
  }

  /** SIGKILL to whatever is known, within this call. */
  killNow(): void {
    for (const [pid, start] of this.#seen) {
      // A number that is another process by now is left alone.
      if ((this.#keeper.startOf(pid) ?? start) !== start) continue;
      if (pid === this.pid) signalGroup(pid, "SIGKILL");
      else signal(pid, "SIGKILL");
    }
  }

  async #end(): Promise<void> {
    const deadline = performance.now() + LONGEST_END_MS;
    const asked = new Set<number>();
    let groups = new Set(this.#hasExited ? [] : [this.pid]);
    this.#signal(groups, asked);
    let left = 0;
    let isSure = false;
    let nap = FIRST_NAP_MS;
    let isLast = false;
    for (let clean = 0; clean < CLEAN_LOOKS; ) {
      const table = await this.#keeper.look();
      isSure = table !== undefined;
      groups = table === undefined ? this.#groupsUnseen() : new Set(this.update(table).map((entry) => entry.group));
      if (!this.#hasExited) groups.add(this.pid);
      left = groups.size;
      clean = left === 0 ? clean + 1 : 0;
      if (isLast) break;
      // However late a look was: nothing is given up before it was killed and looked for once more.
      isLast = performance.now() >= deadline;
      if (isLast) this.#killAt = deadline;
      this.#signal(groups, asked);
      if (clean > 0) continue;
      await this.#nap(isLast ? LONGEST_NAP_MS : Math.min(nap, Math.max(this.#killAt - performance.now(), FIRST_NAP_MS)));
      nap = Math.min(nap * 2, LONGEST_NAP_MS);
    }
    this.#finish(left, isSure);
  }

  /** When nobody can look, the system still tells whether the group of the program is there. */
  #groupsUnseen(): Set<number> {
    return new Set(signal(-this.pid, 0) ? [this.pid] : []);
  }

  /**
   * A whole group at once, which gives no process the time to start another. Since the program leads a
   * session of its own, all groups of its descendants are only theirs.
   */
  #signal(groups: ReadonlySet<number>, asked: Set<number>): void {
    const isUrgent = performance.now() >= this.#killAt;
    for (const group of groups) {
      if (isUrgent) signalGroup(group, "SIGKILL");
      else if (!asked.has(group)) signalGroup(group, "SIGTERM");
      asked.add(group);
    }
  }

  /** The program and what it has started, as far as the parents are still there to tell. Not tested by us. */
  async #endOnWindows(): Promise<void> {
    const taskkill = new Promise<void>((resolve) => {
      execFile("taskkill", ["/T", "/F", "/PID", String(this.pid)], { timeout: LONGEST_END_MS, windowsHide: true }, () => resolve());
    });
    const patience = new AbortController();
    // The wait that is not over when the program exits is given up.
    const late = delay(LONGEST_END_MS, undefined, { signal: patience.signal }).catch(() => undefined);
    await Promise.race([Promise.all([taskkill, this.exited]), late]);
    patience.abort();
    this.#finish(this.#hasExited ? 0 : 1, true);
  }

  #finish(left: number, isSure: boolean): void {
    clearTimeout(this.#leftovers);
    // A process that got away may hold the other ends, so ours would never close by themselves.
    for (const stream of [this.stdin, this.stdout, this.stderr]) stream.destroy();
    this.#keeper.ended(left, isSure);
  }

  /** Ends early when the program exits or its end becomes urgent. */
  async #nap(milliseconds: number): Promise<void> {
    // Being woken is why this rejects.
    await delay(milliseconds, undefined, { signal: this.#hurry.signal }).catch(() => undefined);
    if (this.#hurry.signal.aborted) this.#hurry = new AbortController();
  }

  #wake(): void {
    if (this.#ending !== undefined) this.#hurry.abort();
  }
}

function signalGroup(group: number, name: NodeJS.Signals): void {
  // 0 and 1 would mean our own group, and everybody.
  if (group > 1) signal(process.platform === "win32" ? group : -group, name);
}

/** Whether there was anybody to get it; 0 only asks. */
function signal(pid: number, name: NodeJS.Signals | 0): boolean {
  try {
    process.kill(pid, name);
    return true;
  } catch (error) {
    // Gone already, or of another user.
    return error instanceof Error && "code" in error && error.code === "EPERM";
  }
}
