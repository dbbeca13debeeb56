import type { CallParams } from "../contract/index.ts";
import { after } from "./deadline.ts";
import { aborted, SidecarError, streamFailure } from "./error.ts";
import { Feed, type StreamChunk, type StreamEnd } from "./feed.ts";
import { isRecord, type Peer } from "./peer.ts";
import { ChatStream } from "./stream.ts";

/** How long the terminal of a cancelled stream is waited for, before the stream ends without it. */
const CANCEL_MS = 5_000;
/** Deadline of the request that cancels; the terminal is what counts. */
const CANCEL_REQUEST_MS = 5_000;

export interface StreamOptions {
  /** Cancels the stream. */
  signal?: AbortSignal | undefined;
  /** How long the sidecar may take to acknowledge the call (not: to answer); 60,000 when left out. */
  timeoutMs?: number | undefined;
}

interface Notice {
  method: string;
  params: Record<string, unknown>;
}

/** Brings the notifications of streams to their readers. */
export class Streams {
  readonly #open = new Map<string, Feed>();
  /** Notifications of streams that have no name here yet: they may overtake the handling of the reply. */
  readonly #early = new Map<string, Notice[]>();
  #starting = 0;

  start(params: CallParams<"agent.chat.stream">, findPeer: () => Peer | Promise<Peer>, options: { signal?: AbortSignal | undefined; timeoutMs: number }): ChatStream {
    const feed = new Feed();
    const { signal } = options;
    // Until the sidecar has named the stream, cancelling it means cancelling the request.
    const start = new AbortController();
    let peer: Peer | undefined;
    let cancelled = false;
    const cancel = () => {
      if (cancelled || feed.closed) return;
      cancelled = true;
      if (peer === undefined || feed.streamId === undefined) {
        start.abort(signal?.reason);
        return;
      }
      sendCancel(peer, feed.streamId);
      const timer = after(CANCEL_MS, () => feed.finish({ ok: false, cancelled: true })).unref();
      const settled = () => clearTimeout(timer);
      feed.ended.then(settled, settled);
    };
    const run = async () => {
      try {
        peer = await findPeer();
        await this.#begin(feed, peer, params, start.signal, options.timeoutMs);
      } catch (error) {
        const failure = error instanceof SidecarError ? error : aborted("agent.chat.stream", error);
        feed.refuse(failure);
        if (cancelled) feed.finish({ ok: false, cancelled: true });
        else feed.fail(failure);
      }
    };
    if (signal?.aborted) cancel();
    signal?.addEventListener("abort", cancel, { once: true });
    const release = () => signal?.removeEventListener("abort", cancel);
    feed.ended.then(release, release);
    void run();
    return new ChatStream(feed, cancel);
  }

  /** A notification of the sidecar; those that are about no stream are left alone. */
  receive(method: string, params: Record<string, unknown>): void {
    const { streamId } = params;
    if (typeof streamId !== "string" || !method.startsWith("stream.")) return;
    const feed = this.#open.get(streamId);
    if (feed !== undefined) {
      this.#deliver(feed, streamId, { method, params });
      return;
    }
    if (this.#starting === 0) return;
    const early = this.#early.get(streamId);
    if (early === undefined) this.#early.set(streamId, [{ method, params }]);
    else early.push({ method, params });
  }

  /** The sidecar is gone, and its streams with it. */
  failAll(error: SidecarError): void {
    const feeds = [...this.#open.values()];
    this.#open.clear();
    this.#early.clear();
    for (const feed of feeds) feed.fail(error);
  }
}
