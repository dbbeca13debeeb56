/** A request or notification that has passed the rules of JSON-RPC. */
export interface Call {
  readonly method: string;
  /** An object, or undefined when absent or null. */
  readonly params: Record<string, unknown> | undefined;
  /** Aborted when the caller cancels the request, or the connection gives up on it. */
  readonly signal: AbortSignal;
  /** Runs once the reply was handed to the operating system; at once for a notification. */
  afterReply(run: () => void): void;
}

/** A request while it is being answered. */
export class Request implements Call {
  readonly key: string;
  readonly method: string;
  readonly params: Record<string, unknown> | undefined;
  onCancel: (() => void) | undefined;
  /** Made on demand: most requests are done before anybody asks for it. */
  #controller: AbortController | undefined;
  #interrupted: { reason: Error } | undefined;
  #afterReply: (() => void)[] | undefined;
  #replied = false;

  constructor(key: string, method: string, params: Record<string, unknown> | undefined) {
    this.key = key;
    this.method = method;
    this.params = params;
  }

  get signal(): AbortSignal {
    this.#controller ??= new AbortController();
    if (this.#interrupted !== undefined) this.#controller.abort(this.#interrupted.reason);
    return this.#controller.signal;
  }

  /** `reason` is that of the signal; the first one counts. */
  interrupt(reason: Error): void {
    this.#interrupted ??= { reason };
    this.#controller?.abort(this.#interrupted.reason);
  }

  cancel(reason: Error): void {
    this.interrupt(reason);
    this.onCancel?.();
  }

  afterReply(run: () => void): void {
    // The caller may have been answered already, when it cancelled the request.
    if (this.#replied) {
      run();
      return;
    }
    this.#afterReply ??= [];
    this.#afterReply.push(run);
  }

  /** Called when the reply is made: what is to run once it was written. */
  written(): (() => void) | undefined {
    this.#replied = true;
    const callbacks = this.#afterReply;
    if (callbacks === undefined) return undefined;
    return () => {
      for (const run of callbacks) run();
    };
  }
}
