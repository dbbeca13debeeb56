import { isUtf8 } from "node:buffer";
import { fail, WireError, type WireErrorObject } from "../errors.ts";
import { deeperThan, encodeJson, rawIntegerId } from "./json.ts";
import { LineSplitter } from "./lines.ts";
import { Outgoing, type OutgoingLimits, type Via } from "./outgoing.ts";
import { type Call, Request } from "./request.ts";
import type { FrameWriter } from "./writer.ts";

export interface ConnectionLimits {
  /** Longest line, in bytes. */
  frameBytes: number;
  /** Deepest nesting of a frame. */
  depth: number;
  /** Requests waiting for their reply; also the longest batch. */
  inFlight: number;
}

export interface ConnectionOptions {
  writer: FrameWriter;
  limits: ConnectionLimits;
  /** Answers a call; what it throws becomes the error of the reply. */
  answer(call: Call): unknown;
  /** A fault that has no caller to be told. */
  onFault(error: unknown, method: string): void;
}

/** Where a reply goes: straight to the writer, or into the array that answers a batch. */
type Reply = (frame: string, written: (() => void) | undefined) => void;

/**
 * JSON-RPC 2.0 over a byte pipe, one frame a line. Knows no method name but `$/cancelRequest`.
 * Whatever the peer sends is answered or ignored as the standard says; nothing throws.
 */
export class Connection {
  readonly #writer: FrameWriter;
  readonly #limits: ConnectionLimits;
  readonly #options: ConnectionOptions;
  readonly #splitter: LineSplitter;
  /** By the JSON text of the id, so that `1` and `"1"` differ. */
  readonly #inFlight = new Map<string, Request>();
  #idle: (() => void)[] = [];
  #refusal: { error: WireError; except: readonly string[] } | undefined;
  readonly #outgoing = new Outgoing(({ id, method, params }, via = (frame) => this.#writer.send(frame)) => {
    via(id === undefined ? notificationFrame(method, params) : requestFrame(id, method, params));
  });

  constructor(options: ConnectionOptions) {
    this.#writer = options.writer;
    this.#limits = options.limits;
    this.#options = options;
    this.#splitter = new LineSplitter(
      options.limits.frameBytes,
      (line) => this.#line(line),
      () =>
        this.#direct(
          errorFrame(
            "null",
            fail(
              "invalid_request",
              { reason: "frame_too_large", limitBytes: options.limits.frameBytes },
              `The line is longer than ${options.limits.frameBytes} bytes; it was skipped`,
            ),
          ),
          undefined,
        ),
    );
  }

  /** Bytes from the peer, cut anywhere. */
  receive(chunk: Buffer): void {
    this.#splitter.push(chunk);
  }

  /** One whole message, a frame or a batch, which may go over several lines. */
  message(bytes: Buffer): void {
    this.#line(bytes);
  }

  /** The peer will send nothing more: no request, and no answer to one of ours. */
  end(): void {
    this.#splitter.end();
    this.#outgoing.close();
  }

  /** Asks the peer; see `Outgoing.request`. */
  request(method: string, params: unknown, limits: OutgoingLimits, via?: Via): Promise<unknown> {
    return this.#outgoing.request(method, params, limits, via);
  }

  get inFlight(): number {
    return this.#inFlight.size;
  }

  /** From now on new requests are answered with `error`, except those of a method in `except`. */
  refuse(error: WireError, except: readonly string[]): void {
    this.#refusal = { error, except };
  }

  /** Asks the requests in flight to stop; they are answered with whatever they come to. `reason` is that of their signals. */
  interrupt(reason: WireError): void {
    for (const request of this.#inFlight.values()) request.interrupt(reason);
  }

  /** Answers the requests in flight with `cancelled`, except those of a method in `keep`. `reason` is that of their signals. */
  cancelAll(reason: WireError, keep: readonly string[]): void {
    for (const request of this.#inFlight.values()) if (!keep.includes(request.method)) request.cancel(reason);
  }

  /** Resolves when no requests are in flight but those of a method in `except`. */
  async idle(except: readonly string[] = []): Promise<void> {
    while ([...this.#inFlight.values()].some((request) => !except.includes(request.method))) {
      await new Promise<void>((resolve) => this.#idle.push(resolve));
    }
  }

  notify(method: string, params: unknown): void {
    this.#writer.send(notificationFrame(method, params));
  }

  readonly #direct: Reply = (frame, written) => this.#writer.send(frame, written);

  #line(line: Buffer): void {
    if (!isUtf8(line)) {
      this.#direct(errorFrame("null", fail("parse", undefined, "The line is not valid UTF-8")), undefined);
      return;
    }
    let text = line.toString("utf8");
    if (text.charCodeAt(0) === 0xfeff) text = text.slice(1);
    let frame: unknown;
    try {
      frame = JSON.parse(text);
    } catch (error) {
      if (text.trim() === "") return;
      this.#direct(errorFrame("null", fail("parse", undefined, parseMessage(error))), undefined);
      return;
    }
    const tooDeep = deeperThan(text, this.#limits.depth);
    if (!Array.isArray(frame)) this.#frame(frame, text, tooDeep, this.#direct);
    else if (tooDeep) this.#direct(errorFrame("null", this.#tooDeep()), undefined);
    else this.#batch(frame);
  }

  #batch(frames: readonly unknown[]): void {
    if (frames.length === 0 || frames.length > this.#limits.inFlight) {
      const message = frames.length === 0 ? "A batch must not be empty" : `A batch holds at most ${this.#limits.inFlight} frames`;
      this.#direct(errorFrame("null", fail("invalid_request", undefined, message)), undefined);
      return;
    }
    const replies: string[] = [];
    const callbacks: (() => void)[] = [];
    // Answered when the last of its requests is, and not at all when it held none.
    let open = 1;
    const settle = () => {
      if (--open > 0 || replies.length === 0) return;
      this.#writer.send(`[${replies.join(",")}]`, () => {
        for (const written of callbacks) written();
      });
    };
    for (const frame of frames) {
      open++;
      const reply: Reply = (text, written) => {
        replies.push(text);
        if (written !== undefined) callbacks.push(written);
        settle();
      };
      if (!this.#frame(frame, undefined, false, reply)) settle();
    }
    settle();
  }

  /** Handles one frame; true when `reply` was or will be called. */
  #frame(frame: unknown, text: string | undefined, tooDeep: boolean, reply: Reply): boolean {
    if (typeof frame !== "object" || frame === null || Array.isArray(frame)) {
      reply(errorFrame("null", fail("invalid_request", undefined, "A frame must be a JSON object")), undefined);
      return true;
    }
    const { jsonrpc, id, method, params } = frame as { jsonrpc?: unknown; id?: unknown; method?: unknown; params?: unknown };
    const hasId = "id" in frame;
    if (method === undefined && hasId && ("result" in frame || "error" in frame)) {
      this.#outgoing.receive(id, tooDeep ? { error: { message: "The answer nests too deep" } } : frame);
      return false;
    }

    const key = hasId ? idText(id, text) : undefined;
    const refuse = (error: WireError): boolean => {
      reply(errorFrame(key ?? "null", error), undefined);
      return true;
    };
    if (hasId && key === undefined) return refuse(fail("invalid_request", undefined, "An id must be a string or an integer"));
    if (tooDeep) return refuse(this.#tooDeep());
    if (jsonrpc !== "2.0") return refuse(fail("invalid_request", undefined, 'A frame must carry "jsonrpc":"2.0"'));
    if (typeof method !== "string") return refuse(fail("invalid_request", undefined, "A request must name its method"));
    if (params !== undefined && params !== null && (typeof params !== "object" || Array.isArray(params))) {
      const error = Array.isArray(params)
        ? fail("invalid_params", undefined, "Params are passed by name: send an object")
        : fail("invalid_request", undefined, "Params must be an object");
      if (key === undefined && Array.isArray(params)) return false;
      return refuse(error);
    }
    const named = (params ?? undefined) as Record<string, unknown> | undefined;
    if (key === undefined) {
      this.#notified(method, named, text);
      return false;
    }
    if (this.#inFlight.has(key)) return refuse(fail("invalid_request", { reason: "duplicate_id" }, "A request with this id is still in flight"));
    if (this.#refusal !== undefined && !this.#refusal.except.includes(method)) return refuse(this.#refusal.error);
    if (this.#inFlight.size >= this.#limits.inFlight) {
      return refuse(fail("overloaded", { retryAfterMs: 100 }, `More than ${this.#limits.inFlight} requests are in flight`));
    }
    this.#request(new Request(key, method, named), reply);
    return true;
  }

  #request(request: Request, reply: Reply): void {
    let result: unknown;
    try {
      result = this.#options.answer(request);
    } catch (error) {
      this.#fail(request, error, reply);
      return;
    }
    if (!isPromise(result)) {
      this.#succeed(request, result, reply);
      return;
    }
    this.#inFlight.set(request.key, request);
    // A handler that ignores its signal must not keep its caller waiting.
    request.onCancel = () => this.#settle(request, () => this.#fail(request, fail("cancelled"), reply));
    result.then(
      (value) => this.#settle(request, () => this.#succeed(request, value, reply)),
      (error: unknown) => this.#settle(request, () => this.#fail(request, error, reply)),
    );
  }

  /** Runs `reply` unless the request was answered before. */
  #settle(request: Request, reply: () => void): void {
    if (this.#inFlight.get(request.key) !== request) return;
    this.#inFlight.delete(request.key);
    reply();
    if (this.#idle.length > 0) for (const resolve of this.#idle.splice(0)) resolve();
  }

  #succeed(request: Request, result: unknown, reply: Reply): void {
    let frame: string;
    try {
      frame = resultFrame(request.key, result);
    } catch (error) {
      // A result that JSON cannot hold is our fault, and must not cost the caller its answer.
      this.#fail(request, error, reply);
      return;
    }
    reply(frame, request.written());
  }

  #fail(request: Request, error: unknown, reply: Reply): void {
    if (isFault(error)) this.#options.onFault(error instanceof WireError ? (error.cause ?? error) : error, request.method);
    reply(errorFrame(request.key, error instanceof WireError ? error : fail("internal")), request.written());
  }

  #notified(method: string, params: Record<string, unknown> | undefined, text: string | undefined): void {
    if (method === "$/cancelRequest") {
      const key = idText(params?.["id"], text);
      if (key !== undefined) this.#inFlight.get(key)?.cancel(fail("cancelled"));
      return;
    }
    if (this.#refusal !== undefined && !this.#refusal.except.includes(method)) return;
    const call = new Request("null", method, params);
    const run = async () => {
      await this.#options.answer(call);
      call.written()?.();
    };
    // The standard gives a notification no answer, not even an error; only faults of ours are told.
    run().catch((error: unknown) => {
      if (isFault(error)) this.#options.onFault(error, method);
    });
  }

  #tooDeep(): WireError {
    return fail("invalid_request", { reason: "too_deep", limit: this.#limits.depth }, `The frame nests deeper than ${this.#limits.depth} levels`);
  }
}

export function notificationFrame(method: string, params: unknown): string {
  return `{"jsonrpc":"2.0","method":${JSON.stringify(method)},"params":${encodeJson(params)}}`;
}

function requestFrame(id: string, method: string, params: unknown): string {
  return `{"jsonrpc":"2.0","id":"${id}","method":${JSON.stringify(method)},"params":${encodeJson(params)}}`;
}

function resultFrame(key: string, result: unknown): string {
  return `{"jsonrpc":"2.0","id":${key},"result":${encodeJson(result ?? null)}}`;
}

function errorFrame(key: string, error: WireError): string {
  const object: WireErrorObject = error.toWire();
  return `{"jsonrpc":"2.0","id":${key},"error":${encodeJson(object)}}`;
}

/** The id as JSON text, exactly as it came; undefined when it is neither a string nor an integer. */
function idText(id: unknown, frame: string | undefined): string | undefined {
  if (typeof id === "string") return encodeJson(id);
  if (typeof id !== "number" || !Number.isInteger(id)) return undefined;
  if (Number.isSafeInteger(id)) return String(id === 0 ? 0 : id);
  return frame === undefined ? undefined : rawIntegerId(frame);
}

/** Where the text stops being JSON, without quoting it: it may hold secrets. */
function parseMessage(error: unknown): string {
  const position = /position (\d+)/.exec(error instanceof Error ? error.message : "")?.[1];
  return position === undefined ? "The line is not valid JSON" : `The line is not valid JSON (at character ${position})`;
}

/** An error that says something of us, not of the call. */
function isFault(error: unknown): boolean {
  return !(error instanceof WireError) || error.errorName === "internal";
}

function isPromise(value: unknown): value is Promise<unknown> {
  return typeof value === "object" && value !== null && typeof (value as { then?: unknown }).then === "function";
}
