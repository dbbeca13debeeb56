const FIRST_BACKOFF_MS = 1000;
const LONGEST_BACKOFF_MS = 60_000;
/** How often a program may be started again within the window. */
export const MOST_RESTARTS = 5;
export const WINDOW_MS = 5 * 60_000;

/**
 * When a server may be started: after a failure not at once, each time twice as late as before, and a
 * program that keeps dying only so often. Times are milliseconds of one clock.
 */
export class Attempts {
  readonly #bounded: boolean;
  #starts: number[] = [];
  #failures = 0;
  #notBefore = Number.NEGATIVE_INFINITY;
  #reason = "";

  /** @param bounded whether starts are counted: reconnecting to a server elsewhere costs nobody a process. */
  constructor(bounded: boolean) {
    this.#bounded = bounded;
  }

  /** Whether the last start has failed. */
  get failing(): boolean {
    return this.#failures > 0;
  }

  /** Why it may not be started now; undefined when it may. */
  refusal(now: number): string | undefined {
    if (now < this.#notBefore) return this.#reason;
    if (!this.#bounded) return undefined;
    this.#starts = this.#starts.filter((start) => now - start < WINDOW_MS);
    if (this.#starts.length <= MOST_RESTARTS) return undefined;
    return `it was restarted ${MOST_RESTARTS} times within ${WINDOW_MS / 60_000} minutes${this.#failures > 0 ? `; ${this.#reason}` : ""}`;
  }

  started(now: number): void {
    if (this.#bounded) this.#starts.push(now);
  }

  succeeded(): void {
    this.#failures = 0;
    this.#notBefore = Number.NEGATIVE_INFINITY;
  }

  failed(now: number, reason: string): void {
    this.#reason = reason;
    this.#notBefore = now + Math.min(LONGEST_BACKOFF_MS, FIRST_BACKOFF_MS * 2 ** this.#failures);
    this.#failures++;
  }
}
