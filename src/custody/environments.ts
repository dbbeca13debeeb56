import { readFile } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";
import type { ProcessEntry } from "./processes.ts";

interface Known {
  start: number;
  /** The value of the variable; undefined as long as nobody knows, and for good where it is not there. */
  mark: string | undefined;
}

/** Longest wait for environments, which can be kept back for as long as the memory of a process is locked. Milliseconds. */
const PATIENCE_MS = 500;
/** Environments that are read at a time: each holds a descriptor. */
const AT_ONCE = 8;

/**
 * The marks in the environments of processes, by way of /proc. Each environment is read once: a process
 * has the mark from its first moment or never, since it inherits it, and may drop it later.
 */
export class Environments {
  readonly #known = new Map<number, Known>();

  /** What `read` has found out. */
  markOf({ pid, start }: ProcessEntry): string | undefined {
    const known = this.#known.get(pid);
    return known?.start === start ? known.mark : undefined;
  }

  /** Looks for a variable that begins with `beginning`, always the same. Never rejects; what takes too long is there for the next look. */
  async read(entries: readonly ProcessEntry[], beginning: string): Promise<void> {
    const unread = entries.filter(({ pid, start }) => this.#known.get(pid)?.start !== start);
    if (unread.length === 0) return;
    const lanes = Array.from({ length: AT_ONCE }, async () => {
      for (let entry = unread.pop(); entry !== undefined; entry = unread.pop()) await this.#readOne(entry, beginning);
    });
    const patience = new AbortController();
    // Rejects when it is no longer needed.
    await Promise.race([Promise.all(lanes), delay(PATIENCE_MS, undefined, { signal: patience.signal }).catch(() => undefined)]);
    patience.abort();
  }

  /** Forgets the processes that are gone. */
  forget(table: ReadonlyMap<number, ProcessEntry>): void {
    for (const [pid, { start }] of this.#known) if (table.get(pid)?.start !== start) this.#known.delete(pid);
  }

  async #readOne({ pid, start }: ProcessEntry, beginning: string): Promise<void> {
    // Noted before: one that is kept back is not waited for again.
    const known: Known = { start, mark: undefined };
    this.#known.set(pid, known);
    try {
      const environment = await readFile(`/proc/${pid}/environ`, "latin1");
      const variable = environment.split("\0").find((each) => each.startsWith(beginning));
      known.mark = variable?.slice(variable.indexOf("=") + 1);
    } catch (error) {
      // Of another user, for good; gone; or nothing can be opened at the moment.
      if (!(error instanceof Error && "code" in error && error.code === "EACCES") && this.#known.get(pid) === known) this.#known.delete(pid);
    }
  }
}
