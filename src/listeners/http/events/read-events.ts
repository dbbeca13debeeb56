import { EVENT_ID } from "../../../contract/http/transport.ts";
import { fail } from "../../../errors.ts";
import { loopShare } from "../../../loop-share.ts";
import type { EventWriter } from "./event-writer.ts";
import type { KeptStream, Reader } from "./kept-stream.ts";

/** Where a client goes on that has seen the events up to `Last-Event-ID`. Throws `invalid_params` for what is no id of ours. */
export function nextAfter(lastEventId: string | string[] | undefined): number {
  if (lastEventId === undefined || lastEventId === "") return 0;
  if (typeof lastEventId !== "string" || !EVENT_ID.test(lastEventId)) {
    throw fail("invalid_params", { path: "Last-Event-ID" }, "Last-Event-ID: not the id of an event");
  }
  return Number(lastEventId) + 1;
}

/** Sends a stream from where the reader stands to its end, or until the client leaves or `signal` is aborted. */
export async function sendEvents(stream: KeptStream, reader: Reader, writer: EventWriter, signal: AbortSignal): Promise<void> {
  // Leaving wakes whoever waits for the stream, and cutting the connection whoever waits for the client.
  const stop = () => {
    stream.leave(reader);
    writer.cut();
  };
  signal.addEventListener("abort", stop, { once: true });
  void writer.closed.then(stop);
  while (!signal.aborted && !writer.isOver) {
    const events = stream.take(reader);
    if (events !== undefined) {
      writer.sendBytes(events);
      // One who is far behind would else be sent all of it in one turn of the event loop.
      const wait = writer.ready() ?? loopShare.turn();
      if (wait !== undefined) await wait;
    } else if (stream.isOver) break;
    else await stream.changed();
  }
  signal.removeEventListener("abort", stop);
  stream.leave(reader);
  writer.end();
}
