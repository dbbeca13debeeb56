import type { Log } from "../../../log.ts";

/**
 * Keys that are checked at a time. Argon2 runs on the four threads that Node also needs for files and names:
 * one of them stays free.
 */
export const AT_ONCE = 3;

/** Keys that may wait for that, and for how long. Whoever waits longer is told to come again. */
export const MOST_WAITING = 64;
const LONGEST_WAIT_MS = 10_000;

/** Rejects for a hash that cannot be read. */
export type Verify = (hash: string, key: string) => Promise<boolean>;

export interface VerifierOptions<E> {
  entries: readonly E[];
  hashOf(entry: E): string;
  /** How an entry is called in the log. */
  nameOf(entry: E): string;
  now: () => number;
  log: Log;
  /** Argon2, loaded with the first key, when left out. */
  verify?: Verify;
}

/** What became of a check: the entry that the key belongs to, none, or no time for it. */
export type Found<E> = { entry: E } | "none" | "overloaded";

/**
 * Finds the entry that a key belongs to, off the event loop. A key is compared with every hash, also after
 * one that fits: so how long it takes tells how many keys there are, but not which of them it was. What is
 * left, the time of a comparison, is that of argon2, which does not depend on how much of a key is right.
 *
 * The work that wrong keys make is bounded here for all addresses together. Those with many addresses can
 * fill the line and keep new clients waiting, but not those that are known.
 */
export class Verifier<E> {
  readonly #options: VerifierOptions<E>;
  readonly #line: { since: number; go(hasPlace: boolean): void }[] = [];
  readonly #unreadable = new Set<E>();
  #running = 0;

  constructor(options: VerifierOptions<E>) {
    this.#options = options;
  }

  async find(key: string): Promise<Found<E>> {
    if (!(await this.#enter())) return "overloaded";
    try {
      return await this.#compare(key);
    } finally {
      this.#leave();
    }
  }

  async #compare(key: string): Promise<Found<E>> {
    const verify = this.#options.verify ?? (await loadVerify());
    let found: Found<E> = "none";
    for (const entry of this.#options.entries) {
      if ((await this.#fits(verify, entry, key)) && found === "none") found = { entry };
    }
    return found;
  }

  async #fits(verify: Verify, entry: E, key: string): Promise<boolean> {
    try {
      return await verify(this.#options.hashOf(entry), key);
    } catch (error) {
      // One hash that cannot be read must not shut out the other keys. It is told once.
      if (!this.#unreadable.has(entry))
        this.#options.log.error({ key: this.#options.nameOf(entry), error }, "The hash of a key cannot be read: the key lets nobody in");
      this.#unreadable.add(entry);
      return false;
    }
  }

  #enter(): boolean | Promise<boolean> {
    if (this.#running < AT_ONCE) {
      this.#running++;
      return true;
    }
    if (this.#line.length >= MOST_WAITING) return false;
    return new Promise((go) => this.#line.push({ since: this.#options.now(), go }));
  }

  /** The place goes to the next one in the line. Those who have waited too long are sent away, all of them at once. */
  #leave(): void {
    for (;;) {
      const next = this.#line.shift();
      if (next === undefined) {
        this.#running--;
        return;
      }
      const hasPlace = this.#options.now() - next.since <= LONGEST_WAIT_MS;
      next.go(hasPlace);
      if (hasPlace) return;
    }
  }
}

async function loadVerify(): Promise<Verify> {
  const argon2 = await import("@node-rs/argon2");
  return (hash, key) => argon2.verify(hash, key);
}
