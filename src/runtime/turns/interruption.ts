import { setMaxListeners } from "node:events";

/** Why a turn was stopped: the host asked for it, the process ends, or its time is up. */
export type Stop = "cancelled" | "interrupted" | "exhausted";

/** What `race` gives when it was stopped first. */
export const STOPPED = Symbol("stopped");

/** What `race` gives when the time of its clock was over first. */
export const LATE = Symbol("late");

/** The longest that a timer of Node can wait. */
const LONGEST_TIMER_MS = 2_147_483_647;

/** A span of time that stands still while somebody else keeps us waiting. One timer, however often it is looked at. */
export class Clock {
  /** Set by `race` for its wait. */
  onLate: (() => void) | undefined;
  #leftMs: number;
  #since = 0;
  #timer: NodeJS.Timeout | undefined;
  #isLate = false;

  constructor(ms: number) {
    this.#leftMs = ms;
    this.go();
  }

  get isLate(): boolean {
    return this.#isLate;
  }

  go(): void {
    this.#since = performance.now();
    this.#timer = setTimeout(
      () => {
        this.#isLate = true;
        this.onLate?.();
      },
      Math.min(Math.max(1, this.#leftMs), LONGEST_TIMER_MS),
    );
  }

  halt(): void {
    clearTimeout(this.#timer);
    this.#leftMs -= performance.now() - this.#since;
  }
}

/** The handle that stops whatever a turn waits for. */
export class Interruption {
  readonly #controller = new AbortController();
  #stop: Stop | undefined;
  #onStop: (() => void) | undefined;

  constructor() {
    // As many calls may wait for it as run side by side; Node would take them for a leak.
    setMaxListeners(0, this.#controller.signal);
  }

  /** Undefined as long as nobody has stopped it. */
  get stop(): Stop | undefined {
    return this.#stop;
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Stops at once. The first reason counts. */
  abort(stop: Stop): void {
    if (this.#stop !== undefined) return;
    this.#stop = stop;
    this.#controller.abort();
    this.#onStop?.();
  }

  /** Waits for `promise`, but no longer than until it is stopped. One wait at a time. */
  race<T>(promise: Promise<T>): Promise<T | typeof STOPPED>;
  race<T>(promise: Promise<T>, clock: Clock | undefined): Promise<T | typeof STOPPED | typeof LATE>;
  race<T>(promise: Promise<T>, clock?: Clock): Promise<T | typeof STOPPED | typeof LATE> {
    return new Promise((resolve, reject) => {
      this.#onStop = () => resolve(STOPPED);
      if (clock !== undefined) clock.onLate = () => resolve(LATE);
      if (clock?.isLate === true) resolve(LATE);
      promise.then(resolve, reject);
      if (this.#stop !== undefined) resolve(STOPPED);
    });
  }

  /** False when it was stopped meanwhile. */
  async sleep(ms: number): Promise<boolean> {
    let timer: NodeJS.Timeout | undefined;
    const slept = new Promise<true>((resolve) => {
      timer = setTimeout(() => resolve(true), ms);
    });
    const woken = await this.race(slept);
    clearTimeout(timer);
    return woken !== STOPPED;
  }
}
