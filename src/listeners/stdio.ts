import type { Readable } from "node:stream";
import { Connection, type ConnectionLimits } from "../rpc/connection.ts";
import { encodeJson } from "../rpc/json.ts";
import type { OutgoingLimits } from "../rpc/outgoing.ts";
import type { Call } from "../rpc/request.ts";
import { type ByteSink, FrameWriter, type Lane } from "../rpc/writer.ts";
import type { StreamSink } from "../runtime/turns/run.ts";

/** Hosts attach their listeners when the reply arrives, so the first chunk waits this long behind it. */
const HOLD_BACK_MS = 4;
export interface StdioOptions {
  input: Readable;
  output: ByteSink;
  limits: ConnectionLimits & { outboundBytes: number };
  answer(call: Call): unknown;
  onFault(error: unknown, method: string): void;
  /** stdin has ended, and everything on it was taken in. */
  onEnd(): void;
  /** stdout is gone. */
  onClosed(): void;
}

/** The door that a host has spawned us with: frames in on stdin, frames out on stdout. */
export class StdioListener {
  readonly writer: FrameWriter;
  readonly connection: Connection;
  readonly #options: StdioOptions;
  /** Lanes that are still held back. */
  readonly #corked = new Map<string, Lane>();
  #paused = false;
  #deaf = false;
  #ending = false;

  constructor(options: StdioOptions) {
    this.#options = options;
    this.writer = new FrameWriter(options.output, () => options.onClosed());
    this.connection = new Connection({ writer: this.writer, limits: options.limits, answer: options.answer, onFault: options.onFault });
  }

  /** Starts to read. */
  listen(): void {
    const { input, onEnd } = this.#options;
    input.on("data", (chunk: Buffer) => {
      this.connection.receive(chunk);
      this.#holdBack();
    });
    let ended = false;
    const end = () => {
      if (ended) return;
      ended = true;
      this.connection.end();
      onEnd();
    };
    // A broken stdin is a host that can say nothing more, like one that closed it.
    input.on("end", end).on("error", end).on("close", end);
  }

  /** Stops to read; what is still in the pipe is left to nobody. */
  deafen(): void {
    this.#deaf = true;
    this.#options.input.pause();
  }

  notify(method: string, params: unknown): void {
    this.connection.notify(method, params);
  }

  /** Asks the host. Rejects with its error, `timeout`, `cancelled` or `transport_closed`. */
  request(method: string, params: { streamId?: string | undefined }, limits: OutgoingLimits): Promise<unknown> {
    // About a stream that is held back nothing is asked before its chunks.
    const lane = params.streamId === undefined ? undefined : this.#corked.get(params.streamId);
    return this.connection.request(method, params, limits, lane === undefined ? undefined : (frame) => lane.unnumbered(frame));
  }

  /** The sink of a new stream. Nothing of it is sent before `release`. */
  openSink(streamId: string): StreamSink {
    const id = encodeJson(streamId);
    const head = `{"jsonrpc":"2.0","method":"stream.chunk","params":{"streamId":${id},"seq":`;
    const lane = this.writer.lane({ text: (field, text, seq) => `${head}${seq},"${field}":${encodeJson(text)}}}` });
    this.#corked.set(streamId, lane);
    const frame = (method: string, body: object) => {
      // Encoded once, now; only the number is still missing.
      const rest = encodeJson(body).slice(1);
      const before = `{"jsonrpc":"2.0","method":"${method}","params":{"streamId":${id},"seq":`;
      lane.frame(rest.length, (seq) => `${before}${seq},${rest}}`);
    };
    return {
      text: (field, text) => lane.text(field, text),
      chunk: (body) => frame("stream.chunk", body),
      done: (body) => frame("stream.done", body),
      error: (body) => frame("stream.error", body),
      status: (body) => lane.unnumbered(`{"jsonrpc":"2.0","method":"stream.status","params":{"streamId":${id},${encodeJson(body).slice(1)}}`),
      ready: () => lane.ready(),
    };
  }

  /** The reply that names the stream was written: its notifications may follow. */
  release(streamId: string): void {
    if (this.#ending) this.#uncork(streamId);
    else setTimeout(() => this.#uncork(streamId), HOLD_BACK_MS);
  }

  /**
   * Lets everything go that is held back, because the process is about to end. Every request must
   * have been answered before: a stream never comes before the reply that names it.
   */
  releaseAll(): void {
    this.#ending = true;
    for (const streamId of this.#corked.keys()) this.#uncork(streamId);
  }

  #uncork(streamId: string): void {
    this.#corked.get(streamId)?.uncork();
    this.#corked.delete(streamId);
  }

  /** A host that sends without reading is read no further until it reads. */
  #holdBack(): void {
    const { input, limits } = this.#options;
    if (this.#paused || this.writer.backlog < limits.outboundBytes) return;
    this.#paused = true;
    input.pause();
    void this.writer.below(limits.outboundBytes / 2).then(() => {
      this.#paused = false;
      if (!this.#deaf) input.resume();
    });
  }
}
