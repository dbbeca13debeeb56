import { describe, expect, it } from "vitest";
import { Permits } from "../../../../src/listeners/http/guards/permits.ts";

describe("permits", () => {
  it("are given out until all are held, and again when one came back", () => {
    const permits = new Permits(2);
    const release = permits.take();
    expect(permits.take()).toBeDefined();
    expect(permits.isUsedUp).toBe(true);
    expect(permits.take()).toBeUndefined();
    release?.();
    expect(permits.isUsedUp).toBe(false);
    expect(permits.take()).toBeDefined();
  });

  it("come back once, however often they are returned", () => {
    const permits = new Permits(2);
    const first = permits.take();
    permits.take();
    first?.();
    first?.();
    permits.take();
    expect(permits.isUsedUp).toBe(true);
  });
});
