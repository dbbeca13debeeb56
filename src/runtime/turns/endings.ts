import { WireError } from "../../errors.ts";
import type { Log } from "../../log.ts";
import type { Store } from "../../store/store.ts";
import type { Closing } from "./closing.ts";

/** Between two tries to store the end of a turn when the store has failed: doubled from the first to the last. Milliseconds. */
const FIRST_RETRY_MS = 1_000;
const LAST_RETRY_MS = 5_000;

/** Stores the ends of turns. What the store refuses is tried again behind the host's back, until it works or the process ends. */
export class Endings {
  readonly #store: () => Promise<Store>;
  readonly #log: Log;
  readonly #open = new Set<Closing>();

  constructor(store: () => Promise<Store>, log: Log) {
    this.#store = store;
    this.#log = log;
  }

  /** Rejects when the store has refused it; it may be stored later all the same. */
  async save(closing: Closing): Promise<void> {
    this.#open.add(closing);
    try {
      await this.#try(closing);
    } catch (error) {
      if (closing.isStored) void this.#saveLater(closing);
      else this.#settle(closing);
      throw error;
    }
    this.#settle(closing);
  }

  /** The process ends: within this call everything is handed over that is not known to be stored, and `closings`. */
  handOver(store: Store | undefined, ...closings: readonly Closing[]): void {
    for (const { journal, end } of [...this.#open, ...closings]) {
      journal.handOver();
      store?.endTurn(end).catch((error: unknown) => this.#log.warn({ error }, "a turn could not be stored at exit"));
    }
    this.#open.clear();
  }

  async #try({ journal, end }: Closing): Promise<void> {
    await journal.finish();
    await (await this.#store()).endTurn(end);
  }

  async #saveLater(closing: Closing): Promise<void> {
    for (let waitMs = FIRST_RETRY_MS; this.#open.has(closing); waitMs = Math.min(waitMs * 2, LAST_RETRY_MS)) {
      await new Promise((resolve) => setTimeout(resolve, waitMs).unref());
      try {
        await this.#try(closing);
        break;
      } catch (error) {
        // Then the turn counts as interrupted, with the text that was saved on the way.
        if (error instanceof WireError && error.data?.["reason"] === "closed") break;
      }
    }
    this.#settle(closing);
  }

  #settle(closing: Closing): void {
    this.#open.delete(closing);
    closing.onSettled();
  }
}
