import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";

/**
 * Linux: a mark that processes cannot lose by accident. Environments are replaced, sessions left,
 * parents die and descriptors are closed; resource limits are inherited through all of that. Each ward
 * gets a soft limit of its own on the time that a real-time thread may run without a pause: a number of
 * microseconds so large (30,000 years) that it limits nothing.
 *
 * Node cannot set a limit for a child. So it is set for this process, by prlimit of util-linux, just
 * before the child is started and inherits it. Whatever else this process starts inherits the mark of the
 * latest ward as well, so nothing but the programs of wards is looked for among its children.
 */
export class Watermarks {
  /** How those of this custody begin; undefined once it is known that there are none on this machine. */
  prefix: string | undefined;
  readonly #prlimit: string;
  #count = 0;
  /** The one that was set last. */
  #latest: string | undefined;
  /** Those that processes may carry. */
  readonly #inUse = new Set<string>();

  constructor(prlimit: string) {
    this.#prlimit = prlimit;
    const limit = ownLimit();
    // Not unlimited where another custody was here before, be it in a process that has started this one.
    if (limit === "unlimited" || isWatermark(limit)) this.prefix = `1${randomDigits(PREFIX_DIGITS)}`;
  }

  /**
   * One that nobody else carries: whatever is started before the next turn of the event loop does. It is
   * set by a run of prlimit unless the latest one is free again. Undefined where there are none. Rejects
   * when nothing can be started, or one that is in use would be inherited.
   */
  async next(): Promise<string | undefined> {
    if (this.prefix === undefined) return undefined;
    const latest = this.#latest;
    const mark = latest !== undefined && !this.#inUse.has(latest) && ownLimit() === latest ? latest : await this.#setNew(this.prefix);
    if (mark !== undefined) this.#inUse.add(mark);
    return mark;
  }

  /** No process carries it any more. */
  release(mark: string | undefined): void {
    if (mark !== undefined) this.#inUse.delete(mark);
  }

  async #setNew(prefix: string): Promise<string | undefined> {
    const mark = prefix + String(this.#count++ % 10 ** COUNT_DIGITS).padStart(COUNT_DIGITS, "0");
    for (let attempt = 0; attempt < MOST_ATTEMPTS; attempt++) {
      await this.#set(mark);
      // Asked, not believed: another custody of this process may have set one of its own.
      if (ownLimit() === mark) {
        this.#latest = mark;
        return mark;
      }
      if (!isWatermark(ownLimit())) break;
    }
    if (this.#latest !== undefined) throw Object.assign(new Error("the watermark could not be set"), { code: "EAGAIN" });
    this.prefix = undefined;
    return undefined;
  }

  /** Resolves when prlimit has ended, well or not, or is not there. Rejects when nothing can be started at the moment. */
  #set(mark: string): Promise<void> {
    return new Promise((resolve, reject) => {
      const child = spawn(this.#prlimit, ["--pid", String(process.pid), `--rttime=${mark}:`], {
        stdio: "ignore",
        env: { PATH: "/usr/bin:/bin:/usr/sbin:/sbin:/run/current-system/sw/bin" },
        timeout: DEADLINE_MS,
        killSignal: "SIGKILL",
      });
      child.once("exit", () => resolve());
      child.once("error", (error: NodeJS.ErrnoException) => (error.code === "ENOENT" || error.code === "EACCES" ? resolve() : reject(error)));
    });
  }
}

/** The soft limit in the text of /proc/<pid>/limits. */
export function softLimitIn(limits: string): string | undefined {
  return /^Max realtime timeout\s+(\S+)/m.exec(limits)?.[1];
}

// Together with the leading 1 they stay below 2^63.
const PREFIX_DIGITS = 12;
const COUNT_DIGITS = 6;
const MOST_ATTEMPTS = 5;
/** Longest run of prlimit; it takes 2. Milliseconds. */
const DEADLINE_MS = 1000;

function ownLimit(): string | undefined {
  try {
    return softLimitIn(readFileSync("/proc/self/limits", "utf8"));
  } catch {
    // Not Linux, or a container without /proc.
    return undefined;
  }
}

function isWatermark(limit: string | undefined): boolean {
  return limit?.length === 1 + PREFIX_DIGITS + COUNT_DIGITS;
}

function randomDigits(count: number): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(count)), (byte) => byte % 10).join("");
}
