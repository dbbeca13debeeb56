/**
 * How much of each turn of the event loop streams and MCP servers may take. Without a bound, all that has arrived from all of
 * them is done in one turn, seconds long when it is much, and Node accepts only one connection in each turn: whoever comes
 * behind others waits for as many turns.
 */

/** What all of them together may take of one turn. Milliseconds. */
const SLICE_MS = 2;

export class LoopShare {
  /** Those who wait, in the order in which they came. */
  readonly #waiting: (() => void)[] = [];
  /** When the slice of this turn is used up. */
  #end = 0;
  #isOpen = false;

  /** Asked for right before each piece of work. Undefined when that may be done at once; otherwise resolves when it may. */
  turn(): Promise<void> | undefined {
    if (!this.#isOpen) this.#open();
    if (this.#waiting.length === 0 && performance.now() < this.#end) return undefined;
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  #open(): void {
    this.#isOpen = true;
    this.#end = performance.now() + SLICE_MS;
    setImmediate(() => {
      this.#isOpen = false;
      if (this.#waiting.length > 0) void this.#serve();
    });
  }

  async #serve(): Promise<void> {
    this.#open();
    while (this.#waiting.length > 0 && performance.now() < this.#end) {
      // Goes on when all is done that the one before was let do.
      await new Promise<void>((resolve) => process.nextTick(resolve));
      this.#waiting.shift()?.();
    }
  }
}

/** Of this process. */
export const loopShare = new LoopShare();
