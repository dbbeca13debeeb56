import { describe, expect, it } from "vitest";
import { Permits } from "../../../../src/listeners/http/guards/permits.ts";

describe("permits", () => {
  it("are given out until all are held, and again when one came back", () => {
    const permits = new Permits(2);
    const release = permits.take();
    expect(permits.take()).toBeDefined();
    expect(permits.take()).toBeUndefined();
    expect(permits.live).toBe(2);
    release?.();
    expect(permits.live).toBe(1);
    expect(permits.take()).toBeDefined();
  });

  it("come back once, however often they are returned", () => {
    const permits = new Permits(2);
    const first = permits.take();
    const second = permits.take();
    first?.();
    first?.();
    expect(permits.live).toBe(1);
    second?.();
    second?.();
    expect(permits.live).toBe(0);
  });
});
