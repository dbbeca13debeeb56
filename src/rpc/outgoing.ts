import { fail, type WireError } from "../errors.ts";

/** How long a request of ours may take, and who may give up on it. */
export interface OutgoingLimits {
  /** Milliseconds. */
  timeoutMs: number;
  signal: AbortSignal;
}

/** The peer has answered a request of ours with an error. */
export class PeerError extends Error {
  override name = "PeerError";
  readonly code: number;

  constructor(code: number, message: string) {
    super(message);
    this.code = code;
  }
}

/** Where a frame goes when it has to keep its place behind others. */
export type Via = (frame: string) => void;
type Send = (frame: { id?: string; method: string; params: unknown }, via?: Via) => void;

interface Pending {
  resolve(result: unknown): void;
  reject(error: Error): void;
}

/** Requests in the other direction: ids of our own (`srv_<n>`), each with a deadline; whatever the peer answers late is dropped. */
export class Outgoing {
  readonly #send: Send;
  readonly #pending = new Map<string, Pending>();
  #count = 0;
  #closed: WireError | undefined;

  constructor(send: Send) {
    this.#send = send;
  }

  /**
   * Resolves with the peer's result. Rejects with its error (`PeerError`), `timeout`, `cancelled` or
   * `transport_closed` (`data.sent` is true when the request was sent before); of the second and third the peer is told
   * with `$/cancelRequest`.
   */
  request(method: string, params: unknown, { timeoutMs, signal }: OutgoingLimits, via?: Via): Promise<unknown> {
    const closed = this.#closed;
    if (closed !== undefined) return Promise.reject(closed);
    if (signal.aborted) return Promise.reject(fail("cancelled"));
    const id = `srv_${++this.#count}`;
    return new Promise((resolve, reject) => {
      const settle = (run: () => void) => {
        this.#pending.delete(id);
        clearTimeout(timer);
        signal.removeEventListener("abort", abort);
        run();
      };
      const giveUp = (error: WireError) =>
        settle(() => {
          // The same way, so that it cannot overtake the request.
          this.#send({ method: "$/cancelRequest", params: { id } }, via);
          reject(error);
        });
      const abort = () => giveUp(fail("cancelled"));
      const timer = setTimeout(() => giveUp(fail("timeout", undefined, `The host did not answer within ${timeoutMs} ms`)), timeoutMs);
      signal.addEventListener("abort", abort, { once: true });
      this.#pending.set(id, {
        resolve: (result) => settle(() => resolve(result)),
        reject: (error) => settle(() => reject(error)),
      });
      this.#send({ id, method, params }, via);
    });
  }

  /** An answer of the peer. One that nobody waits for, or no longer, is dropped. */
  receive(id: unknown, answer: { result?: unknown; error?: unknown }): void {
    const pending = typeof id === "string" ? this.#pending.get(id) : undefined;
    if (pending === undefined) return;
    // Some libraries send both, and null for the one that does not hold.
    if (answer.error === undefined || (answer.error === null && "result" in answer)) pending.resolve(answer.result);
    else pending.reject(peerError(answer.error));
  }

  /** The peer will answer nothing more. */
  close(): void {
    const message = "The host has closed the connection";
    this.#closed ??= fail("transport_closed", undefined, message);
    for (const pending of this.#pending.values()) pending.reject(fail("transport_closed", { sent: true }, message));
  }
}

/** Characters of the peer's message that are passed on. */
const LONGEST_MESSAGE = 2048;

function peerError(error: unknown): PeerError {
  const { code, message } = typeof error === "object" && error !== null ? (error as { code?: unknown; message?: unknown }) : {};
  return new PeerError(
    typeof code === "number" ? code : 0,
    typeof message === "string" ? message.slice(0, LONGEST_MESSAGE) : "The host answered with an error",
  );
}
