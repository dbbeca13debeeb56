import type { Caller } from "../../contract/caller.ts";
import type { Door } from "../../runtime/door.ts";

/** The way that a request came in. Nothing is held back for the reply: events are read after it, or on it. `stream.status` is not told. */
export function doorOf(caller: Caller, openSink: Door["openSink"]): Door {
  return { caller, openSink, release: () => undefined, tellsStatus: () => false };
}

/** For calls that begin no stream. */
export function noSink(): never {
  throw new Error("A call that is answered once has no stream");
}
