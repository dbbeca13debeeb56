import type { Caller } from "../contract/caller.ts";
import type { Params, Result } from "../contract/index.ts";
import type { Store } from "../store/store.ts";
import { shownTo } from "./access.ts";
import type { LiveTraces } from "./trace.ts";

/** How many traces a page holds when the host does not say. */
const PAGE = 100;

/** Traces as a host sees them: those that are running from memory, the others from the store. */
export class Traces {
  readonly #store: () => Promise<Store>;
  readonly #live: LiveTraces;

  constructor(store: () => Promise<Store>, live: LiveTraces) {
    this.#store = store;
    this.#live = live;
  }

  async fetch(traceId: string): Promise<Result<"trace.fetch">> {
    const { trace, spans, events } = this.#live.find(traceId) ?? (await (await this.#store()).getTrace(traceId));
    return { trace, spans: [...spans], events: [...events] };
  }

  async list(params: Params<"trace.list">, caller: Caller): Promise<Result<"trace.list">> {
    const { items, nextCursor } = await (await this.#store()).listTraces({ ...params, owner: shownTo(caller), limit: params.limit ?? PAGE });
    return { traces: items, ...(nextCursor === undefined ? {} : { nextCursor }) };
  }
}
