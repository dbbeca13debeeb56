import type { ServerEvent, StreamNotice, StreamTeller } from "../../../contract/http/define.ts";
import type { StreamSink } from "../../../runtime/turns/run.ts";
import type { EventWriter } from "./event-writer.ts";

/** A stream that is told on the response to the request that has started it, in the words of its surface. */
export class ToldStream implements StreamSink {
  readonly #teller: StreamTeller;
  readonly #writer: EventWriter;
  readonly #ifStopped: () => ServerEvent | undefined;
  /** What happened before the head was sent. */
  #held: StreamNotice[] | undefined = [];
  /** The last event was sent. */
  isOver = false;

  /** `ifStopped`: what is told of a turn that was stopped, where that is not the word of the teller. */
  constructor(teller: StreamTeller, writer: EventWriter, ifStopped: () => ServerEvent | undefined) {
    this.#teller = teller;
    this.#writer = writer;
    this.#ifStopped = ifStopped;
  }

  /** The head was sent: events may follow. */
  release(): void {
    this.#send(this.#teller.begin());
    const held = this.#held ?? [];
    this.#held = undefined;
    for (const notice of held) this.#tell(notice);
  }

  /** Ends with this event, whatever still comes. */
  endWith(event: ServerEvent): void {
    if (this.isOver) return;
    this.isOver = true;
    this.#send([event]);
    this.#writer.end();
  }

  text(field: "delta" | "reasoningDelta", text: string): void {
    this.#tell({ method: "stream.chunk", params: { [field]: text } });
  }

  chunk(params: Parameters<StreamSink["chunk"]>[0]): void {
    this.#tell({ method: "stream.chunk", params });
  }

  done(params: Parameters<StreamSink["done"]>[0]): void {
    this.#tell({ method: "stream.done", params });
  }

  error(params: Parameters<StreamSink["error"]>[0]): void {
    this.#tell({ method: "stream.error", params });
  }

  status(): void {
    // These surfaces have no word for it.
  }

  ready(): Promise<void> | undefined {
    return this.#writer.ready();
  }

  #tell(notice: StreamNotice): void {
    if (this.isOver) return;
    if (this.#held !== undefined) {
      this.#held.push(notice);
      return;
    }
    const instead = notice.method === "stream.done" && !notice.params.ok ? this.#ifStopped() : undefined;
    this.#send(instead === undefined ? this.#teller.tell(notice) : [instead]);
    if (notice.method === "stream.chunk") return;
    this.isOver = true;
    this.#writer.end();
  }

  #send(events: readonly ServerEvent[]): void {
    for (const event of events) this.#writer.send(event);
  }
}
