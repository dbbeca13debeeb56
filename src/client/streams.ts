import { type SidecarError, streamFailure } from "./error.ts";
import { isRecord } from "./peer.ts";
import type { Feed, StreamChunk, StreamEnd } from "./feed.ts";

interface Notice {
  method: string;
  params: Record<string, unknown>;
}

/** The streams that are open, by id: brings each notification to its feed. */
export class Streams {
  /** Mostly one for each: a turn that is asked for again with its `idempotencyKey` while it runs is the same stream. */
  readonly #feeds = new Map<string, Feed[]>();
  /** Calls whose stream has no id yet. */
  #expected = 0;
  /** What came for streams without a feed while some were expected. */
  readonly #early = new Map<string, Notice[]>();

  /** A call is about to be sent whose reply names a stream: until `expectLess`, notifications of unknown streams are kept. */
  expect(): void {
    this.#expected++;
  }

  expectLess(): void {
    this.#expected--;
    if (this.#expected === 0) this.#early.clear();
  }

  add(streamId: string, feed: Feed): void {
    const others = this.#feeds.get(streamId);
    if (others?.[0] !== undefined) {
      feed.join(streamId, others[0]);
      others.push(feed);
      return;
    }
    this.#feeds.set(streamId, [feed]);
    const early = this.#early.get(streamId) ?? [];
    this.#early.delete(streamId);
    for (const notice of early) this.receive(notice.method, notice.params);
  }

  /** Any notification of the sidecar; those that belong to no stream are left alone. */
  receive(method: string, params: Record<string, unknown>): void {
    const { streamId } = params;
    if (typeof streamId !== "string" || !method.startsWith("stream.")) return;
    const feeds = this.#feeds.get(streamId);
    if (feeds !== undefined) this.#deliver(feeds, streamId, method, params);
    else if (this.#expected > 0) this.#keep(streamId, { method, params });
  }

  /** The sidecar is gone, and its streams with it. */
  loseAll(error: SidecarError): void {
    const feeds = [...this.#feeds.values()].flat();
    this.#feeds.clear();
    this.#early.clear();
    for (const feed of feeds) feed.lose(error);
  }

  #deliver(feeds: readonly Feed[], streamId: string, method: string, params: Record<string, unknown>): void {
    if (method === "stream.chunk") {
      if (isChunk(params)) for (const feed of feeds) feed.push(params);
      return;
    }
    if (method !== "stream.done" && method !== "stream.error") return;
    this.#feeds.delete(streamId);
    for (const feed of feeds) {
      if (method === "stream.error") feed.fail(streamFailure(params));
      else feed.finish(streamEnd(params));
    }
  }

  #keep(streamId: string, notice: Notice): void {
    const early = this.#early.get(streamId);
    if (early === undefined) this.#early.set(streamId, [notice]);
    else early.push(notice);
  }
}

/** What iterating rests on is checked; the rest is as the sidecar's own contract has it. */
function isChunk(params: Record<string, unknown>): params is StreamChunk {
  const { delta, toolCall, toolResult } = params;
  return (delta === undefined || typeof delta === "string") && [toolCall, toolResult].every((part) => part === undefined || isRecord(part));
}

function streamEnd(params: Record<string, unknown>): StreamEnd {
  const { streamId: _streamId, seq: _seq, ok, ...rest } = params;
  return { ...rest, ok: ok === true };
}
