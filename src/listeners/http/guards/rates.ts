/** How many requests a name may make in any minute. */

export const MINUTE_MS = 60_000;

/** `ok`: the request counts. Otherwise it does not, and one after `retryAfterMs` would be let through. */
export type Taken =
  | {
      ok: true;
      /** Requests that would still be let through now. */
      remaining: number;
      /** Milliseconds until the oldest request stops counting, and one more is free. */
      resetMs: number;
      /** For `giveBack`. */
      at: number;
    }
  | { ok: false; retryAfterMs: number };

export interface RateLimiterOptions {
  /** At least 1. */
  perMinute: number;
  /** Milliseconds of a clock that never goes back, as `performance.now`. */
  now: () => number;
  /** Names that are remembered at a time. */
  mostTracked?: number;
}

/**
 * A sliding window: in no 60 seconds are more than `perMinute` requests of a name let through. Requests that
 * are refused do not count, so whoever knocks on is let in as soon as whoever waits.
 *
 * When there are too many names, a fifth of them is forgotten: those whose requests no longer count, then
 * those that have made the fewest. Forgetting the longest known instead would let somebody with many
 * addresses wash one of them clean by using the others once; this way each of the others has to make as
 * many requests as the one that is to be forgotten.
 */
export class RateLimiter {
  readonly #perMinute: number;
  readonly #mostTracked: number;
  readonly #now: () => number;
  readonly #grainMs: number;
  readonly #windows = new Map<string, Window>();

  constructor({ perMinute, now, mostTracked = 10_000 }: RateLimiterOptions) {
    if (!Number.isInteger(perMinute) || perMinute < 1) throw new RangeError("perMinute must be an integer of at least 1");
    if (!Number.isInteger(mostTracked) || mostTracked < 1) throw new RangeError("mostTracked must be an integer of at least 1");
    this.#perMinute = perMinute;
    this.#mostTracked = mostTracked;
    this.#now = now;
    this.#grainMs = perMinute <= MOST_MOMENTS ? 1 : MINUTE_MS / MOST_MOMENTS;
  }

  /** Names that are remembered now. */
  get tracked(): number {
    return this.#windows.size;
  }

  /** Asks for one request of `name`. */
  take(name: string): Taken {
    const now = this.#now();
    let window = this.#windows.get(name);
    if (window === undefined) {
      if (this.#windows.size >= this.#mostTracked) this.#forgetSome(now);
      window = new Window();
      this.#windows.set(name, window);
    }
    window.forget(now - MINUTE_MS);
    const untilOldest = () => Math.max(1, Math.ceil((window.oldest ?? now) + MINUTE_MS - now));
    if (window.total >= this.#perMinute) return { ok: false, retryAfterMs: untilOldest() };
    // Rounded up: a request counts a little longer than a minute rather than a little shorter.
    const at = Math.ceil(now / this.#grainMs) * this.#grainMs;
    window.add(at);
    return { ok: true, remaining: this.#perMinute - window.total, resetMs: untilOldest(), at };
  }

  /** A request that was let through, by the `at` that came with it, counts no longer. */
  giveBack(name: string, at: number): void {
    this.#windows.get(name)?.remove(at);
  }

  #forgetSome(now: number): void {
    for (const [name, window] of this.#windows) {
      window.forget(now - MINUTE_MS);
      if (window.total === 0) this.#windows.delete(name);
    }
    const target = this.#mostTracked - Math.ceil(this.#mostTracked / 5);
    if (this.#windows.size <= target) return;
    const byUse = [...this.#windows].toSorted(([, a], [, b]) => a.total - b.total || (a.newest ?? 0) - (b.newest ?? 0));
    for (const [name] of byUse.slice(0, byUse.length - target)) this.#windows.delete(name);
  }
}

/** Different moments that one name may fill, so that its memory has a bound where its limit is high. */
const MOST_MOMENTS = 600;

/** The requests of one name, with how many there were at each moment. */
class Window {
  readonly #moments: number[] = [];
  readonly #counts: number[] = [];
  total = 0;

  get oldest(): number | undefined {
    return this.#moments[0];
  }

  get newest(): number | undefined {
    return this.#moments.at(-1);
  }

  add(at: number): void {
    const last = this.#moments.length - 1;
    if (this.#moments[last] === at) this.#counts[last] = (this.#counts[last] ?? 0) + 1;
    else {
      this.#moments.push(at);
      this.#counts.push(1);
    }
    this.total++;
  }

  remove(at: number): void {
    const index = this.#moments.lastIndexOf(at);
    const count = this.#counts[index];
    if (count === undefined) return;
    if (count > 1) this.#counts[index] = count - 1;
    else {
      this.#moments.splice(index, 1);
      this.#counts.splice(index, 1);
    }
    this.total--;
  }

  /** Requests at or before `until` count no longer. */
  forget(until: number): void {
    const kept = this.#moments.findIndex((moment) => moment > until);
    const gone = kept === -1 ? this.#moments.length : kept;
    if (gone === 0) return;
    this.#moments.splice(0, gone);
    for (const count of this.#counts.splice(0, gone)) this.total -= count;
  }
}
