import { describe, expect, it } from "vitest";
import { EventPages } from "../../../src/listeners/http/events/event-pages.ts";
import { eventText } from "../../../src/listeners/http/events/event-writer.ts";

/** Events of all lengths: of one to four bytes a character, many to a page, and longer than any page. */
const events = Array.from({ length: 3000 }, (_, id) => {
  const length = id % 500 === 499 ? 100_000 : (id * 37) % 300;
  return eventText("e", JSON.stringify({ text: ["a", "é", "語", "🙂"][id % 4]?.repeat(length) }), id);
});

function filled(): EventPages {
  const pages = new EventPages();
  for (const event of events) pages.add(event);
  return pages;
}

/** All that is kept from `position` on. */
function readFrom(pages: EventPages, position: number): string {
  let text = "";
  for (let at = position; ; ) {
    const bytes = pages.from(at);
    if (bytes === undefined) return text;
    // Each piece by itself: none may end within a character or an event.
    expect(bytes.toString().endsWith("\n\n")).toBe(true);
    text += bytes.toString();
    at += bytes.length;
  }
}

describe("the pages that keep events", () => {
  it("give back what was put in, from the beginning of every event, also when they are closed", () => {
    const pages = filled();
    expect(readFrom(pages, 0)).toBe(events.join(""));
    const starts = events.map((_, id) => pages.startOf(id));
    let expected = 0;
    for (const [id, event] of events.entries()) {
      expect(starts[id]).toBe(expected);
      expected += Buffer.byteLength(event);
    }
    expect(pages).toMatchObject({ count: events.length, end: expected, first: 0 });
    expect(pages.startOf(events.length)).toBe(expected);
    pages.close();
    expect(readFrom(pages, pages.startOf(2990))).toBe(events.slice(2990).join(""));
    expect(pages.from(expected)).toBeUndefined();
  });

  it("show a reader what is added behind what it has", () => {
    const pages = new EventPages();
    expect(pages.from(0)).toBeUndefined();
    pages.add("data: 1\n\n");
    const seen = pages.from(0);
    pages.add("data: 2\n\n");
    expect(seen?.toString()).toBe("data: 1\n\n");
    expect(pages.from(seen?.length ?? 0)?.toString()).toBe("data: 2\n\n");
  });

  it("forget from the front, never behind the given position and never the last one", () => {
    const pages = filled();
    const position = pages.startOf(1500);
    while (pages.dropBefore(position));
    expect(pages.first).toBeGreaterThan(1000);
    expect(pages.first).toBeLessThanOrEqual(1500);
    expect(readFrom(pages, position)).toBe(events.slice(1500).join(""));
    while (pages.dropBefore(pages.end));
    const { first } = pages;
    expect(first).toBeLessThan(events.length);
    expect(readFrom(pages, pages.startOf(first))).toBe(events.slice(first).join(""));
  });

  it("cost about what they hold: a tenth more at most, and little for a short stream", () => {
    const pages = filled();
    pages.close();
    expect(pages.size).toBeGreaterThan(pages.end);
    expect(pages.size).toBeLessThan(1.1 * pages.end);
    while (pages.dropBefore(pages.end));
    expect(pages.size).toBeLessThan(110_000 * 4);
    const short = new EventPages();
    short.add("data: 1\n\n");
    short.close();
    expect(short.size).toBeLessThan(512);
  });
});
