import { Recent } from "./recent.ts";

/** Milliseconds between two keys of one address, and between the two times that a key has to come. */
export const PAUSE_MS = 3_000;

/**
 * The way in for a good key that is not known yet and comes from an address with too many wrong ones: behind
 * a proxy, or on the loopback, it shares its address with whoever guesses.
 *
 * A key is refused when it comes for the first time, and checked when it comes again after the wait that it
 * was told: one key of an address every three seconds. A client that has the right key comes back with the
 * same one. Whoever guesses has a new one each time and so gets no turn; if each guess comes twice, the
 * turns are shared, and an address still has no more than 20 guesses a minute in this way.
 */
export class SecondChances {
  readonly #now: () => number;
  /** When a key was first refused. Bounded: only more than 3,000 new keys a second push out one that would come back. */
  readonly #refused: Recent<number>;
  /** When a key of an address was last let through. */
  readonly #passed: Recent<number>;

  constructor(now: () => number) {
    this.#now = now;
    this.#refused = new Recent({ lifeMs: 60_000, most: 10_000, now });
    this.#passed = new Recent({ lifeMs: PAUSE_MS, most: 10_000, now });
  }

  /** Milliseconds to wait before asking again; 0: the key may be checked now. */
  ask(address: string, keyDigest: string): number {
    const now = this.#now();
    const id = `${address} ${keyDigest}`;
    const since = this.#refused.get(id);
    if (since === undefined) {
      this.#refused.set(id, now);
      return PAUSE_MS;
    }
    const readyAt = Math.max(since, this.#passed.get(address) ?? since) + PAUSE_MS;
    if (now < readyAt) return Math.ceil(readyAt - now);
    this.#refused.delete(id);
    this.#passed.set(address, now);
    return 0;
  }
}
