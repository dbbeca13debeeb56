import { describe, expect, it } from "vitest";
import { Repetition } from "../../../src/runtime/turns/repetition.ts";

const call = (args: Record<string, unknown> = {}, name = "get_x") => ({ id: "c", name, arguments: args });

describe("the same call in one step after the other", () => {
  it("is let through three times, and then no more", () => {
    const repetition = new Repetition();
    const refused = [1, 2, 3, 4, 5].map(() => {
      repetition.nextStep();
      return repetition.count(call({ a: 1 })) !== undefined;
    });
    expect(refused).toEqual([false, false, false, true, true]);
  });

  it("counts as the same whatever the order of its keys, and as another with another value or tool", () => {
    const repetition = new Repetition();
    repetition.nextStep();
    for (const args of [
      { a: 1, b: { c: 2, d: 3 } },
      { b: { d: 3, c: 2 }, a: 1 },
      { a: 1, b: { c: 2, d: 3 } },
    ])
      expect(repetition.count(call(args))).toBeUndefined();
    expect(repetition.count(call({ b: { c: 2, d: 3 }, a: 1 }))).toContain("3 times");
    expect(repetition.count(call({ a: 1, b: { c: 2, d: 4 } }))).toBeUndefined();
    expect(repetition.count(call({ a: 1, b: { c: 2, d: 3 } }, "get_y"))).toBeUndefined();
  });

  it("starts anew after a step without it, so that a test may be run after every change", () => {
    const repetition = new Repetition();
    for (let round = 0; round < 10; round++) {
      repetition.nextStep();
      expect(repetition.count(call({ run: "tests" }))).toBeUndefined();
      repetition.nextStep();
      expect(repetition.count(call({ round }, "set_code"))).toBeUndefined();
    }
  });
});
