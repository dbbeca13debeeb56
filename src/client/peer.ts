import type { Readable, Writable } from "node:stream";
import {
  type CancellationToken,
  CancellationTokenSource,
  ConnectionError,
  createMessageConnection,
  ErrorCodes,
  Message,
  type MessageConnection,
  ResponseError,
} from "vscode-jsonrpc/node";
import { errorTable } from "../errors.ts";
import { redactText } from "../redact.ts";
import { Answers, type RequestHandler } from "./answers.ts";
import { type Limits, limited } from "./deadline.ts";
import { kindOf, SidecarError, transportClosed } from "./error.ts";
import { END_OF_INPUT, NewlineMessageReader } from "./reader.ts";
import { NewlineMessageWriter } from "./writer.ts";

export interface PeerHooks {
  onNotification(method: string, params: Record<string, unknown>): void;
  onRequest: RequestHandler;
  /** The other side broke the protocol, or a listener of the host threw; nothing is lost but that message. */
  onFault(error: Error): void;
}

export interface RequestLimits extends Limits {
  /** Gets a result that arrives after the caller has given up. */
  onLate?: (result: unknown) => void;
}

/** Messages that may wait to be handled before stdout is left unread: some milliseconds of work. */
const MOST_AHEAD = 1024;
/** Most characters of a fault that is reported in the words of the connection. */
const LONGEST_FAULT = 500;

/** The sidecar at the other end of two pipes. */
export class Peer {
  /** Resolves when everything that the sidecar ever sent was handled, or the peer was closed. */
  readonly drained: Promise<void>;
  readonly #connection: MessageConnection;
  readonly #writer: NewlineMessageWriter;
  readonly #answers: Answers;
  #closed: SidecarError | undefined;
  #drain = () => {};

  constructor(input: Readable, output: Writable, hooks: PeerHooks) {
    this.drained = new Promise((resolve) => {
      this.#drain = resolve;
    });
    this.#writer = new NewlineMessageWriter(output);
    this.#answers = new Answers(hooks.onRequest);
    this.#writer.onClose(() => this.#answers.close(transportClosed("The sidecar takes no more answers")));
    const report = (text: string) => hooks.onFault(new Error(redactText(text).slice(0, LONGEST_FAULT)));
    const logger = { error: report, warn: report, info: () => {}, log: () => {} };
    const reader = new NewlineMessageReader(input, { mostAhead: MOST_AHEAD });
    this.#connection = createMessageConnection(reader, this.#writer, logger, {
      messageStrategy: {
        handleMessage: (message, next) => {
          if (message === END_OF_INPUT) return this.#drain();
          reader.handled(message);
          keepErrorKind(message);
          return next(message);
        },
      },
    });
    this.#connection.onError(([error]) => hooks.onFault(error));
    this.#connection.onNotification((method: string, params: unknown) => hooks.onNotification(method, isRecord(params) ? params : {}));
    this.#connection.onRequest((method: string, params: unknown, token: CancellationToken) => this.#answers.answer(method, params, token));
    this.#connection.listen();
  }

  /**
   * Sends a request. Rejects with a SidecarError: what the sidecar answered, or kind `timeout` or
   * `cancelled` at once, with the request cancelled at the sidecar, or kind `transport_closed`.
   */
  request(method: string, params: object | null | undefined, limits: RequestLimits): Promise<unknown> {
    const cancellation = new CancellationTokenSource();
    let givenUp = false;
    const begin = async () => {
      if (this.#closed !== undefined) throw this.#closed;
      try {
        const { token } = cancellation;
        const result: unknown = await (params ? this.#connection.sendRequest(method, params, token) : this.#connection.sendRequest(method, token));
        if (givenUp) limits.onLate?.(result);
        return result;
      } catch (error) {
        throw this.#explain(error);
      }
    };
    return limited(method, limits, begin, () => {
      givenUp = true;
      cancellation.cancel();
    });
  }

  /** Closes the sidecar's stdin: it ends in order. */
  endInput(): void {
    this.#answers.close(transportClosed("The input of the sidecar was closed"));
    this.#writer.end();
  }

  /** The sidecar is gone: rejects everything pending with `error`, now and from now on. */
  close(error: SidecarError): void {
    this.#closed ??= error;
    this.#answers.close(error);
    this.#connection.dispose();
    // What a disposed connection had not handled it never will.
    this.#drain();
  }

  #explain(error: unknown): unknown {
    if (error instanceof SidecarError) return error;
    if (this.#closed !== undefined) return this.#closed;
    if (error instanceof ConnectionError) return transportClosed("The sidecar takes no more requests");
    if (!(error instanceof ResponseError)) return new SidecarError(errorTable.internal.code, "internal", "The reply has neither a result nor an error");
    if (error.data instanceof ErrorDetail) return new SidecarError(error.code, error.data.kind ?? kindOf(error.code), error.message, error.data.data);
    if (error.code === ErrorCodes.MessageWriteError && !this.#writer.broken) {
      return new SidecarError(errorTable.invalid_params.code, "invalid_params", `The params cannot be sent as JSON: ${error.message}`);
    }
    return transportClosed("The sidecar takes no more requests");
  }
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Carries through vscode-jsonrpc what its error class has no field for. */
class ErrorDetail {
  readonly kind: string | undefined;
  readonly data: Record<string, unknown> | undefined;

  constructor(error: { kind?: unknown; data?: unknown }) {
    this.kind = typeof error.kind === "string" ? error.kind : undefined;
    this.data = isRecord(error.data) ? error.data : undefined;
  }
}

function keepErrorKind(message: Message): void {
  if (!Message.isResponse(message) || !isRecord(message.error)) return;
  message.error.data = new ErrorDetail(message.error) as object;
}
