import type { MessageBody, Store } from "../../store/store.ts";

/**
 * Writes down what a turn comes to. Messages are kept back until the next write, so that a round costs
 * one; a call with effects is durable before it begins and after it has ended.
 */
export class Journal {
  readonly #turnId: string;
  readonly #store: (() => Promise<Store>) | undefined;
  #pending: MessageBody[] = [];
  #written: Promise<void> = Promise.resolve();
  #failure: { error: unknown } | undefined;

  /** `store` is undefined for a turn of which nothing is kept. */
  constructor(turnId: string, store: (() => Promise<Store>) | undefined) {
    this.#turnId = turnId;
    this.#store = store;
  }

  /** A message that is complete; it is stored with the next write. */
  add(message: MessageBody): void {
    if (this.#store !== undefined) this.#pending.push(message);
  }

  /** A call with effects is about to run. Resolves when a crash would not forget it; rejects when it must not be run. */
  async begin(callId: string): Promise<void> {
    await this.#write({ begun: [callId] }, true);
  }

  /** A call with effects has ended. Resolves when its result is durable. */
  async end(callId: string, message: MessageBody): Promise<void> {
    this.add(message);
    await this.#write({ ended: [callId] }, true);
  }

  /** Hands over what is kept back, without waiting for it: a crash may take it. Throws when an earlier write has failed. */
  flush(): void {
    if (this.#failure !== undefined) throw this.#failure.error;
    // What fails is told by the next call, or by the end of the turn.
    if (this.#pending.length > 0) this.#write({}, false).catch(() => undefined);
  }

  #write(effects: { begun?: readonly string[]; ended?: readonly string[] }, durable: boolean): Promise<void> {
    const open = this.#store;
    if (open === undefined) return Promise.resolve();
    const step = { turnId: this.#turnId, messages: this.#pending, ...effects, durable };
    this.#pending = [];
    const before = this.#written;
    const write = async () => {
      const store = await open();
      // Handed over at once where the store is open: it keeps the order itself.
      const saved = store.saveStep(step);
      await Promise.all([before, saved]);
    };
    this.#written = write();
    this.#written.catch((error: unknown) => {
      this.#failure ??= { error };
    });
    return this.#written;
  }
}
