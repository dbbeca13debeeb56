import type { NotificationParams } from "../contract/index.ts";
import type { SidecarError } from "./error.ts";

export type StreamChunk = NotificationParams<"stream.chunk">;
/** How a stream ended that did not fail. */
export type StreamEnd = Omit<NotificationParams<"stream.done">, "streamId" | "seq">;
type Step = IteratorResult<StreamChunk, StreamEnd>;

/**
 * What came of one stream and was not read yet. The host's memory is the buffer: it grows without
 * bound while nobody reads. It ends once; what comes behind the end is dropped.
 */
export class Feed {
  /** Resolves with the id that the sidecar gave; rejects when there never was a stream. */
  readonly opened: Promise<string>;
  readonly ended: Promise<StreamEnd>;
  /** All deltas so far. */
  text = "";
  streamId: string | undefined;
  /** True once the end is known. */
  closed = false;
  #open: (streamId: string) => void = () => {};
  #refuse: (error: SidecarError) => void = () => {};
  #finish: (end: StreamEnd) => void = () => {};
  #fail: (error: SidecarError) => void = () => {};
  #buffer: StreamChunk[] = [];
  #readers: { resolve: (step: Step) => void; reject: (error: SidecarError) => void }[] = [];
  /** How the reader is told of the end. A failure is thrown once; the steps behind it are merely done. */
  #last: { end: StreamEnd } | { failure: SidecarError } | undefined;
  #dropped = false;

  constructor() {
    this.opened = new Promise((resolve, reject) => {
      this.#open = resolve;
      this.#refuse = reject;
    });
    this.ended = new Promise((resolve, reject) => {
      this.#finish = resolve;
      this.#fail = reject;
    });
    // A host that does not look at them must not be brought down by them.
    this.opened.catch(() => undefined);
    this.ended.catch(() => undefined);
  }

  open(streamId: string): void {
    this.streamId = streamId;
    this.#open(streamId);
  }

  push(chunk: StreamChunk): void {
    if (this.closed) return;
    if (chunk.delta !== undefined) this.text += chunk.delta;
    if (this.#dropped) return;
    const reader = this.#readers.shift();
    if (reader === undefined) this.#buffer.push(chunk);
    else reader.resolve({ done: false, value: chunk });
  }

  finish(end: StreamEnd): void {
    if (this.closed) return;
    this.#close({ end });
    this.#finish(end);
  }

  fail(error: SidecarError): void {
    if (this.closed) return;
    this.#close({ failure: error });
    this.#fail(error);
  }

  /** The next chunk, in the order of the calls. */
  read(): Promise<Step> {
    const chunk = this.#take();
    if (chunk !== undefined) return Promise.resolve({ done: false, value: chunk });
    const last = this.#last;
    if (this.#dropped || last !== undefined) {
      if (last === undefined || !("failure" in last)) return Promise.resolve({ done: true, value: last?.end ?? stopped });
      this.#last = { end: { ok: false } };
      return Promise.reject(last.failure);
    }
    return new Promise((resolve, reject) => this.#readers.push({ resolve, reject }));
  }

  /** Nobody will read on. */
  drop(): void {
    this.#dropped = true;
    this.#buffer = [];
    for (const { resolve } of this.#readers.splice(0)) resolve({ done: true, value: stopped });
  }

  /** Index of the first chunk in the buffer that was not read; `shift` on a long array is slow. */
  #head = 0;

  #take(): StreamChunk | undefined {
    const chunk = this.#buffer[this.#head];
    if (chunk === undefined) return undefined;
    this.#head++;
    if (this.#head === this.#buffer.length) this.#buffer = [];
    else if (this.#head > 1024 && this.#head * 2 > this.#buffer.length) this.#buffer = this.#buffer.slice(this.#head);
    else return chunk;
    this.#head = 0;
    return chunk;
  }

  #close(last: { end: StreamEnd } | { failure: SidecarError }): void {
    this.closed = true;
    this.#last = last;
    // Readers only wait while the buffer is empty, so nothing is overtaken.
    const [first, ...others] = this.#readers.splice(0);
    if (first === undefined) return;
    if ("end" in last) first.resolve({ done: true, value: last.end });
    else {
      this.#last = { end: { ok: false } };
      first.reject(last.failure);
    }
    for (const { resolve } of others) resolve({ done: true, value: "end" in last ? last.end : { ok: false } });
  }
}

const stopped: StreamEnd = { ok: false, cancelled: true };
