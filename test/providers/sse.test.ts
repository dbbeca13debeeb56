import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { SseDecoder, type SseEvent } from "../../src/providers/sse.ts";

function decode(chunks: readonly Buffer[], longestEvent?: number): { events: SseEvent[]; isOverfull: boolean } {
  const events: SseEvent[] = [];
  const decoder = new SseDecoder((event) => events.push(event), longestEvent);
  for (const chunk of chunks) decoder.push(chunk);
  decoder.end();
  return { events, isOverfull: decoder.isOverfull };
}

describe("SseDecoder", () => {
  it("gives names and data, and drops comments, blank lines and events without data", () => {
    const { events } = decode([Buffer.from(": hello\n\n\nevent: a\ndata: 1\ndata: 2\n\nevent: empty\n\nid: 7\nretry: 10\ndata:3\n\n")]);
    expect(events).toEqual([
      { name: "a", data: "1\n2" },
      { name: undefined, data: "3" },
    ]);
  });

  it("takes the last event although its blank line is missing", () => {
    expect(decode([Buffer.from("data: 1\n\ndata: [DONE]")]).events.map(({ data }) => data)).toEqual(["1", "[DONE]"]);
  });

  it("ignores a byte order mark and accepts CR, LF and CRLF", () => {
    expect(decode([Buffer.from("\uFEFFdata: 1\r\n\r\ndata: 2\n\ndata: 3\r\r")]).events.map(({ data }) => data)).toEqual(["1", "2", "3"]);
  });

  it("takes a line `error: …` for an event of that name", () => {
    expect(decode([Buffer.from('error: {"message":"no"}\n\n')]).events).toEqual([{ name: "error", data: '{"message":"no"}' }]);
  });

  it("gives up on an event that does not end", () => {
    const endless = Array.from({ length: 20 }, () => Buffer.from("data: 0123456789\n"));
    expect(decode(endless, 100).isOverfull).toBe(true);
    expect(decode([Buffer.from("data: "), ...endless.map(() => Buffer.from("0123456789"))], 100).isOverfull).toBe(true);
    expect(decode(endless, 1000).isOverfull).toBe(false);
  });

  it("gives the same events however the bytes are split", () => {
    const line = fc.string({ unit: "grapheme", maxLength: 20 }).map((text) => text.replace(/[\r\n]/g, ""));
    const stream = fc
      .array(fc.tuple(fc.constantFrom("\n", "\r\n"), fc.array(line, { minLength: 1, maxLength: 3 })), { maxLength: 6 })
      .map((events) =>
        Buffer.from(events.map(([newline, lines]) => `${lines.map((text) => `data: ${text}${newline}`).join("")}: comment${newline}${newline}`).join("")),
      );
    fc.assert(
      fc.property(stream, fc.array(fc.nat(), { maxLength: 40 }), (bytes, cuts) => {
        expect(decode(split(bytes, cuts)).events).toEqual(decode([bytes]).events);
      }),
    );
  });
});

function split(bytes: Buffer, cuts: readonly number[]): Buffer[] {
  const places = [0, ...cuts.map((cut) => cut % (bytes.length + 1)).toSorted((a, b) => a - b), bytes.length];
  return places.slice(1).map((end, index) => bytes.subarray(places[index], end));
}
