import { isUtf8 } from "node:buffer";
import type { Readable } from "node:stream";
import { AbstractMessageReader, type DataCallback, type Disposable, type Message, type MessageReader } from "vscode-jsonrpc/node";
import { LineSplitter } from "../rpc/lines.ts";

/** Longest line accepted from a sidecar, in bytes: far above any reply, far below what V8 can hold in a string. */
const LONGEST_LINE = 256 * 1024 * 1024;

/**
 * Delivered behind the last message of the input. A connection handles messages later than it is
 * given them; whoever sees this one (by identity) knows that all before it were handled.
 */
export const END_OF_INPUT: Message & { method: string } = Object.freeze({ jsonrpc: "2.0", method: "$/endOfInput" });

/** Tells that the other side has given up on a request of its own. */
const CANCEL_METHOD = "$/cancelRequest";

/**
 * Reads JSON-RPC messages, one JSON object a line, for vscode-jsonrpc's `createMessageConnection`.
 * A line that is none is reported through `onError`, without its text, and costs nothing else.
 */
export class NewlineMessageReader extends AbstractMessageReader implements MessageReader {
  readonly #input: Readable;
  readonly #longestLine: number;
  readonly #mostAhead: number;
  /** Messages delivered and not yet handled, as far as `handled` tells. */
  #ahead = 0;
  #unlisten: (() => void) | undefined;

  /**
   * `mostAhead`: input is paused while that many messages wait to be handled; whoever sets it calls
   * `handled` after each. A connection handles one message per turn of the event loop, and would
   * otherwise pile up all that a fast sidecar sends.
   */
  constructor(input: Readable, { longestLine = LONGEST_LINE, mostAhead = Number.POSITIVE_INFINITY }: { longestLine?: number; mostAhead?: number } = {}) {
    super();
    this.#input = input;
    this.#longestLine = longestLine;
    this.#mostAhead = mostAhead;
  }

  /** `message`: needed where it may be a cancellation; those are not waited for. */
  handled(message?: Message): void {
    if (message !== undefined && !isCounted(message)) return;
    this.#ahead--;
    if (this.#ahead * 2 < this.#mostAhead && this.#input.isPaused()) this.#input.resume();
  }

  listen(callback: DataCallback): Disposable {
    const splitter = new LineSplitter(
      this.#longestLine,
      (line) => this.#line(line, callback),
      () => this.fireError(new Error(`The sidecar sent a line of more than ${this.#longestLine} bytes; it was skipped`)),
    );
    let ended = false;
    const onData = (chunk: Buffer) => splitter.push(chunk);
    const onEnd = () => {
      if (ended) return;
      ended = true;
      splitter.end();
      callback(END_OF_INPUT);
      this.fireClose();
    };
    const onError = (error: Error) => {
      this.fireError(error);
      onEnd();
    };
    // "close" without "end" is what a destroyed stream emits.
    this.#input.on("data", onData).on("end", onEnd).on("close", onEnd).on("error", onError);
    this.#unlisten = () => this.#input.off("data", onData).off("end", onEnd).off("close", onEnd).off("error", onError);
    return { dispose: () => this.#unlisten?.() };
  }

  override dispose(): void {
    this.#unlisten?.();
    super.dispose();
  }

  #line(line: Buffer, callback: DataCallback): void {
    const message = parse(line);
    if (message === "blank") return;
    if (message === undefined) {
      this.fireError(new Error(`The sidecar sent a line that is not a JSON-RPC message (${line.length} bytes)`));
      return;
    }
    if (isCounted(message) && ++this.#ahead >= this.#mostAhead) this.#input.pause();
    try {
      callback(message);
    } catch {
      // The connection throws on control messages of the wrong shape.
      this.fireError(new Error("The sidecar sent a JSON-RPC message of the wrong shape"));
    }
  }
}

function parse(line: Buffer): Message | "blank" | undefined {
  const text = line.toString("utf8");
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return text.trim() === "" ? "blank" : undefined;
  }
  return isMessage(value) && isUtf8(line) ? value : undefined;
}

/** A connection handles most cancellations while it is given them, and does not say so. */
function isCounted(message: Message): boolean {
  return !("method" in message) || message.method !== CANCEL_METHOD;
}

function isMessage(value: unknown): value is Message {
  return typeof value === "object" && value !== null && !Array.isArray(value) && "jsonrpc" in value && value.jsonrpc === "2.0";
}
