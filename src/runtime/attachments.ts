import type { FileRef } from "../contract/agent/files.ts";
import type { ChatMessage, ContentPart } from "../contract/model.ts";
import { fail, WireError } from "../errors.ts";
import { type Attachment, type AttachmentReader, AttachmentRefusal } from "../tools/attachment.ts";
import { deadline, until } from "../tools/waiting.ts";

/** What the files of one turn may come to. */
export interface AttachmentLimits {
  /** Of one file. */
  bytes: number;
  /** Of all together. */
  totalBytes: number;
  /** Of the text of one, in UTF-16 units: a page may say more than it weighs, once it is decompressed. */
  characters: number;
  /** Until all are read. */
  milliseconds: number;
}

const LIMITS: AttachmentLimits = { bytes: 8 * 1024 * 1024, totalBytes: 16 * 1024 * 1024, characters: 1024 * 1024, milliseconds: 30_000 };

/** Files that are read at a time: an address may take its time, and what is read ahead is held in memory. */
const AT_A_TIME = 4;

/** Files that are given along with a turn: they become part of what the user says. */
export class Attachments {
  readonly #reader: () => Promise<AttachmentReader>;
  readonly #limits: AttachmentLimits;

  /** `reader` gives that of the configuration as it is now. */
  constructor(reader: () => Promise<AttachmentReader>, limits: AttachmentLimits = LIMITS) {
    this.#reader = reader;
    this.#limits = limits;
  }

  /**
   * The messages, with the files behind what the last user message says. Throws `invalid_params`, `too_large` or
   * `unsupported_media` for the first file that is refused, `timeout`, or the reason of the signal.
   */
  async attach(messages: readonly ChatMessage[], files: readonly FileRef[], signal: AbortSignal): Promise<ChatMessage[]> {
    if (files.length === 0) return [...messages];
    const at = messages.findLastIndex(({ role }) => role === "user");
    const message = messages[at];
    if (message === undefined) throw fail("invalid_params", { path: "files" }, "files: there is no user message that they could be attached to");
    const attachments = await this.#readAll(files, signal);
    return messages.with(at, { ...message, content: [...partsOf(message.content), ...attachments.map(asPart)] });
  }

  async #readAll(files: readonly FileRef[], signal: AbortSignal): Promise<Attachment[]> {
    const { milliseconds } = this.#limits;
    const others = new AbortController();
    const leave = () => others.abort(signal.reason instanceof WireError ? signal.reason : fail("cancelled"));
    if (signal.aborted) leave();
    signal.addEventListener("abort", leave, { once: true });
    const limit = deadline(
      milliseconds,
      () => fail("timeout", undefined, `files: they could not be read within ${milliseconds / 1000} seconds`),
      others.signal,
    );
    try {
      return await this.#inOrder(files, limit.signal);
    } finally {
      // Where one was refused, nobody needs those that are still being read.
      others.abort();
      limit.clear();
      signal.removeEventListener("abort", leave);
    }
  }

  /** Reads a few at a time, but looks at them in order: it is always the same file that is refused. */
  async #inOrder(files: readonly FileRef[], signal: AbortSignal): Promise<Attachment[]> {
    const reader = await until(this.#reader(), signal);
    const reading: Promise<Attachment>[] = [];
    const begin = (index: number) => {
      const file = files[index];
      if (file === undefined) return;
      const begun = until(this.#read(reader, file, index, signal), signal);
      // It is looked at when it is its turn, or never, where one before it is refused.
      begun.catch(() => undefined);
      reading.push(begun);
    };
    for (let index = 0; index < AT_A_TIME; index++) begin(index);
    const found: Attachment[] = [];
    let total = 0;
    // Those that are begun on the way are gone through too.
    for (const [index, one] of reading.entries()) {
      const attachment = await one;
      total += attachment.bytes;
      if (total > this.#limits.totalBytes) throw this.#tooMuch();
      found.push(attachment);
      begin(index + AT_A_TIME);
    }
    return found;
  }

  async #read(reader: AttachmentReader, file: FileRef, index: number, signal: AbortSignal): Promise<Attachment> {
    const { bytes, characters } = this.#limits;
    const path = `files[${index}].${"path" in file ? "path" : "url"}`;
    try {
      const attachment = await ("path" in file ? reader.readPath(file.path, bytes, signal) : reader.readUrl(file.url, bytes, signal));
      if (attachment.type === "image" || attachment.text.length <= characters) return attachment;
      throw fail("too_large", { limitCharacters: characters, path }, `${path}: ${attachment.name} holds more than ${characters} characters`);
    } catch (error) {
      throw error instanceof AttachmentRefusal ? refused(error, path, bytes) : error;
    }
  }

  #tooMuch(): WireError {
    const { totalBytes } = this.#limits;
    return fail("too_large", { limitBytes: totalBytes, path: "files" }, `files: together they hold more than ${totalBytes} bytes`);
  }
}

function refused({ reason, message }: AttachmentRefusal, path: string, limitBytes: number): WireError {
  const said = `${path}: ${message}`;
  if (reason === "too_large") return fail("too_large", { limitBytes, path }, said);
  return fail(reason === "unsupported" ? "unsupported_media" : "invalid_params", { path }, said);
}

function partsOf(content: ChatMessage["content"]): ContentPart[] {
  if (typeof content !== "string") return content;
  // Some servers refuse a part that says nothing.
  return content === "" ? [] : [{ type: "text", text: content }];
}

function asPart(attachment: Attachment): ContentPart {
  if (attachment.type === "image") return { type: "image_url", image_url: { url: `data:${attachment.mediaType};base64,${attachment.base64}` } };
  const { name, text } = attachment;
  const fence = fenceFor(text);
  return { type: "text", text: `[file: ${name}]\n${fence}\n${text}${text === "" || text.endsWith("\n") ? "" : "\n"}${fence}` };
}

/** Longer than any in the text, which cannot end it therefore. */
function fenceFor(text: string): string {
  let longest = 2;
  for (const [run] of text.matchAll(/`{3,}/g)) longest = Math.max(longest, run.length);
  return "`".repeat(longest + 1);
}
