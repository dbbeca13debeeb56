import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { PairKeeper } from "../../src/providers/surrogates.ts";

function keep(deltas: readonly string[]): string[] {
  const keeper = new PairKeeper();
  return [...deltas.map((delta) => keeper.push(delta)), keeper.flush()];
}

describe("PairKeeper", () => {
  it("holds a high half back until its low half comes", () => {
    expect(keep(["Hi \ud83d", "\ude00!"])).toEqual(["Hi ", "😀!", ""]);
    expect(keep(["\ud83d", "", "\ude00"])).toEqual(["", "", "😀", ""]);
  });

  it("replaces halves that stay alone", () => {
    expect(keep(["a\ud83d", "b", "\ude00c\ud83d"])).toEqual(["a", "\uFFFDb", "\uFFFDc", "\uFFFD"]);
  });

  it("gives whole text, however it is cut by UTF-16 units", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), fc.array(fc.nat()), (text, cuts) => {
        const places = [0, ...cuts.map((cut) => cut % (text.length + 1)).toSorted((a, b) => a - b), text.length];
        const out = keep(places.slice(1).map((end, index) => text.slice(places[index], end)));
        expect(out.join("")).toBe(text);
        for (const delta of out) expect(delta).not.toMatch(/\p{Surrogate}/u);
      }),
    );
  }, 120_000);
});
