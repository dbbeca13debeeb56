import { describe, expect, it } from "vitest";
import { Cached } from "../../../src/runtime/status/cached.ts";
import { within } from "../../../src/tools/waiting.ts";

describe("a cached value", () => {
  it("is looked for once, however many ask", async () => {
    const finds: ((value: string) => void)[] = [];
    const cached = new Cached(
      () => new Promise<string>((resolve) => finds.push(resolve)),
      () => 1000,
      () => 0,
    );
    const all = Array.from({ length: 100 }, () => cached.get());
    expect(finds).toHaveLength(1);
    finds[0]?.("found");
    expect(new Set(await Promise.all(all))).toEqual(new Set(["found"]));
  });

  it("is kept for its time, counted from when it was found, and then looked for again", async () => {
    let time = 0;
    let count = 0;
    const find = async () => {
      time += 100;
      return ++count;
    };
    const cached = new Cached(
      find,
      () => 5000,
      () => time,
    );
    expect(await cached.get()).toBe(1);
    time = 5099;
    expect(await cached.get()).toBe(1);
    time = 5100;
    expect(await cached.get()).toBe(2);
  });

  it("says itself how long it holds", async () => {
    let time = 0;
    const values = [10, Number.POSITIVE_INFINITY];
    const cached = new Cached(
      async () => values.shift() ?? 0,
      (value) => value,
      () => time,
    );
    expect(await cached.get()).toBe(10);
    time = 10;
    expect(await cached.get()).toBe(Number.POSITIVE_INFINITY);
    time = Number.MAX_SAFE_INTEGER;
    expect(await cached.get()).toBe(Number.POSITIVE_INFINITY);
  });

  it("is looked for again after a failure", async () => {
    let count = 0;
    const find = async () => {
      if (++count === 1) throw new Error("not now");
      return count;
    };
    const cached = new Cached(
      find,
      () => 1000,
      () => 0,
    );
    await expect(cached.get()).rejects.toThrow("not now");
    expect(await cached.get()).toBe(2);
  });

  it("is not looked for a second time while the first look hangs", async () => {
    let count = 0;
    const hanging = () => {
      count++;
      return new Promise<string>(() => undefined);
    };
    const cached = new Cached(
      hanging,
      () => 1000,
      () => 0,
    );
    expect(await within(cached.get(), 1, "late")).toBe("late");
    expect(await within(cached.get(), 1, "late")).toBe("late");
    expect(count).toBe(1);
  });
});

describe("a wait with an end", () => {
  it("gives what comes in time, else what was to be given instead", async () => {
    expect(await within(Promise.resolve(1), 10_000, 2)).toBe(1);
    expect(await within(Promise.reject(new Error("no")), 10_000, 2)).toBe(2);
    expect(await within(new Promise<number>(() => undefined), 1, 2)).toBe(2);
  });
});
