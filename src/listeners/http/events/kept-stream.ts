import { fail } from "../../../errors.ts";
import { encodeJson } from "../../../rpc/json.ts";
import type { StreamSink } from "../../../runtime/turns/run.ts";
import { EventPages } from "./event-pages.ts";
import { eventText } from "./event-writer.ts";

/** Most of a stream that is kept. Bytes of memory. */
export const MOST_KEPT = 4 * 1024 * 1024;
/** What a stream costs beside its events: many short ones fill the memory as well. */
const STREAM_OVERHEAD = 1024;
/** How far a reader may be behind before the stream waits for it. */
const HIGH_WATER = 1024 * 1024;

/** One who reads a stream, and how far it has come. */
export interface Reader {
  /** Where its next event begins. */
  position: number;
}

/** A stream with its events, for those who read it now, later, or again. */
export class KeptStream implements StreamSink {
  readonly streamId: string;
  readonly owner: string;
  isOver = false;
  /** Of the turn that it has told; known when it is over. */
  traceId: string | undefined;
  readonly #onChange: (stream: KeptStream) => void;
  readonly #readers = new Set<Reader>();
  readonly #events = new EventPages();
  /** Called after events, and when a reader moves on or leaves. */
  #waiting: (() => void)[] = [];
  #isWaking = false;

  constructor(streamId: string, owner: string, onChange: (stream: KeptStream) => void) {
    this.streamId = streamId;
    this.owner = owner;
    this.#onChange = onChange;
  }

  /** Of the stream with the events that are kept. */
  get size(): number {
    return STREAM_OVERHEAD + this.#events.size;
  }

  /** Begins to read at `next`. Throws `events_gone` where that is no longer kept, `invalid_params` where it was never said. */
  read(next: number): Reader {
    const { first, count } = this.#events;
    if (next > count) throw fail("invalid_params", { path: "Last-Event-ID" }, "Last-Event-ID: no event of this stream has that id");
    if (next < first) throw fail("events_gone", undefined, `The events before ${first} are no longer kept`);
    const reader = { position: this.#events.startOf(next) };
    this.#readers.add(reader);
    return reader;
  }

  leave(reader: Reader): void {
    this.#readers.delete(reader);
    this.#wake();
  }

  /** The next events for a reader, as they are sent; undefined when there are none yet, or (`isOver`) none any more. */
  take(reader: Reader): Buffer | undefined {
    const bytes = this.#events.from(reader.position);
    if (bytes === undefined) return undefined;
    reader.position += bytes.length;
    this.#wake();
    return bytes;
  }

  /** Resolves behind the turn of the event loop in which something changes: what is said in one turn is read at once. */
  changed(): Promise<void> {
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** Whether it is over, and can be read from its beginning. */
  get isWhole(): boolean {
    return this.isOver && this.#events.first === 0;
  }

  /** Whether a reader that goes on at `next` has seen the end. */
  isReadTo(next: number): boolean {
    return this.isOver && next === this.#events.count;
  }

  text(field: "delta" | "reasoningDelta", text: string): void {
    this.#add("stream.chunk", { [field]: text });
  }

  chunk(body: Parameters<StreamSink["chunk"]>[0]): void {
    this.#add("stream.chunk", body);
  }

  done(body: Parameters<StreamSink["done"]>[0]): void {
    this.#finish("stream.done", body);
  }

  error(body: Parameters<StreamSink["error"]>[0]): void {
    this.#finish("stream.error", body);
  }

  status(): void {
    // Carries no `seq`, so it could not be resumed behind.
  }

  /** A stream that is read waits for its slowest reader; one that nobody reads goes on. */
  ready(): Promise<void> | undefined {
    return this.#unread > HIGH_WATER ? this.#caughtUp() : undefined;
  }

  /** What the slowest reader has before it. */
  get #unread(): number {
    return this.#events.end - this.#slowest;
  }

  get #slowest(): number {
    let slowest = this.#events.end;
    for (const { position } of this.#readers) slowest = Math.min(slowest, position);
    return slowest;
  }

  async #caughtUp(): Promise<void> {
    while (this.#unread > HIGH_WATER / 4) await this.changed();
  }

  #finish(name: string, body: { traceId?: string | undefined }): void {
    this.isOver = true;
    this.traceId = body.traceId;
    this.#add(name, body);
  }

  #add(name: string, body: object): void {
    const before = this.size;
    const seq = this.#events.count;
    this.#events.add(eventText(name, encodeJson({ streamId: this.streamId, seq, ...body }), seq));
    if (this.isOver) this.#events.close();
    this.#forget();
    this.#wake();
    if (this.isOver || this.size !== before) this.#onChange(this);
  }

  /** The oldest events go first, but none that a reader still has before it. */
  #forget(): void {
    if (this.size <= MOST_KEPT) return;
    const slowest = this.#slowest;
    while (this.size > MOST_KEPT && this.#events.dropBefore(slowest));
  }

  #wake(): void {
    if (this.#isWaking || this.#waiting.length === 0) return;
    this.#isWaking = true;
    setImmediate(() => {
      this.#isWaking = false;
      for (const resolve of this.#waiting.splice(0)) resolve();
    });
  }
}
