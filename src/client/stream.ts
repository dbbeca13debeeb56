import type { Feed, StreamChunk, StreamEnd } from "./feed.ts";

/**
 * One answer as it comes. Iterate it, or ask for its `text()`, or both; whatever happens to the
 * sidecar, it ends exactly once.
 *
 * `for await` gives the chunks in order and finishes after the terminal. It throws a SidecarError
 * whose kind says why when the stream failed, or when the sidecar died. A stream that was cancelled
 * (`cancel()`, the signal, or leaving the loop early) finishes without throwing, after the chunks
 * that had come; `done` then has `cancelled: true`, and `text()` gives what had come.
 *
 * Chunks that are not read wait in the host's memory, in one buffer per stream, without bound. A
 * stream is iterated once.
 */
export class ChatStream implements AsyncIterable<StreamChunk, StreamEnd>, AsyncDisposable {
  readonly #feed: Feed;
  readonly #cancel: () => void;
  #iterated = false;

  /** Made by `sidecar.stream`. */
  constructor(feed: Feed, cancel: () => void) {
    this.#feed = feed;
    this.#cancel = cancel;
  }

  /** The id on the wire; rejects when the sidecar refused the call. */
  get streamId(): Promise<string> {
    return this.#feed.opened;
  }

  /** How the stream ended; rejects with a SidecarError when it failed. Nobody has to look at it. */
  get done(): Promise<StreamEnd> {
    return this.#feed.ended;
  }

  /** The whole answer, once it has ended; rejects when the stream failed. */
  async text(): Promise<string> {
    await this.#feed.ended;
    return this.#feed.text;
  }

  /** Stops the stream. Resolves when it has ended, in whatever way; nothing happens when it had. */
  async cancel(): Promise<void> {
    this.#cancel();
    await this.#feed.ended.catch(() => undefined);
  }

  [Symbol.asyncIterator](): AsyncIterator<StreamChunk, StreamEnd> {
    if (this.#iterated) throw new TypeError("A chat stream can be iterated only once");
    this.#iterated = true;
    const feed = this.#feed;
    return {
      next: () => feed.read(),
      return: async () => {
        feed.drop();
        this.#cancel();
        return { done: true, value: { ok: false, cancelled: true } };
      },
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.cancel();
  }
}
