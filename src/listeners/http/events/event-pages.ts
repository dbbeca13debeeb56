/** How much one page holds, at first and at most: a short stream takes little, a long one few pieces of memory. Bytes. */
const SMALLEST_PAGE = 2 * 1024;
const LARGEST_PAGE = 64 * 1024;
/** What a page costs beside its bytes. */
const PAGE_OVERHEAD = 256;

const EVENT_END = "\n\n";

interface Page {
  /** Only the first `used` of them hold events; those that are written never change, so that all readers can be sent them as they are. */
  bytes: Buffer;
  used: number;
  /** Where it begins, counted in bytes from the beginning of the stream. */
  start: number;
  /** The number of its first event. */
  first: number;
}

/**
 * Server-sent events as they go over the wire, each encoded once, in pages outside the heap of JavaScript: strings of very
 * many events, kept for minutes among others that are gone at once, make that heap several times larger than what they hold.
 */
export class EventPages {
  #pages: Page[] = [];
  /** Where the next event begins. */
  end = 0;
  /** How many there were. */
  count = 0;
  /** What all pages cost. */
  size = 0;

  /** The number of the oldest event that is kept. */
  get first(): number {
    return this.#pages[0]?.first ?? this.count;
  }

  /** `event` ends with an empty line, and has no other. */
  add(event: string): void {
    const page = this.#pageFor(event);
    const written = page.bytes.write(event, page.used);
    page.used += written;
    this.end += written;
    this.count++;
  }

  /** Where an event that is kept, or the next one, begins. */
  startOf(event: number): number {
    const page = this.#pages.findLast(({ first }) => first <= event);
    if (page === undefined || event === this.count) return this.end;
    let at = 0;
    for (let each = page.first; each < event; each++) at = page.bytes.indexOf(EVENT_END, at) + EVENT_END.length;
    return page.start + at;
  }

  /** Whole events that begin at `position`; undefined where there is none yet. */
  from(position: number): Buffer | undefined {
    const page = this.#pages.find(({ start, used }) => position < start + used);
    return page?.bytes.subarray(position - page.start, page.used);
  }

  /** Forgets the oldest page if all of it lies before `position` and is not the last one. */
  dropBefore(position: number): boolean {
    const [oldest, next] = this.#pages;
    if (oldest === undefined || next === undefined || next.start > position) return false;
    this.#pages.shift();
    this.size -= costOf(oldest);
    return true;
  }

  /** Nothing more will be added: gives back what is free. */
  close(): void {
    const last = this.#pages.at(-1);
    if (last === undefined || last.used === last.bytes.length) return;
    this.size -= costOf(last);
    const bytes = Buffer.allocUnsafeSlow(last.used);
    last.bytes.copy(bytes, 0, 0, last.used);
    last.bytes = bytes;
    this.size += costOf(last);
  }

  #pageFor(event: string): Page {
    const last = this.#pages.at(-1);
    const room = last === undefined ? 0 : last.bytes.length - last.used;
    // A character is three bytes at most: counted only where that matters.
    if (last !== undefined && event.length * 3 <= room) return last;
    const needed = Buffer.byteLength(event);
    if (last !== undefined && needed <= room) return last;
    const size = Math.max(needed, Math.min(LARGEST_PAGE, Math.max(SMALLEST_PAGE, this.end)));
    const page = { bytes: Buffer.allocUnsafeSlow(size), used: 0, start: this.end, first: this.count };
    this.#pages.push(page);
    this.size += costOf(page);
    return page;
  }
}

function costOf({ bytes }: Page): number {
  return bytes.length + PAGE_OVERHEAD;
}
