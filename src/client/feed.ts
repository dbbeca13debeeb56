import type { NotificationParams } from "../contract/index.ts";
import type { SidecarError } from "./error.ts";
import { type ChatToolCall, CollectedCalls } from "./tool-calls.ts";

export type StreamChunk = NotificationParams<"stream.chunk">;
/** How a stream ended that did not fail. */
export type StreamEnd = Omit<NotificationParams<"stream.done">, "streamId" | "seq">;

type Step = IteratorResult<StreamChunk, StreamEnd>;
type Outcome = { end: StreamEnd } | { failure: SidecarError };

interface Reader {
  resolve: (step: Step) => void;
  reject: (error: SidecarError) => void;
}

/** What a stream comes to that was cancelled before the sidecar could say so. */
const CANCELLED: StreamEnd = Object.freeze({ ok: false, cancelled: true });
/** Stands in for the functions of a promise until it has given them. */
const unsettled = { resolve: () => {}, reject: () => {} };
/** Chunks that were read are let go once there are this many, and half of the buffer is behind. */
const SLACK = 1024;

/**
 * What came of one stream and was not read yet. The host's memory is the buffer: it grows without
 * bound while nobody reads. It ends once; what comes behind the end is dropped.
 */
export class Feed {
  /** Resolves with the id that the sidecar gave; rejects when there never was a stream. */
  readonly opened: Promise<string>;
  readonly ended: Promise<StreamEnd>;
  /** True once the host wants no more. */
  cancelled = false;
  #text = "";
  #lastSeq = 0;
  readonly #calls = new CollectedCalls();
  #outcome: Outcome | undefined;
  #settleOpened: { resolve: (streamId: string) => void; reject: (error: SidecarError) => void } = unsettled;
  #settleEnded: { resolve: (end: StreamEnd) => void; reject: (error: SidecarError) => void } = unsettled;
  #buffer: StreamChunk[] = [];
  /** Index of the first chunk in the buffer that was not read. */
  #head = 0;
  readonly #readers: Reader[] = [];
  #dropped = false;
  #thrown = false;

  constructor() {
    this.opened = new Promise((resolve, reject) => {
      this.#settleOpened = { resolve, reject };
    });
    this.ended = new Promise((resolve, reject) => {
      this.#settleEnded = { resolve, reject };
    });
    // A host that does not look at them must not be brought down by them.
    this.opened.catch(() => undefined);
    this.ended.catch(() => undefined);
  }

  /** All deltas so far. */
  get text(): string {
    return this.#text;
  }

  /** All calls of tools so far. */
  get toolCalls(): ChatToolCall[] {
    return this.#calls.all;
  }

  get closed(): boolean {
    return this.#outcome !== undefined;
  }

  open(streamId: string): void {
    this.#settleOpened.resolve(streamId);
  }

  /** The stream is the same as that of `other`: what came of it so far comes again, in as few chunks as will do. */
  join(streamId: string, other: Feed): void {
    const seq = other.#lastSeq;
    if (other.text !== "") this.push({ streamId, seq, delta: other.text });
    for (const { result, ...toolCall } of other.toolCalls) {
      this.push({ streamId, seq, toolCall });
      if (result !== undefined) this.push({ streamId, seq, toolResult: { ...result, id: toolCall.id, name: toolCall.name } });
    }
  }

  push(chunk: StreamChunk): void {
    if (this.closed) return;
    this.#lastSeq = chunk.seq;
    this.#text += chunk.delta ?? "";
    this.#calls.add(chunk);
    if (this.#dropped) return;
    const reader = this.#readers.shift();
    if (reader === undefined) this.#buffer.push(chunk);
    else reader.resolve({ done: false, value: chunk });
  }

  finish(end: StreamEnd): void {
    if (this.#close({ end })) this.#settleEnded.resolve(end);
  }

  fail(failure: SidecarError): void {
    this.#settleOpened.reject(failure);
    if (this.#close({ failure })) this.#settleEnded.reject(failure);
  }

  /** No terminal will come. Whoever has cancelled got what it wanted; everybody else is told why. */
  lose(failure: SidecarError): void {
    this.#settleOpened.reject(failure);
    if (this.cancelled) this.finish(CANCELLED);
    else this.fail(failure);
  }

  /** The next chunk, in the order of the calls. */
  read(): Promise<Step> {
    const chunk = this.#take();
    if (chunk !== undefined) return Promise.resolve({ done: false, value: chunk });
    return new Promise((resolve, reject) => {
      this.#readers.push({ resolve, reject });
      this.#tellEnd();
    });
  }

  /** Nobody will read on. */
  drop(): void {
    this.#dropped = true;
    this.#buffer = [];
    this.#head = 0;
    this.#tellEnd();
  }

  #take(): StreamChunk | undefined {
    const chunk = this.#buffer[this.#head];
    if (chunk === undefined) return undefined;
    this.#head++;
    if (this.#head === this.#buffer.length || (this.#head > SLACK && this.#head * 2 > this.#buffer.length)) {
      this.#buffer = this.#buffer.slice(this.#head);
      this.#head = 0;
    }
    return chunk;
  }

  #close(outcome: Outcome): boolean {
    if (this.closed) return false;
    this.#outcome = outcome;
    this.#tellEnd();
    return true;
  }

  /** Readers wait only while the buffer is empty, so the end overtakes nothing. A failure is thrown once. */
  #tellEnd(): void {
    const outcome = this.#outcome;
    if (outcome === undefined && !this.#dropped) return;
    for (const reader of this.#readers.splice(0)) {
      if (outcome !== undefined && "failure" in outcome && !this.#dropped && !this.#thrown) {
        this.#thrown = true;
        reader.reject(outcome.failure);
      } else reader.resolve({ done: true, value: outcome !== undefined && "end" in outcome ? outcome.end : CANCELLED });
    }
  }
}
