import type { CallParams } from "../contract/index.ts";
import type { CallOptions } from "./deadline.ts";
import type { Feed, StreamChunk, StreamEnd } from "./feed.ts";
import type { ChatToolCall } from "./tool-calls.ts";

/** What a stream came to: its end, and what was said and called until then. */
export interface ChatResult extends StreamEnd {
  /** All that the model said in the turn, before and between its calls of tools too. */
  text: string;
  /** Every call of the turn, in order. */
  toolCalls: ChatToolCall[];
}

export type SteerContent = CallParams<"agent.chat.steer">["content"];

/** What a stream can ask of the sidecar. */
export interface TurnControl {
  cancel(): void;
  steer(content: SteerContent, options: CallOptions): Promise<void>;
}

/**
 * One answer as it comes. Iterate it, or ask for its `text()` or `result()`, or both; whatever happens
 * to the sidecar, it ends exactly once.
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
  readonly #control: TurnControl;
  #iterated = false;

  /** Made by `sidecar.stream`. */
  constructor(feed: Feed, control: TurnControl) {
    this.#feed = feed;
    this.#control = control;
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

  /** The whole turn, once it has ended; rejects when the stream failed. */
  async result(): Promise<ChatResult> {
    const end = await this.#feed.ended;
    return { ...end, text: this.#feed.text, toolCalls: this.#feed.toolCalls };
  }

  /**
   * Adds a user message to the turn while it runs (`agent.chat.steer`): the model gets it with its next call,
   * and there is one. Resolves when the sidecar has it; rejects with a SidecarError, of `data.code`
   * `stream_not_found` when the turn has ended, or is about to.
   */
  steer(content: SteerContent, options: CallOptions = {}): Promise<void> {
    return this.#control.steer(content, options);
  }

  /** Stops the stream. Resolves when it has ended, in whatever way; nothing happens when it had. */
  async cancel(): Promise<void> {
    this.#control.cancel();
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
        this.#control.cancel();
        return { done: true, value: { ok: false, cancelled: true } };
      },
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.cancel();
  }
}
