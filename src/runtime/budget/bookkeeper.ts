import type { Spending } from "../../contract/model.ts";
import { WireError } from "../../errors.ts";
import type { Log } from "../../log.ts";
import type { SpendingScope, Store } from "../../store/store.ts";
import { sum } from "./amounts.ts";

/** How long amounts are gathered that no limit depends on. Milliseconds. */
const GATHER_MS = 1_000;
/** How long after the store has failed it is tried again by itself. */
const RETRY_MS = 5_000;

/**
 * Brings what was used to the store: at once where a limit depends on it, gathered otherwise. What the
 * store refuses is kept and goes along with the next.
 */
export class Bookkeeper {
  readonly #open: () => Promise<Store>;
  readonly #log: Log;
  #owed = new Map<string, { scope: SpendingScope; amount: Spending }>();
  /** Never rejects. One batch at a time: what was given back since must not overtake what it was taken by, should that fail and go again. */
  #onTheWay: Promise<void> | undefined;
  /** A hand-over that has not begun: what is booked in this moment goes along. */
  #next: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;
  #hasFailed = false;

  constructor(open: () => Promise<Store>, log: Log) {
    this.#open = open;
    this.#log = log;
  }

  add(scope: SpendingScope, amount: Spending): void {
    const key = keyOf(scope);
    const owed = this.#owed.get(key);
    this.#owed.set(key, { scope, amount: owed === undefined ? amount : sum(owed.amount, amount) });
  }

  /** What is owed goes to the store soon. */
  schedule(delayMs = GATHER_MS): void {
    if (this.#timer !== undefined || this.#owed.size === 0) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.handOverLater();
    }, delayMs);
    this.#timer.unref();
  }

  /** Resolves when everything that was booked before survives `kill -9`. Rejects with what the store, or the way to it, could not do. */
  handOver(): Promise<void> {
    this.#next ??= this.ask(
      () => Promise.resolve(),
      () => {
        this.#next = undefined;
      },
    );
    return this.#next;
  }

  /** The same where nobody waits for it. */
  handOverLater(): void {
    // It is logged, and tried again.
    this.handOver().catch(() => undefined);
  }

  /**
   * Asks the store, which by then was given everything that is owed: in the same moment, so that nothing
   * comes in between. `atThatMoment` is called just before. Rejects also when what is owed could not be stored.
   */
  async ask<T>(question: (store: Store) => Promise<T>, atThatMoment?: () => void): Promise<T> {
    let store: Store;
    try {
      store = await this.#open();
    } catch (error) {
      atThatMoment?.();
      this.#failed(error);
      throw error;
    }
    while (this.#onTheWay !== undefined) await this.#onTheWay;
    atThatMoment?.();
    const sent = this.#send(store);
    const [answer] = await Promise.all([question(store), sent]);
    return answer;
  }

  /** For the end of the process. Never rejects: what could not be stored is logged. */
  async flush(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    // Whoever has nothing to say need not open a store for it.
    if (this.#owed.size > 0 || this.#onTheWay !== undefined) await this.handOver().catch(() => undefined);
  }

  async #send(store: Store): Promise<void> {
    const batch = [...this.#owed.values()];
    this.#owed = new Map();
    if (batch.length === 0) return;
    const sent = store.spend(batch).then(
      () => {
        this.#hasFailed = false;
      },
      (error: unknown) => {
        for (const { scope, amount } of batch) this.add(scope, amount);
        this.#failed(error);
        throw error;
      },
    );
    const arrived = () => {
      this.#onTheWay = undefined;
    };
    this.#onTheWay = sent.then(arrived, arrived);
    await sent;
  }

  #failed(error: unknown): void {
    if (error instanceof WireError && error.data?.["reason"] === "closed") this.#owed.clear();
    if (!this.#hasFailed) this.#log.warn({ error }, "what was used of the budgets could not be stored yet");
    this.#hasFailed = true;
    this.schedule(RETRY_MS);
  }
}

function keyOf(scope: SpendingScope): string {
  return scope.kind === "process" ? "process" : `session ${scope.sessionId}`;
}
