const NEWLINE = 10;
/** First size of the buffer that holds an unfinished line, and the largest that is kept for the next one. Bytes. */
const SMALL = 64 * 1024;

/**
 * Cuts a byte stream into lines at LF, holding back no more than one line of at most `maxBytes`.
 * A longer line is skipped up to its newline and reported once, so that one bad frame costs neither
 * memory nor the frames behind it. A line is only valid during the call that it is passed to.
 */
export class LineSplitter {
  readonly #maxBytes: number;
  readonly #onLine: (line: Buffer) => void;
  readonly #onTooLong: () => void;
  /** An unfinished line is copied together, so that one that comes byte by byte takes no more than its length. */
  #held = Buffer.alloc(0);
  #heldBytes = 0;
  #skipping = false;

  constructor(maxBytes: number, onLine: (line: Buffer) => void, onTooLong: () => void) {
    this.#maxBytes = maxBytes;
    this.#onLine = onLine;
    this.#onTooLong = onTooLong;
  }

  push(chunk: Buffer): void {
    let start = 0;
    for (;;) {
      const end = chunk.indexOf(NEWLINE, start);
      if (end === -1) break;
      this.#finish(chunk.subarray(start, end));
      start = end + 1;
    }
    if (start < chunk.length) this.#hold(chunk.subarray(start));
  }

  /** The input has ended: what stands without a newline is a line too. */
  end(): void {
    if (this.#heldBytes > 0 || this.#skipping) this.#finish(Buffer.alloc(0));
  }

  #hold(part: Buffer): void {
    if (this.#skipping) return;
    const size = this.#heldBytes + part.length;
    if (size > this.#maxBytes) {
      this.#heldBytes = 0;
      this.#skipping = true;
      this.#onTooLong();
      return;
    }
    if (size > this.#held.length) {
      const larger = Buffer.allocUnsafe(Math.max(SMALL, size, this.#held.length * 2));
      this.#held.copy(larger, 0, 0, this.#heldBytes);
      this.#held = larger;
    }
    part.copy(this.#held, this.#heldBytes);
    this.#heldBytes = size;
  }

  #finish(rest: Buffer): void {
    if (this.#skipping) {
      this.#skipping = false;
      this.#held = Buffer.alloc(0);
      return;
    }
    if (this.#heldBytes === 0) {
      if (rest.length > this.#maxBytes) this.#onTooLong();
      else this.#onLine(rest);
      return;
    }
    this.#hold(rest);
    if (this.#skipping) {
      this.#skipping = false;
      return;
    }
    const line = this.#held.subarray(0, this.#heldBytes);
    this.#heldBytes = 0;
    if (this.#held.length > SMALL) this.#held = Buffer.alloc(0);
    this.#onLine(line);
  }
}
