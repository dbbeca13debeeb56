import { StringDecoder } from "node:string_decoder";
import { createParser, type EventSourceParser } from "eventsource-parser";

export interface SseEvent {
  /** The `event` field; undefined where there was none. */
  name: string | undefined;
  data: string;
}

/**
 * Server-sent events out of bytes that may be split anywhere, also inside a character.
 *
 * Follows the WHATWG rules, but for two habits of model servers: the last event may lack its blank
 * line (see `end`), and a line `error: …` (llama.cpp) is an event of that name. Comments, and events
 * without data, are dropped.
 */
export class SseDecoder {
  readonly #utf8 = new StringDecoder("utf8");
  readonly #parser: EventSourceParser;
  #isFirst = true;
  /** True once an event was larger than the cap: nothing more can be read. */
  isOverfull = false;

  constructor(onEvent: (event: SseEvent) => void, longestEvent = LONGEST_EVENT) {
    this.#parser = createParser({
      maxBufferSize: longestEvent,
      onEvent: ({ event, data }) => onEvent({ name: event, data }),
      onError: (error) => {
        if (error.type === "max-buffer-size-exceeded") this.isOverfull = true;
        else if (error.type === "unknown-field" && error.field === "error") onEvent({ name: "error", data: error.value ?? "" });
      },
    });
  }

  push(bytes: Buffer): void {
    this.#feed(this.#utf8.write(bytes));
  }

  /** The stream is over: what was not ended by a blank line becomes an event too. */
  end(): void {
    this.#feed(`${this.#utf8.end()}\n\n`);
  }

  #feed(text: string): void {
    if (text === "" || this.isOverfull) return;
    if (this.#isFirst) {
      this.#isFirst = false;
      if (text.startsWith("\uFEFF")) text = text.slice(1);
    }
    this.#parser.feed(text);
  }
}

/** Characters that one event may hold. */
const LONGEST_EVENT = 16 * 1024 * 1024;
