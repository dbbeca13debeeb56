import { type Caller, isAdmin } from "../contract/caller.ts";
import { fail } from "../errors.ts";
import type { Store } from "../store/store.ts";

/** What a call is about, by id. */
export interface Touched {
  session?: string | undefined;
  stream?: string | undefined;
  trace?: string | undefined;
}

export interface AccessSources {
  /** Opened on first use. */
  store(): Promise<Pick<Store, "ownerOf">>;
  /** Undefined for a stream that is not open. */
  streams: { ownerOf(streamId: string): string | undefined };
  /** Undefined for a trace that is not running. */
  traces: { ownerOf(traceId: string): string | undefined };
}

/** Who may touch what: what belongs to somebody else does not exist, but for callers with `admin`. */
export class Access {
  readonly #sources: AccessSources;

  constructor(sources: AccessSources) {
    this.#sources = sources;
  }

  /**
   * Rejects with `session_not_found`, `stream_not_found` or `trace_not_found` for what belongs to somebody else. What nobody
   * has passes: the method itself says so, or makes it. Undefined, at once, where nothing has to be asked.
   */
  check(caller: Caller, touched: Touched): Promise<void> | undefined {
    const { session, stream, trace } = touched;
    if (isAdmin(caller) || (session ?? stream ?? trace) === undefined) return undefined;
    return this.#check(caller, touched);
  }

  async #check(caller: Caller, { session, stream, trace }: Touched): Promise<void> {
    const { store, streams, traces } = this.#sources;
    if (stream !== undefined && isForeign(caller, streams.ownerOf(stream))) throw fail("stream_not_found", { streamId: stream });
    if (session !== undefined && isForeign(caller, await (await store()).ownerOf({ sessionId: session }))) {
      throw fail("session_not_found", { sessionId: session });
    }
    if (trace === undefined) return;
    const owner = traces.ownerOf(trace) ?? (await (await store()).ownerOf({ traceId: trace }));
    if (isForeign(caller, owner)) throw fail("trace_not_found", { traceId: trace });
  }
}

/** Whose things a list shows to a caller; undefined for everybody's. */
export function shownTo(caller: Caller): string | undefined {
  return isAdmin(caller) ? undefined : caller.subject;
}

function isForeign(caller: Caller, owner: string | undefined): boolean {
  return owner !== undefined && owner !== caller.subject;
}
