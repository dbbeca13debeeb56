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

  it("tell everybody who waits when none is held any more", async () => {
    const permits = new Permits(3);
    await permits.idle();
    const held = [permits.take(), permits.take()];
    let told = 0;
    const waiting = [permits.idle(), permits.idle()].map((idle) => idle.then(() => told++));
    held[0]?.();
    await new Promise(setImmediate);
    expect(told).toBe(0);
    held[1]?.();
    await Promise.all(waiting);
    expect(told).toBe(2);
  });
});
