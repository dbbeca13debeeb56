import { describe, expect, it } from "vitest";
import { Recent } from "../../../../src/listeners/http/guards/recent.ts";
import { makeClock } from "./setup.ts";

describe("what is remembered for a while", () => {
  it("is gone after its life, which begins anew when it is set again", () => {
    const clock = makeClock();
    const recent = new Recent<number>({ lifeMs: 100, most: 10, now: clock.now });
    recent.set("a", 1);
    recent.set("b", 2);
    clock.pass(99);
    expect(recent.get("a")).toBe(1);
    recent.set("a", 3);
    clock.pass(1);
    expect([recent.get("a"), recent.get("b")]).toEqual([3, undefined]);
    clock.pass(99);
    expect(recent.get("a")).toBeUndefined();
  });

  it("never holds more than it may: the oldest go, and the old ones leave no trace", () => {
    const clock = makeClock();
    const recent = new Recent<number>({ lifeMs: 100, most: 3, now: clock.now });
    for (const [at, key] of ["a", "b", "c", "a", "d"].entries()) recent.set(key, at);
    expect(["a", "b", "c", "d"].map((key) => recent.get(key))).toEqual([3, undefined, 2, 4]);
    expect(recent.size).toBe(3);
    clock.pass(100);
    recent.set("e", 5);
    expect(recent.size).toBe(1);
    recent.delete("e");
    expect(recent.size).toBe(0);
  });
});
