import { type Caller, isAdmin } from "../../../contract/caller.ts";
import { fail } from "../../../errors.ts";
import type { StreamSink } from "../../../runtime/turns/run.ts";
import { KeptStream } from "./kept-stream.ts";

/** How long the events of a stream are kept behind its end. Milliseconds. */
const KEPT_MS = 10 * 60_000;
/** Most that is kept of all streams together. What has ended first goes first. */
const MOST_IN_ALL = 128 * 1024 * 1024;

/** The streams that were started over HTTP, with their events. */
export class KeptStreams {
  /** By owner and id: what callers call their streams is their own business. */
  readonly #streams = new Map<string, KeptStream>();
  /** Those that have ended, the first one first. */
  readonly #ended = new Map<KeptStream, NodeJS.Timeout>();
  readonly #sizes = new Map<KeptStream, number>();
  readonly #keptMs: number;
  readonly #most: number;
  #size = 0;

  constructor({ keptMs = KEPT_MS, most = MOST_IN_ALL }: { keptMs?: number; most?: number } = {}) {
    this.#keptMs = keptMs;
    this.#most = most;
  }

  /** A new stream takes the place of one with the same id that has ended. `onOver` is called when it has ended. */
  open(streamId: string, caller: Caller, onOver: () => void = () => undefined): StreamSink {
    const stream = new KeptStream(streamId, caller.subject, (changed) => {
      if (changed.isOver) onOver();
      this.#changed(changed);
    });
    const before = this.#streams.get(keyOf(stream));
    if (before !== undefined) this.#drop(before);
    this.#streams.set(keyOf(stream), stream);
    return stream;
  }

  /** Whether the whole of a turn, named by its trace, can still be read there. */
  keeps(streamId: string, traceId: string, { subject }: Caller): boolean {
    const stream = this.#streams.get(keyOf({ streamId, owner: subject }));
    return stream?.isWhole === true && stream.traceId === traceId;
  }

  /** Throws `stream_not_found` for what is not there, or not the caller's. */
  find(streamId: string, caller: Caller): KeptStream {
    const own = this.#streams.get(keyOf({ streamId, owner: caller.subject }));
    const stream = own ?? (isAdmin(caller) ? [...this.#streams.values()].findLast((each) => each.streamId === streamId) : undefined);
    if (stream === undefined) throw fail("stream_not_found", { streamId });
    return stream;
  }

  close(): void {
    for (const timer of this.#ended.values()) clearTimeout(timer);
  }

  #changed(stream: KeptStream): void {
    // It may have given its place to another one meanwhile.
    if (this.#streams.get(keyOf(stream)) !== stream) return;
    this.#size += stream.size - (this.#sizes.get(stream) ?? 0);
    this.#sizes.set(stream, stream.size);
    if (stream.isOver && !this.#ended.has(stream)) {
      const timer = setTimeout(() => this.#drop(stream), this.#keptMs);
      timer.unref();
      this.#ended.set(stream, timer);
    }
    for (const oldest of this.#ended.keys()) {
      if (this.#size <= this.#most) break;
      this.#drop(oldest);
    }
  }

  #drop(stream: KeptStream): void {
    clearTimeout(this.#ended.get(stream));
    this.#ended.delete(stream);
    this.#size -= this.#sizes.get(stream) ?? 0;
    this.#sizes.delete(stream);
    if (this.#streams.get(keyOf(stream)) === stream) this.#streams.delete(keyOf(stream));
  }
}

function keyOf({ streamId, owner }: Pick<KeptStream, "streamId" | "owner">): string {
  return JSON.stringify([owner, streamId]);
}
