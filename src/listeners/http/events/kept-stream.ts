import { fail } from "../../../errors.ts";
import { encodeJson } from "../../../rpc/json.ts";
import type { StreamSink } from "../../../runtime/turns/run.ts";

/** Most of a stream that is kept. Bytes, roughly: characters and what an event costs beside them. */
export const MOST_KEPT = 4 * 1024 * 1024;
const EVENT_OVERHEAD = 192;
/** What a stream costs beside its events: many short ones fill the memory as well. */
const STREAM_OVERHEAD = 1024;
/** How far a reader may be behind before the stream waits for it. */
const HIGH_WATER = 1024 * 1024;

interface KeptEvent {
  name: string;
  json: string;
  size: number;
}

/** One who reads a stream, and how far it has come. */
export interface Reader {
  /** `seq` of the next event. */
  next: number;
}

/** A stream with its events, for those who read it now, later, or again. */
export class KeptStream implements StreamSink {
  readonly streamId: string;
  readonly owner: string;
  isOver = false;
  /** Of the stream with the events that are kept. */
  size = STREAM_OVERHEAD;
  /** Of the turn that it has told; known when it is over. */
  traceId: string | undefined;
  readonly #onChange: (stream: KeptStream) => void;
  readonly #readers = new Set<Reader>();
  #events: KeptEvent[] = [];
  /** `seq` of the oldest event that is kept. */
  #first = 0;
  /** Called with each event, and when a reader moves on or leaves. */
  #waiting: (() => void)[] = [];

  constructor(streamId: string, owner: string, onChange: (stream: KeptStream) => void) {
    this.streamId = streamId;
    this.owner = owner;
    this.#onChange = onChange;
  }

  /** Begins to read at `next`. Throws `events_gone` where that is no longer kept, `invalid_params` where it was never said. */
  read(next: number): Reader {
    if (next > this.#end) throw fail("invalid_params", { path: "Last-Event-ID" }, "Last-Event-ID: no event of this stream has that id");
    if (next < this.#first) throw fail("events_gone", { oldest: this.#first }, `The events before ${this.#first} are no longer kept`);
    const reader = { next };
    this.#readers.add(reader);
    return reader;
  }

  leave(reader: Reader): void {
    this.#readers.delete(reader);
    this.#wake();
  }

  /** The next event for a reader; undefined when there is none yet, or (`isOver`) none any more. */
  take(reader: Reader): { name: string; json: string; seq: number } | undefined {
    const event = this.#events[reader.next - this.#first];
    if (event === undefined) return undefined;
    const seq = reader.next++;
    this.#wake();
    return { name: event.name, json: event.json, seq };
  }

  /** Resolves with the next change. */
  changed(): Promise<void> {
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** Whether it is over, and can be read from its beginning. */
  get isWhole(): boolean {
    return this.isOver && this.#first === 0;
  }

  /** Whether a reader that goes on at `next` has seen the end. */
  isReadTo(next: number): boolean {
    return this.isOver && next === this.#end;
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

  get #end(): number {
    return this.#first + this.#events.length;
  }

  /** What the slowest reader has before it. */
  get #unread(): number {
    if (this.#readers.size === 0) return 0;
    const slowest = Math.min(...[...this.#readers].map(({ next }) => next));
    let size = 0;
    for (let at = this.#events.length - 1; at >= slowest - this.#first && size <= HIGH_WATER; at--) size += this.#events[at]?.size ?? 0;
    return size;
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
    const json = encodeJson({ streamId: this.streamId, seq: this.#end, ...body });
    const event = { name, json, size: json.length + EVENT_OVERHEAD };
    this.#events.push(event);
    this.size += event.size;
    this.#forget();
    this.#wake();
    this.#onChange(this);
  }

  /** The oldest events go first, but none that a reader still has before it. */
  #forget(): void {
    if (this.size <= MOST_KEPT) return;
    const slowest = Math.min(this.#end - 1, ...[...this.#readers].map(({ next }) => next));
    let gone = 0;
    while (this.size > MOST_KEPT && this.#first + gone < slowest) this.size -= this.#events[gone++]?.size ?? 0;
    if (gone === 0) return;
    this.#events = this.#events.slice(gone);
    this.#first += gone;
  }

  #wake(): void {
    for (const resolve of this.#waiting.splice(0)) resolve();
  }
}
