/** How many may do something at a time. Nobody waits for a permit: there is one, or there is none. */
export class Permits {
  readonly #most: number;
  #live = 0;
  #waiting: (() => void)[] = [];

  constructor(most: number) {
    this.#most = most;
  }

  /** Permits that are held now. */
  get live(): number {
    return this.#live;
  }

  /** Gives the function that returns the permit, which may be called more than once; undefined when all are held. */
  take(): (() => void) | undefined {
    if (this.#live >= this.#most) return undefined;
    this.#live++;
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      this.#live--;
      if (this.#live > 0) return;
      const waiting = this.#waiting;
      this.#waiting = [];
      for (const tell of waiting) tell();
    };
  }

  /** Resolves as soon as none is held. Set a deadline beside it: that nobody takes one more is up to the caller. */
  idle(): Promise<void> {
    if (this.#live === 0) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.push(resolve));
  }
}
