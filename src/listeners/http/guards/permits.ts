/** How many may do something at a time. Nobody waits for a permit: there is one, or there is none. */
export class Permits {
  readonly #most: number;
  #live = 0;

  constructor(most: number) {
    this.#most = most;
  }

  get isUsedUp(): boolean {
    return this.#live >= this.#most;
  }

  /** Gives the function that returns the permit, which may be called more than once; undefined when all are held. */
  take(): (() => void) | undefined {
    if (this.isUsedUp) return undefined;
    this.#live++;
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      this.#live--;
    };
  }
}
