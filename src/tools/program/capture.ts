import type { Readable } from "node:stream";

/** How much of an output is kept, in bytes: its beginning and its end. */
export interface Keep {
  head: number;
  tail: number;
}

/** What was kept of an output. */
export interface Captured {
  head: string;
  /** Empty when everything is in `head`. */
  tail: string;
  /** Bytes between the two that were dropped. */
  cutBytes: number;
}

/**
 * Reads a stream to its end, whatever its length, in memory that is bounded by what is kept. Bytes that
 * are not UTF-8 are replaced; cuts are made between characters.
 */
export class Capture {
  /** Resolves when nothing more will come. Never rejects. */
  readonly over: Promise<void>;
  readonly #keep: Keep;
  readonly #head: Buffer[] = [];
  #headBytes = 0;
  #tail: Buffer[] = [];
  #tailBytes = 0;
  #total = 0;

  constructor(stream: Readable, keep: Keep) {
    this.#keep = keep;
    stream.on("data", (chunk: Buffer) => this.#take(chunk));
    this.over = new Promise((resolve) => stream.once("close", resolve).once("end", resolve));
  }

  /** As far as it has come. */
  get text(): Captured {
    const head = Buffer.concat(this.#head);
    const tail = lastBytes(Buffer.concat(this.#tail), this.#keep.tail);
    if (head.length + tail.length === this.#total) return { head: decoded(Buffer.concat([head, tail])), tail: "", cutBytes: 0 };
    const keptHead = head.subarray(0, head.length - unfinishedBytes(head));
    const keptTail = tail.subarray(continuedBytes(tail));
    return { head: decoded(keptHead), tail: decoded(keptTail), cutBytes: this.#total - keptHead.length - keptTail.length };
  }

  #take(chunk: Buffer): void {
    this.#total += chunk.length;
    const forHead = chunk.subarray(0, this.#keep.head - this.#headBytes);
    this.#headBytes += forHead.length;
    // Copied: a small part would keep the whole chunk in memory.
    if (forHead.length > 0) this.#head.push(Buffer.from(forHead));
    const rest = lastBytes(chunk.subarray(forHead.length), this.#keep.tail);
    if (rest.length === 0) return;
    this.#tail.push(Buffer.from(rest));
    this.#tailBytes += rest.length;
    // Put together now and then, so that neither many small parts nor the moving of bytes costs much.
    if (this.#tailBytes > 2 * this.#keep.tail || this.#tail.length > MOST_PARTS) {
      this.#tail = [Buffer.from(lastBytes(Buffer.concat(this.#tail), this.#keep.tail))];
      this.#tailBytes = this.#tail[0]?.length ?? 0;
    }
  }
}

/** Parts of the end before they are put together. */
const MOST_PARTS = 1024;

function lastBytes(bytes: Buffer, count: number): Buffer {
  return bytes.subarray(Math.max(0, bytes.length - count));
}

function decoded(bytes: Buffer): string {
  return new TextDecoder().decode(bytes);
}

/** Bytes at the end that begin a character without finishing it. */
function unfinishedBytes(bytes: Buffer): number {
  for (let back = 1; back <= Math.min(3, bytes.length); back++) {
    const byte = bytes[bytes.length - back] ?? 0;
    if (byte < 0x80) return 0;
    if (byte < 0xc0) continue;
    const length = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2;
    return length > back ? back : 0;
  }
  return 0;
}

/** Bytes at the beginning that finish a character begun before. */
function continuedBytes(bytes: Buffer): number {
  let count = 0;
  while (count < Math.min(3, bytes.length) && ((bytes[count] ?? 0) & 0xc0) === 0x80) count++;
  return count;
}
