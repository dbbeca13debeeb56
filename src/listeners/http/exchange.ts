import { AsyncLocalStorage } from "node:async_hooks";
import type { ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { Caller } from "../../contract/caller.ts";
import { fail, type WireError } from "../../errors.ts";
import { type Call, Request } from "../../rpc/request.ts";
import type { Door } from "../../runtime/door.ts";

/** What answers calls; see `App.answer`. */
export interface Answerer {
  answer(call: Call, door: Door): unknown;
}

const running = new AsyncLocalStorage<{ requestId: string }>();

/** The request that the code which asks was started for, however far behind it has run since. */
export function currentRequest(): { requestId: string } | undefined {
  return running.getStore();
}

/** How long a client may take for what it is told at the deadline, or was told before. */
const LAST_WORDS_MS = 5_000;

/** One HTTP request while it is being answered: who asks, and what may end it. */
export class Exchange {
  /** Of the header `X-Request-Id`. */
  readonly requestId: string;
  readonly startedAt = performance.now();
  readonly #response: ServerResponse;
  #reason: WireError | undefined;
  #controller: AbortController | undefined;
  #caller: Caller | undefined;
  #deadline: NodeJS.Timeout | undefined;
  #permit: (() => void) | undefined;
  /** Given back when the response is over. */
  #held: (() => void)[] = [];
  /** The response was closed, which is a moment later than that it was destroyed. */
  #isOver = false;

  constructor(requestId: string, response: ServerResponse) {
    this.requestId = requestId;
    this.#response = response;
    response.once("close", () => {
      this.#isOver = true;
      clearTimeout(this.#deadline);
      if (!response.writableFinished) this.end(fail("cancelled", undefined, "The client has closed the connection"));
      for (const release of this.#held.splice(0)) release();
    });
    closeInLine(response);
  }

  /** Aborted when the client is gone, time is up, or the process ends; the reason is a `WireError`. */
  get signal(): AbortSignal {
    // Made for those who ask: it is a good part of what a request costs that is answered at once.
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#reason !== undefined) this.#controller.abort(this.#reason);
    }
    return this.#controller.signal;
  }

  /** Why it was ended before it was answered. */
  get reason(): WireError | undefined {
    return this.#reason;
  }

  get isGone(): boolean {
    return this.#response.destroyed;
  }

  /** Whether a part of the answer was sent on this connection, and the rest was not. */
  isAnsweredOn(socket: Socket): boolean {
    return this.#response.socket === socket && this.#response.headersSent;
  }

  get caller(): Caller {
    // Every route that asks for it has authenticated before.
    if (this.#caller === undefined) throw new Error("The caller is not known yet");
    return this.#caller;
  }

  set caller(caller: Caller) {
    this.#caller = caller;
  }

  get subject(): string | undefined {
    return this.#caller?.subject;
  }

  /** Calls `release` when the response is over, however it ends. */
  hold(release: () => void): void {
    if (this.#isOver) release();
    else this.#held.push(release);
  }

  /** The place that the request takes, to be given back when the response is over. */
  setPermit(release: () => void): void {
    this.#permit = release;
    this.hold(() => this.takePermit()?.());
  }

  /** Hands the place on to what the request has started and outlives it. Undefined when it was taken before. */
  takePermit(): (() => void) | undefined {
    const permit = this.#permit;
    this.#permit = undefined;
    return permit;
  }

  /** A client that has not taken its answer by then gets a little longer, and is cut off. */
  endAfter(ms: number): void {
    if (this.#isOver) return;
    const cut = () => this.#response.destroy();
    const end = () => {
      this.end(fail("timeout", undefined, "The request took too long"));
      this.#deadline = setTimeout(cut, LAST_WORDS_MS).unref();
    };
    this.#deadline = setTimeout(end, ms).unref();
  }

  /** Ends what runs for the request; the first reason counts. */
  end(reason: WireError): void {
    if (this.#reason !== undefined) return;
    this.#reason = reason;
    this.#controller?.abort(reason);
  }

  /** Runs what the request has started, so that `currentRequest` knows it. */
  run<T>(work: () => T): T {
    return running.run({ requestId: this.requestId }, work);
  }

  /** Makes a call of a method. Rejects with its error, or with the reason why the request has ended. What waits for the reply runs with `whenTold`. */
  async ask(app: Answerer, method: string, params: object, door: Door): Promise<{ result: unknown; whenTold(): void }> {
    const call = new Request(this.requestId, method, { ...params });
    const { signal } = this;
    let stop: () => void = () => undefined;
    // A handler that ignores its signal must not keep its caller waiting.
    const ended = new Promise<never>((_, reject) => {
      stop = () => {
        const reason = this.reason ?? fail("cancelled");
        call.interrupt(reason);
        reject(reason);
      };
    });
    signal.addEventListener("abort", stop, { once: true });
    if (signal.aborted) stop();
    try {
      const result = await Promise.race([ended, this.run(async () => app.answer(call, door))]);
      return { result, whenTold: () => call.written()?.() };
    } finally {
      signal.removeEventListener("abort", stop);
    }
  }

  /** Makes a call that is carried out even when the request has ended, and whose answer nobody waits for. */
  async askOnce(app: Answerer, method: string, params: object, door: Door): Promise<void> {
    await app.answer(new Request(this.requestId, method, { ...params }), door);
  }
}

/**
 * A response that stands in line behind others on its connection (pipelining) has no connection yet, and Node does not
 * tell it when that is closed.
 */
function closeInLine(response: ServerResponse): void {
  if (response.socket !== null) return;
  const { socket } = response.req;
  const close = () => {
    response.destroy();
    response.emit("close");
  };
  // There may be as many of them as there are requests in line.
  socket.setMaxListeners(0).once("close", close);
  response.once("socket", () => socket.off("close", close));
}
