const NEWLINE = 10;

/**
 * Cuts a byte stream into lines at LF, holding back no more than one line of at most `maxBytes`.
 * A longer line is skipped up to its newline and reported once, so that one bad frame costs neither
 * memory nor the frames behind it.
 */
export class LineSplitter {
  readonly #maxBytes: number;
  readonly #onLine: (line: Buffer) => void;
  readonly #onTooLong: () => void;
  #held: Buffer[] = [];
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
    if (start < chunk.length) this.#hold(start === 0 ? chunk : chunk.subarray(start));
  }

  /** The input has ended: what stands without a newline is a line too. */
  end(): void {
    if (this.#heldBytes > 0 || this.#skipping) this.#finish(Buffer.alloc(0));
  }

  #hold(part: Buffer): void {
    if (this.#skipping) return;
    if (this.#heldBytes + part.length > this.#maxBytes) {
      this.#drop();
      this.#skipping = true;
      this.#onTooLong();
      return;
    }
    this.#held.push(part);
    this.#heldBytes += part.length;
  }

  #finish(rest: Buffer): void {
    if (this.#skipping) {
      this.#skipping = false;
      return;
    }
    if (this.#heldBytes + rest.length > this.#maxBytes) {
      this.#drop();
      this.#onTooLong();
      return;
    }
    if (this.#heldBytes === 0) {
      this.#onLine(rest);
      return;
    }
    this.#held.push(rest);
    const line = Buffer.concat(this.#held, this.#heldBytes + rest.length);
    this.#drop();
    this.#onLine(line);
  }

  #drop(): void {
    this.#held = [];
    this.#heldBytes = 0;
  }
}
