/**
 * Milliseconds that run down only between `start` and `stop`: time that the consumer takes for
 * itself is not silence of the model server.
 */
export class Countdown {
  readonly limitMs: number;
  #leftMs: number;
  #startedAt = 0;
  #timer: NodeJS.Timeout | undefined;
  #check: NodeJS.Immediate | undefined;

  constructor(limitMs: number) {
    this.limitMs = Math.min(limitMs, LONGEST_MS);
    this.#leftMs = this.limitMs;
  }

  /** Counts until `stop`; calls `expire` when nothing is left. */
  start(expire: () => void): void {
    this.stop();
    this.#startedAt = performance.now();
    // Data may have arrived while the process was busy or asleep: the loop reads it before it runs an immediate.
    this.#timer = setTimeout(() => (this.#check = setImmediate(expire)), Math.max(1, this.#leftMs));
  }

  stop(): void {
    if (this.#timer === undefined) return;
    clearTimeout(this.#timer);
    if (this.#check !== undefined) clearImmediate(this.#check);
    this.#timer = undefined;
    this.#check = undefined;
    this.#leftMs -= performance.now() - this.#startedAt;
  }

  /** A sign of life: all the time is there again. */
  reset(): void {
    this.#leftMs = this.limitMs;
  }
}

/** What a Node timer can hold; more would fire at once. */
const LONGEST_MS = 2_147_483_647;
