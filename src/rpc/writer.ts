/** What the writer writes to; a `net.Socket` or `tty.WriteStream` fits. */
export interface ByteSink {
  write(text: string, encoding: "utf8", done: (error?: Error | null) => void): boolean;
}

/** Most characters handed to the operating system in one write. */
const BATCH = 256 * 1024;
/** A merged delta grows no longer than this, so that a slow host does not get one giant frame. */
const LONGEST_MERGED_TEXT = 64 * 1024;
/** Producers pause above the first and go on below the second; both count queued characters. */
const HIGH_WATER = 1024 * 1024;
const LOW_WATER = 256 * 1024;
/** Characters that a stream which may not send yet gathers before its producer has to wait. */
const HELD_HIGH_WATER = 16 * 1024;
/** What an item costs beside its text. */
const ITEM_OVERHEAD = 160;
/** Pieces of merged text before they are joined; quadratic in the text, so few enough joins for 64 Ki. */
const PIECES = 256;

/** Turns one piece of text, or one whole frame, into a line without its newline. */
export interface LaneEncoder {
  text(field: string, text: string, seq: number): string;
}

interface Item {
  size: number;
  lane?: Lane;
  field?: string;
  text?: MergedText;
  encode?: (seq: number) => string;
  frame?: string;
  written?: () => void;
}

/**
 * The one writer of a connection. Frames queued during one turn of the event loop go out in one
 * write. While the host is slow, text of a lane that follows text of the same lane is merged into
 * it, and `ready()` makes producers wait: memory stays bounded and no text is lost.
 */
export class FrameWriter {
  readonly #sink: ByteSink;
  readonly #onClosed: (error: Error) => void;
  #queue: Item[] = [];
  #queuedSize = 0;
  #writingSize = 0;
  #scheduled = false;
  #closed = false;
  #waiting: { below: number; resolve: () => void }[] = [];

  constructor(sink: ByteSink, onClosed: (error: Error) => void) {
    this.#sink = sink;
    this.#onClosed = onClosed;
  }

  /** Characters that the host has not taken yet. */
  get backlog(): number {
    return this.#queuedSize + this.#writingSize;
  }

  get congested(): boolean {
    return this.#writingSize > 0;
  }

  /** Queues one frame. `written` is called once the operating system has taken it. */
  send(frame: string, written?: () => void): void {
    this.enqueue(written === undefined ? { size: frame.length + 1, frame } : { size: frame.length + 1, frame, written });
  }

  /** Opens an ordered sequence of frames whose `seq` rises by one. */
  lane(encoder: LaneEncoder): Lane {
    return new Lane(this, encoder);
  }

  /** Undefined when producers may go on; otherwise resolves when they may. */
  ready(): Promise<void> | undefined {
    return this.backlog > HIGH_WATER ? this.below(LOW_WATER) : undefined;
  }

  /** Resolves when at most `size` characters are left, or the sink is gone. */
  below(size: number): Promise<void> {
    if (this.#closed || this.backlog <= size) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.push({ below: size, resolve }));
  }

  /** Resolves when everything queued so far was taken, or the sink is gone. */
  flushed(): Promise<void> {
    this.#flush();
    return this.below(0);
  }

  /** The sink is gone: what is queued can reach nobody. */
  close(): void {
    this.#closed = true;
    const dropped = this.#queue;
    this.#queue = [];
    this.#queuedSize = 0;
    this.#writingSize = 0;
    // Whoever waits for a reply to be written must not wait for ever.
    for (const item of dropped) item.written?.();
    this.#wake();
  }

  /** Lane only. */
  enqueue(item: Item): void {
    if (this.#closed) {
      item.written?.();
      return;
    }
    this.#queue.push(item);
    this.#queuedSize += item.size;
    this.#schedule();
  }

  /** Lane only: text was merged into an item of the queue. */
  grow(size: number): void {
    this.#queuedSize += size;
  }

  #schedule(): void {
    if (this.#scheduled || this.#writingSize > 0) return;
    this.#scheduled = true;
    setImmediate(() => this.#flush());
  }

  #flush(): void {
    this.#scheduled = false;
    if (this.#closed || this.#writingSize > 0 || this.#queue.length === 0) return;
    let text = "";
    let taken = 0;
    const callbacks: (() => void)[] = [];
    for (const item of this.#queue) {
      if (text.length >= BATCH) break;
      taken++;
      this.#queuedSize -= item.size;
      text += `${encode(item)}\n`;
      if (item.written !== undefined) callbacks.push(item.written);
    }
    // Dropping the head in one go keeps a long queue linear.
    if (taken === this.#queue.length) this.#queue = [];
    else this.#queue.splice(0, taken);
    this.#writingSize = text.length;
    this.#sink.write(text, "utf8", (error) => {
      this.#writingSize = 0;
      if (error && !this.#closed) {
        this.close();
        this.#onClosed(error);
      }
      for (const written of callbacks) written();
      if (error) return;
      this.#wake();
      if (this.#queue.length > 0) this.#flush();
    });
  }

  #wake(): void {
    if (this.#waiting.length === 0) return;
    const backlog = this.backlog;
    const due = this.#waiting.filter((waiter) => this.#closed || backlog <= waiter.below);
    this.#waiting = this.#waiting.filter((waiter) => !due.includes(waiter));
    for (const waiter of due) waiter.resolve();
  }
}

/** The frames of one stream: in order, numbered, mergeable while the host is slow. */
export class Lane {
  readonly #writer: FrameWriter;
  readonly encoder: LaneEncoder;
  /** Frames held back until `uncork`; undefined once it was called. */
  #held: Item[] | undefined = [];
  #heldSize = 0;
  #uncorked: (() => void)[] = [];
  #last: Item | undefined;
  #seq = 0;

  constructor(writer: FrameWriter, encoder: LaneEncoder) {
    this.#writer = writer;
    this.encoder = encoder;
  }

  /** Number of the next frame; given out when a frame is encoded, because merging changes the count. */
  nextSeq(): number {
    return this.#seq++;
  }

  text(field: string, text: string): void {
    const last = this.#last;
    if (last?.text !== undefined && last.field === field && last.text.length < LONGEST_MERGED_TEXT && this.#shouldMerge) {
      last.text.add(text);
      last.size += text.length;
      this.#grow(text.length);
      return;
    }
    this.#push({ size: text.length + ITEM_OVERHEAD, lane: this, field, text: new MergedText(text) });
  }

  /** `frame` is built when it is written, with its number; `size` is about how long it will be. */
  frame(size: number, frame: (seq: number) => string): void {
    this.#push({ size: size + ITEM_OVERHEAD, lane: this, encode: frame });
  }

  /** A frame that keeps its place among the others but has no number. */
  unnumbered(frame: string): void {
    this.#push({ size: frame.length + ITEM_OVERHEAD, frame });
  }

  /** Undefined when the producer may go on; otherwise resolves when it may. */
  ready(): Promise<void> | undefined {
    if (this.#held === undefined) return this.#writer.ready();
    // Held frames are nobody else's burden: a stream that is not let go must not stop the others.
    return this.#heldSize > HELD_HIGH_WATER ? new Promise((resolve) => this.#uncorked.push(resolve)) : undefined;
  }

  /** Lets the frames go that were held back. */
  uncork(): void {
    const held = this.#held;
    if (held === undefined) return;
    this.#held = undefined;
    for (const item of held) this.#writer.enqueue(item);
    for (const resolve of this.#uncorked.splice(0)) resolve();
  }

  /** Writer only: the item has left the queue, nothing can be merged into it any more. */
  left(item: Item): void {
    if (this.#last === item) this.#last = undefined;
  }

  /** Text is merged only where it piles up: a host that keeps up is shown every delta. */
  get #shouldMerge(): boolean {
    return this.#held === undefined ? this.#writer.congested && this.#writer.backlog > BATCH : this.#heldSize > HELD_HIGH_WATER;
  }

  #push(item: Item): void {
    this.#last = item;
    if (this.#held === undefined) {
      this.#writer.enqueue(item);
      return;
    }
    this.#held.push(item);
    this.#heldSize += item.size;
  }

  #grow(size: number): void {
    if (this.#held === undefined) this.#writer.grow(size);
    else this.#heldSize += size;
  }
}

/**
 * Text that grows by small pieces. Joined now and then, because a string that was added to piece by
 * piece costs V8 some thirty bytes a piece until somebody reads it.
 */
class MergedText {
  length: number;
  #pieces: string[];

  constructor(first: string) {
    this.#pieces = [first];
    this.length = first.length;
  }

  add(piece: string): void {
    this.#pieces.push(piece);
    this.length += piece.length;
    if (this.#pieces.length >= PIECES) this.#pieces = [this.#pieces.join("")];
  }

  toString(): string {
    return this.#pieces.join("");
  }
}

function encode(item: Item): string {
  if (item.frame !== undefined) return item.frame;
  const lane = item.lane as Lane;
  lane.left(item);
  if (item.text !== undefined) return lane.encoder.text(item.field as string, item.text.toString(), lane.nextSeq());
  return (item.encode as (seq: number) => string)(lane.nextSeq());
}
