import type { Dispatcher } from "undici";
import type { Failure } from "../errors.ts";
import { loopShare } from "../loop-share.ts";
import { connectionsVia } from "./connections.ts";
import { Countdown } from "./countdown.ts";
import { bodyFailure, connectionFailure, statusFailure } from "./faults.ts";
import type { ProviderSettings } from "./provider.ts";
import { proxyFor } from "./proxy.ts";

export interface Post {
  url: URL;
  headers: Readonly<Record<string, string>>;
  body: string;
}

/** What one read of the response body gives. */
export type Arrival = { type: "bytes"; bytes: Buffer } | { type: "end" } | { type: "failure"; failure: Failure } | { type: "aborted" };

/** A response with a 2xx status, its body still to be read. */
export interface Reply {
  contentType: string;
  /** Everything that arrived since the last call, or waits until something does. Does not reset the silence: bytes are not yet a sign of life. */
  read(): Promise<Arrival>;
  /** Closes the connection at once; harmless when all is over. */
  close(): void;
  /** The rest is not wanted: reads it away for a moment, so that the connection can serve the next call, else closes it. */
  finish(): void;
}

export type PostOutcome = { type: "reply"; reply: Reply } | { type: "failure"; failure: Failure } | { type: "aborted" };

/**
 * One POST to a model server, with the response as a stream. Never rejects.
 *
 * Follows 307 and 308 to the same origin, three times at most; every other redirect is refused,
 * because the key and the conversation go to the configured server only. `silence` runs while the
 * server is waited for. When `signal` is aborted the connection is destroyed at once.
 */
export async function postForStream(post: Post, settings: ProviderSettings, silence: Countdown, signal: AbortSignal): Promise<PostOutcome> {
  let { url } = post;
  for (let hop = 0; ; hop++) {
    const exchange = await send({ ...post, url }, settings, silence, signal);
    if (!(exchange instanceof Exchange)) return exchange;

    const refused = await exchange.started();
    if (refused !== undefined) return refused;
    if (exchange.status >= 200 && exchange.status < 300) return { type: "reply", reply: exchange };

    if (exchange.status >= 400) return refusal(exchange);
    exchange.finish();
    const target = redirectTarget(exchange, url);
    if (typeof target === "string") return { type: "failure", failure: { kind: "redirect_refused", message: target, status: exchange.status } };
    if (hop === MOST_REDIRECTS) {
      return {
        type: "failure",
        failure: {
          kind: "redirect_refused",
          message: `The model server redirected more than ${MOST_REDIRECTS} times`,
          status: exchange.status,
        },
      };
    }
    url = target;
  }
}

const MOST_REDIRECTS = 3;
/** Bytes queued for the consumer before the socket is left unread. */
const HIGH_WATER = 64 * 1024;
/** The start of an error body that is searched for the server's message, and how long to wait for it. */
const ERROR_BODY_BYTES = 64 * 1024;
const ERROR_BODY_MS = 5_000;
/** What a finished response may still send before its connection is given up. */
const LEFTOVER_BYTES = 64 * 1024;
const LEFTOVER_MS = 1_000;

async function send(post: Post, settings: ProviderSettings, silence: Countdown, signal: AbortSignal): Promise<Exchange | PostOutcome> {
  const { url } = post;
  let proxy: URL | undefined;
  try {
    proxy = proxyFor(url, process.env);
  } catch {
    return {
      type: "failure",
      failure: { kind: "connect_failed", message: "The proxy variables of the environment do not hold a URL", retryable: false },
    };
  }
  const viaProxy = proxy !== undefined;
  try {
    const connections = await connectionsVia(proxy, settings.connectTimeoutMs);
    if (signal.aborted) return { type: "aborted" };
    const exchange = new Exchange(url, viaProxy, new Countdown(settings.connectTimeoutMs), silence, signal);
    connections.dispatch({ origin: url.origin, path: url.pathname + url.search, method: "POST", headers: { ...post.headers }, body: post.body }, exchange);
    return exchange;
  } catch (error) {
    return { type: "failure", failure: connectionFailure(error, url, viaProxy) };
  }
}

/** Where to send the request again, or why not. */
function redirectTarget(exchange: Exchange, from: URL): URL | string {
  const location = exchange.header("location");
  if (location === undefined || !URL.canParse(location, from.href)) return `The model server answered ${exchange.status} without a usable address`;
  const target = new URL(location, from);
  // Other statuses would turn the POST into a GET.
  if (exchange.status !== 307 && exchange.status !== 308)
    return `The model server redirected with ${exchange.status}, which does not keep the request; check the base URL`;
  if (target.origin !== from.origin) return `The model server redirected to another origin (${target.origin}), which is not followed`;
  return target;
}

/** The failure of a 4xx or 5xx, with what the server says about it. */
async function refusal(exchange: Exchange): Promise<PostOutcome> {
  // An error page that never ends must not keep the turn waiting.
  const deadline = setTimeout(() => exchange.close(), ERROR_BODY_MS);
  const parts: Buffer[] = [];
  let size = 0;
  for (;;) {
    const arrival = await exchange.read();
    if (arrival.type === "aborted") {
      clearTimeout(deadline);
      return arrival;
    }
    // However the body ended: the status alone says enough.
    if (arrival.type !== "bytes") break;
    parts.push(arrival.bytes);
    size += arrival.bytes.length;
    if (size >= ERROR_BODY_BYTES) break;
  }
  clearTimeout(deadline);
  exchange.finish();
  const body = Buffer.concat(parts).subarray(0, ERROR_BODY_BYTES).toString("utf8");
  return { type: "failure", failure: statusFailure(exchange.status, body, exchange.header("retry-after"), Date.now()) };
}

/** One request and its response, as undici reports them. */
class Exchange implements Dispatcher.DispatchHandler, Reply {
  status = 0;
  #headers: Readonly<Record<string, string | string[] | undefined>> = {};

  readonly #url: URL;
  readonly #viaProxy: boolean;
  readonly #connecting: Countdown;
  readonly #silence: Countdown;
  readonly #signal: AbortSignal;

  #controller: Dispatcher.DispatchController | undefined;
  /** Arrived, and not yet read. */
  #chunks: Buffer[] = [];
  #bytes = 0;
  #ended = false;
  #failure: Failure | undefined;
  /** The consumer wants nothing more. */
  #closed = false;
  #draining = false;
  #leftover: NodeJS.Timeout | undefined;
  #wake: (() => void) | undefined;

  constructor(url: URL, viaProxy: boolean, connecting: Countdown, silence: Countdown, signal: AbortSignal) {
    this.#url = url;
    this.#viaProxy = viaProxy;
    this.#connecting = connecting;
    this.#silence = silence;
    this.#signal = signal;
    signal.addEventListener("abort", this.#abort);
  }

  get contentType(): string {
    return (this.header("content-type") ?? "").toLowerCase();
  }

  header(name: string): string | undefined {
    const value = this.#headers[name];
    return Array.isArray(value) ? value[0] : value;
  }

  /** Waits for the status; gives what came instead of one. */
  async started(): Promise<Exclude<PostOutcome, { type: "reply" }> | undefined> {
    // No time limit of undici covers name lookup, connection and TLS together, or the proxy.
    while (this.#controller === undefined && !this.#isOver) {
      await this.#event(this.#connecting, {
        kind: "connect_failed",
        message: `No connection to ${this.#url.host} within ${this.#connecting.limitMs} ms`,
      });
    }
    while (this.status === 0 && !this.#isOver) await this.#event(this.#silence, this.#silent());
    if (this.#signal.aborted) return { type: "aborted" };
    return this.status === 0 && this.#failure !== undefined ? { type: "failure", failure: this.#failure } : undefined;
  }

  async read(): Promise<Arrival> {
    let isMyTurn = false;
    for (;;) {
      if (this.#signal.aborted) return { type: "aborted" };
      if (this.#chunks.length > 0) {
        // What is given here is worked on at once.
        const turn = isMyTurn ? undefined : loopShare.turn();
        if (turn === undefined) return { type: "bytes", bytes: this.#take() };
        await turn;
        isMyTurn = true;
        continue;
      }
      if (this.#failure !== undefined) return { type: "failure", failure: this.#failure };
      if (this.#ended || this.#closed) return { type: "end" };
      await this.#event(this.#silence, this.#silent());
    }
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#release();
    // Before the request was sent there is no controller; `onRequestStart` then ends it.
    this.#controller?.abort(new Error("The response is not wanted any more"));
    this.#wake?.();
  }

  finish(): void {
    if (this.#isOver) return this.close();
    this.#draining = true;
    this.#chunks = [];
    this.#bytes = 0;
    this.#leftover = setTimeout(() => this.close(), LEFTOVER_MS);
    this.#leftover.unref();
    this.#controller?.resume();
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    if (this.#closed) controller.abort(new Error("The request is not wanted any more"));
    this.#wake?.();
  }

  onResponseStart(_controller: Dispatcher.DispatchController, status: number, headers: Record<string, string | string[] | undefined>): void {
    // 1xx says that the answer is still to come.
    if (status < 200) return;
    this.status = status;
    this.#headers = headers;
    this.#wake?.();
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.#closed) return;
    this.#bytes += chunk.length;
    if (this.#draining) {
      if (this.#bytes > LEFTOVER_BYTES) this.close();
      return;
    }
    this.#chunks.push(chunk);
    if (this.#bytes >= HIGH_WATER) controller.pause();
    this.#wake?.();
  }

  onResponseEnd(): void {
    this.#ended = true;
    this.#release();
    this.#wake?.();
  }

  onResponseError(_controller: Dispatcher.DispatchController | undefined, error: Error): void {
    if (!this.#isOver) this.#failure = this.status === 0 ? connectionFailure(error, this.#url, this.#viaProxy) : bodyFailure(error);
    this.#release();
    this.#wake?.();
  }

  readonly #abort = (): void => this.close();

  get #isOver(): boolean {
    return this.#ended || this.#closed || this.#failure !== undefined;
  }

  #silent(): Failure {
    return { kind: "timeout", message: `The model server was silent for longer than ${this.#silence.limitMs} ms` };
  }

  /** Waits until undici reports something; fails with `late` and closes when the time is up. */
  async #event(time: Countdown, late: Failure): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
      time.start(() => {
        this.#failure = late;
        this.close();
      });
    });
    this.#wake = undefined;
    time.stop();
  }

  #take(): Buffer {
    const [first] = this.#chunks;
    const bytes = this.#chunks.length === 1 && first !== undefined ? first : Buffer.concat(this.#chunks, this.#bytes);
    this.#chunks = [];
    this.#bytes = 0;
    if (this.#controller?.paused === true) this.#controller.resume();
    return bytes;
  }

  #release(): void {
    clearTimeout(this.#leftover);
    this.#signal.removeEventListener("abort", this.#abort);
  }
}
