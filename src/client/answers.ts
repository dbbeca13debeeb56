import { type CancellationToken, ResponseError } from "vscode-jsonrpc/node";
import { errorTable } from "../errors.ts";
import { redactText } from "../redact.ts";
import { aborted, SidecarError } from "./error.ts";

/**
 * Answers a request of the sidecar with anything that is JSON; whatever it throws is an error answer.
 * The signal is aborted when nobody waits any more; its reason is a SidecarError of kind `cancelled`
 * (the sidecar has given up) or `transport_closed` (the sidecar is gone).
 */
export type RequestHandler = (method: string, params: unknown, signal: AbortSignal) => unknown;

/** Longest message of an error answer, in characters. */
const LONGEST_MESSAGE = 2_000;

/** The requests of one sidecar that are being answered. */
export class Answers {
  readonly #handle: RequestHandler;
  readonly #running = new Set<AbortController>();
  #closed = false;

  constructor(handle: RequestHandler) {
    this.#handle = handle;
  }

  /**
   * The result or a ResponseError, for vscode-jsonrpc to send. A request that is cancelled is answered at
   * once, whatever its handler does; one that nobody can hear the answer to any more never is.
   */
  answer(method: string, params: unknown, token: CancellationToken): Promise<unknown> {
    if (token.isCancellationRequested) return Promise.resolve(errorAnswer(aborted(method, undefined)));
    return new Promise((resolve) => {
      if (this.#closed) return;
      const controller = new AbortController();
      this.#running.add(controller);
      const settle = (answer: unknown) => {
        if (this.#running.delete(controller)) resolve(answer);
      };
      token.onCancellationRequested(() => {
        const reason = aborted(method, undefined);
        settle(errorAnswer(reason));
        controller.abort(reason);
      });
      void this.#run(method, params, controller.signal).then(settle);
    });
  }

  /** The sidecar hears no answers any more. */
  close(reason: SidecarError): void {
    this.#closed = true;
    const running = [...this.#running];
    this.#running.clear();
    for (const controller of running) controller.abort(reason);
  }

  async #run(method: string, params: unknown, signal: AbortSignal): Promise<unknown> {
    try {
      const result = await this.#handle(method, params, signal);
      // Written once here, so that what cannot be JSON is answered like any other failure. A reply has to
      // have a result, which undefined and functions are not.
      return JSON.stringify(result) === undefined ? null : result;
    } catch (error) {
      return errorAnswer(error);
    }
  }
}

function errorAnswer(error: unknown): ResponseError<void> {
  const code = error instanceof SidecarError ? error.code : errorTable.internal.code;
  const message = redactText(textOf(error));
  return new ResponseError(code, message.length > LONGEST_MESSAGE ? `${message.slice(0, LONGEST_MESSAGE)}…` : message);
}

/** What a handler throws is the host's: it may be anything, and its message a getter that throws. */
function textOf(thrown: unknown): string {
  try {
    const text: unknown = thrown instanceof Error ? thrown.message || thrown.name : thrown;
    if (typeof text === "string" && text !== "") return text;
  } catch {
    // Said below.
  }
  return "The host failed without saying why";
}
