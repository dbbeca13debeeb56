import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { LineSplitter } from "../../src/rpc/lines.ts";

function split(chunks: readonly Buffer[], maxBytes = 1024, end = true): { lines: string[]; tooLong: number } {
  const lines: string[] = [];
  let tooLong = 0;
  const splitter = new LineSplitter(
    maxBytes,
    (line) => lines.push(line.toString("latin1")),
    () => tooLong++,
  );
  for (const chunk of chunks) splitter.push(chunk);
  if (end) splitter.end();
  return { lines, tooLong };
}

/** Cuts bytes at the given places. */
function cut(bytes: Buffer, places: readonly number[]): Buffer[] {
  const sorted = [...new Set(places.map((place) => place % (bytes.length + 1)))].toSorted((a, b) => a - b);
  const edges = [0, ...sorted, bytes.length];
  return edges.slice(1).map((edge, index) => bytes.subarray(edges[index], edge));
}

describe("LineSplitter", () => {
  it("gives the same lines however the bytes are cut", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), fc.array(fc.nat(300), { maxLength: 20 }), fc.integer({ min: 1, max: 50 }), (raw, places, max) => {
        const bytes = Buffer.from(raw);
        expect(split(cut(bytes, places), max)).toEqual(split([bytes], max));
      }),
    );
  });

  it("cuts at LF and nowhere else", () => {
    fc.assert(
      fc.property(fc.array(fc.stringMatching(/^[^\n]{0,20}$/u)), (parts) => {
        const bytes = Buffer.from(parts.join("\n"), "latin1");
        const expected = bytes.toString("latin1").split("\n");
        // What stands behind the last newline is a line only when there is something.
        if (expected.at(-1) === "") expected.pop();
        expect(split([bytes]).lines).toEqual(expected);
      }),
    );
  });

  it("accepts a line of exactly the cap and skips one byte more, once, keeping what follows", () => {
    const fits = Buffer.from(`${"a".repeat(10)}\nnext\n`);
    const exceeds = Buffer.from(`${"a".repeat(11)}\nnext\n`);
    expect(split([fits], 10)).toEqual({ lines: ["a".repeat(10), "next"], tooLong: 0 });
    expect(split([exceeds], 10)).toEqual({ lines: ["next"], tooLong: 1 });
    expect(split(cut(exceeds, [3, 7, 11, 12]), 10)).toEqual({ lines: ["next"], tooLong: 1 });
  });

  it("takes what stands without a newline at the end as a line", () => {
    expect(split([Buffer.from("one\ntwo")]).lines).toEqual(["one", "two"]);
    expect(split([Buffer.from("one\ntwo")], 1024, false).lines).toEqual(["one"]);
  });
});
