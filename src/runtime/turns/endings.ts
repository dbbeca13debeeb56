import { WireError } from "../../errors.ts";
import type { Log } from "../../log.ts";
import type { Store, TurnEnd } from "../../store/store.ts";

/** Between two tries to store the end of a turn when the store has failed: doubled from the first to the last. Milliseconds. */
const FIRST_RETRY_MS = 1_000;
const LAST_RETRY_MS = 5_000;

/** Stores the ends of turns. What the store refuses is tried again behind the host's back, until it works or the process ends. */
export class Endings {
  readonly #store: () => Promise<Store>;
  readonly #log: Log;
  readonly #refused = new Set<TurnEnd>();

  constructor(store: () => Promise<Store>, log: Log) {
    this.#store = store;
    this.#log = log;
  }

  /** Rejects when the store has refused it; `again`: it is tried again later all the same. */
  async save(end: TurnEnd, again: boolean): Promise<void> {
    try {
      await (await this.#store()).endTurn(end);
    } catch (error) {
      if (again) void this.#saveLater(end);
      throw error;
    }
  }

  /** The process ends: hands everything over that the store has refused so far, and `end`. */
  handOver(store: Store | undefined, ...ends: readonly TurnEnd[]): void {
    for (const end of [...this.#refused, ...ends]) {
      store?.endTurn(end).catch((error: unknown) => this.#log.warn({ error }, "a turn could not be stored at exit"));
    }
    this.#refused.clear();
  }

  async #saveLater(end: TurnEnd): Promise<void> {
    this.#refused.add(end);
    for (let waitMs = FIRST_RETRY_MS; ; waitMs = Math.min(waitMs * 2, LAST_RETRY_MS)) {
      await new Promise((resolve) => setTimeout(resolve, waitMs).unref());
      try {
        await (await this.#store()).endTurn(end);
        this.#refused.delete(end);
        return;
      } catch (error) {
        // Then the turn counts as interrupted, with the text that was saved on the way.
        if (error instanceof WireError && error.data?.["reason"] === "closed") return;
      }
    }
  }
}
