import type { Failure } from "../errors.ts";
import type { Dialect } from "./dialect.ts";
import { parseJson } from "./json.ts";
import type { ModelEvent } from "./provider.ts";
import { SseDecoder, type SseEvent } from "./sse.ts";

/**
 * Model events out of the bytes of a response body, however they are split.
 *
 * The first character decides what the body is, because content types lie: `{` or `[` starts a
 * JSON document, `<` a page, anything else is server-sent events.
 */
export class ResponseReader {
  readonly #dialect: Dialect;
  readonly #sse: SseDecoder;
  #form: "unknown" | "events" | "document" = "unknown";
  #looksLikeEvents = true;
  #document: Buffer[] = [];
  #documentBytes = 0;

  #out: ModelEvent[] = [];
  #isAlive = false;
  #sawEvent = false;
  #isEnding = false;
  #isRefused = false;

  constructor(dialect: Dialect) {
    this.#dialect = dialect;
    this.#sse = new SseDecoder((event) => this.#take(event));
  }

  /** True once the terminal event was added: the rest of the body is of no interest. */
  get isOver(): boolean {
    return this.#isRefused || this.#dialect.isOver;
  }

  /** Adds the events in `bytes` to `out`; true when there was a sign of life among them. */
  push(bytes: Buffer, out: ModelEvent[]): boolean {
    this.#out = out;
    this.#isAlive = false;
    if (this.#form === "unknown") this.#sniff(bytes);
    if (this.isOver) return false;
    if (this.#form === "document") this.#collect(bytes);
    else this.#sse.push(bytes);
    if (this.#sse.isOverfull && !this.isOver) this.#refuse("The model server sent an event that does not end");
    return this.#isAlive;
  }

  /** The body has ended, in order or because of `broken`: adds the terminal. */
  end(out: ModelEvent[], broken?: Failure): void {
    this.#out = out;
    this.#isEnding = true;
    if (this.#form === "document") this.#readDocument(broken);
    else this.#sse.end();
    if (this.isOver) return;

    if (broken !== undefined && !this.#dialect.isWhole) this.#fail(broken);
    else if (!this.#sawEvent && !this.#looksLikeEvents) this.#refuse("The model server sent text that is neither events nor JSON: check the base URL");
    else this.#dialect.end(out);
  }

  #sniff(bytes: Buffer): void {
    const first = bytes.find((byte) => !leading.has(byte));
    if (first === undefined) return;
    const character = String.fromCharCode(first);
    if (character === "<") return this.#refuse("The model server sent a page, not an answer: check the base URL");
    this.#form = character === "{" || character === "[" ? "document" : "events";
    this.#looksLikeEvents = fieldStarts.has(character);
  }

  #take(event: SseEvent): void {
    this.#sawEvent = true;
    if (this.isOver) return;
    // The last event of a broken connection is often cut in two: that is no fault of its form.
    if (this.#isEnding && /^\s*\{/.test(event.data) && parseJson(event.data) === undefined) return;
    if (this.#dialect.event(event, this.#out)) this.#isAlive = true;
  }

  #collect(bytes: Buffer): void {
    this.#isAlive = true;
    this.#document.push(bytes);
    this.#documentBytes += bytes.length;
    if (this.#documentBytes > LONGEST_DOCUMENT) this.#refuse("The model server sent a document that does not end");
  }

  #readDocument(broken: Failure | undefined): void {
    const value = parseJson(
      Buffer.concat(this.#document)
        .toString("utf8")
        .replace(/^\uFEFF/, ""),
    );
    this.#document = [];
    if (value !== undefined) this.#dialect.document(value, this.#out);
    else if (broken !== undefined) this.#fail(broken);
    else this.#refuse("The model server sent JSON that is broken or cut off");
  }

  #refuse(message: string): void {
    this.#fail({ kind: "malformed_response", message });
  }

  #fail(failure: Failure): void {
    this.#isRefused = true;
    this.#out.push({ type: "failure", failure });
  }
}

const LONGEST_DOCUMENT = 16 * 1024 * 1024;
/** White space, and the three bytes of a byte order mark. */
const leading = new Set([0x20, 0x09, 0x0a, 0x0d, 0xef, 0xbb, 0xbf]);
/** How the lines of an event stream begin: data, event, error, id, retry, and comments. */
const fieldStarts = new Set("deir:");
