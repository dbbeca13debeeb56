import { WireError } from "../../errors.ts";
import type { Store } from "../../store/store.ts";
import { Keys, refuseOther } from "../keys.ts";
import type { Request } from "./beginnings.ts";
import { endedTurnOf, markOf } from "./kept.ts";
import type { EndedTurn } from "./replay.ts";
import type { Run } from "./run.ts";

/** A turn that was asked for: one that has begun, or one that an earlier call with the same key has come to. */
export type Opened = { run: Run } | { ended: EndedTurn };

/** Begins each turn once, however often it is asked for with the same idempotency key. */
export class Openings {
  readonly #store: () => Promise<Store>;
  readonly #begin: (request: Request, patience: AbortSignal) => Promise<Run>;
  readonly #keys = new Keys<Opened>();

  /** `begin`: until the turn is stored, `patience` ends it. */
  constructor(store: () => Promise<Store>, begin: (request: Request, patience: AbortSignal) => Promise<Run>) {
    this.#store = store;
    this.#begin = begin;
  }

  async open(asked: Omit<Request, "mark">, signal: AbortSignal): Promise<Opened> {
    const mark = markOf(asked.params, asked.door.caller);
    const begin = async (patience: AbortSignal): Promise<Opened> => ({ run: await this.#begin({ ...asked, mark }, patience) });
    if (mark === undefined) return begin(signal);
    return this.#keys.join(mark, signal, async (patience) => {
      const store = await this.#store();
      let kept = await store.findTurn(mark.key);
      if (kept === undefined) {
        try {
          return await begin(patience);
        } catch (error) {
          // Another process was faster by a moment.
          kept = isTaken(error) ? await store.findTurn(mark.key) : undefined;
          if (kept === undefined) throw error;
        }
      }
      // What has ended is looked up again by whoever asks next.
      queueMicrotask(() => this.#keys.release(mark.key));
      refuseOther(kept.digest, mark.digest);
      return { ended: endedTurnOf(kept) };
    });
  }

  /** The turn has ended, and the store knows it. */
  release(idempotencyKey: string): void {
    this.#keys.release(idempotencyKey);
  }
}

/** The store has refused the turn, because there is one with its idempotency key. */
function isTaken(error: unknown): boolean {
  return error instanceof WireError && error.data?.["field"] === "idempotencyKey";
}
