import type { Caller } from "../contract/caller.ts";
import type { StreamSink } from "./turns/run.ts";

/** The way that a call came in: who asks, and where what it starts is told. */
export interface Door {
  readonly caller: Caller;
  /** Where its streams can be read: through each outlet a stream is told once. The door itself when left out. */
  readonly outlet?: object | undefined;
  /** The sink of a new stream. Nothing of it is sent before `release`. */
  openSink(streamId: string): StreamSink;
  /** Whether the whole of a turn, named by its trace, can still be read there, so that it need not be told again. No when left out. */
  keeps?(streamId: string, traceId: string): boolean;
  /** The reply that names the stream was written: its notifications may follow. */
  release(streamId: string): void;
  /** Whether the caller wants to know what a stream waits for (`stream.status`). */
  tellsStatus(): boolean;
}

export function outletOf(door: Door): object {
  return door.outlet ?? door;
}
