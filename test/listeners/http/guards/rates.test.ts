import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { MINUTE_MS, RateLimiter } from "../../../../src/listeners/http/guards/rates.ts";
import { makeClock } from "./setup.ts";

describe("a rate limit", () => {
  it("lets so many through in a minute, and says when the next one may come", () => {
    const clock = makeClock();
    const limiter = new RateLimiter({ perMinute: 3, now: clock.now });
    const taken = [0, 10_000, 10_000].map((wait) => {
      clock.pass(wait);
      return limiter.take("a");
    });
    expect(taken).toMatchObject([
      { ok: true, remaining: 2, resetMs: 60_000 },
      { ok: true, remaining: 1, resetMs: 50_000 },
      { ok: true, remaining: 0, resetMs: 40_000 },
    ]);
    expect(limiter.take("a")).toEqual({ ok: false, retryAfterMs: 40_000 });
    clock.pass(39_999);
    expect(limiter.take("a")).toEqual({ ok: false, retryAfterMs: 1 });
    clock.pass(1);
    expect(limiter.take("a")).toMatchObject({ ok: true, remaining: 0 });
    expect(limiter.take("a")).toEqual({ ok: false, retryAfterMs: 10_000 });
  });

  it("is one for each name", () => {
    const limiter = new RateLimiter({ perMinute: 1, now: () => 0 });
    expect([limiter.take("a").ok, limiter.take("b").ok, limiter.take("a").ok]).toEqual([true, true, false]);
  });

  it("is refused where it would let nobody in", () => {
    for (const perMinute of [0, -1, 0.5, Number.NaN]) expect(() => new RateLimiter({ perMinute, now: () => 0 })).toThrow(RangeError);
  });

  it("forgets the very request that is given back", () => {
    const clock = makeClock();
    const limiter = new RateLimiter({ perMinute: 2, now: clock.now });
    const first = limiter.take("a");
    clock.pass(30_000);
    limiter.take("a");
    if (first.ok) limiter.giveBack("a", first.at);
    if (first.ok) limiter.giveBack("a", first.at);
    expect(limiter.take("a").ok).toBe(true);
    expect(limiter.take("a")).toEqual({ ok: false, retryAfterMs: 60_000 });
  });

  // Limits around the number of moments that a window keeps apart, and below it.
  const limits = fc.oneof(fc.integer({ min: 1, max: 12 }), fc.constantFrom(599, 600, 601, 5_000));
  const waits = fc.array(fc.oneof(fc.constant(0), fc.double({ min: 0, max: 40, noNaN: true }), fc.integer({ min: 0, max: 45_000 })), { maxLength: 60 });

  it("never lets more through in any 60 seconds, whatever the requests look like", () => {
    fc.assert(
      fc.property(limits, waits, fc.integer({ min: 1, max: 700 }), (perMinute, pauses, burst) => {
        const clock = makeClock(0.25);
        const limiter = new RateLimiter({ perMinute, now: clock.now });
        const passed: number[] = [];
        for (const pause of pauses) {
          clock.pass(pause);
          let told = 0;
          for (let at = 0; at < burst; at++) {
            const taken = limiter.take("a");
            if (taken.ok) passed.push(clock.now());
            else told = taken.retryAfterMs;
          }
          // Every other time as early as it may: that is where too many would pass.
          if (pause % 2 < 1) clock.pass(told);
        }
        for (const [at, time] of passed.entries()) {
          const next = passed[at + perMinute];
          if (next !== undefined) expect(next - time).toBeGreaterThanOrEqual(MINUTE_MS);
        }
      }),
      { numRuns: 60 },
    );
  });

  it("keeps its word: after the wait that it told, a request is let through", () => {
    fc.assert(
      fc.property(limits, waits, (perMinute, pauses) => {
        const clock = makeClock(0.5);
        const limiter = new RateLimiter({ perMinute, now: clock.now });
        for (const pause of pauses) {
          clock.pass(pause);
          for (let at = 0; at < perMinute; at++) limiter.take("a");
          const taken = limiter.take("a");
          if (taken.ok) continue;
          expect(taken.retryAfterMs).toBeLessThanOrEqual(MINUTE_MS + 100);
          clock.pass(taken.retryAfterMs);
          expect(limiter.take("a").ok).toBe(true);
        }
      }),
      { numRuns: 40 },
    );
  });

  it("remembers no more names than it may", () => {
    const limiter = new RateLimiter({ perMinute: 5, now: () => 0, mostTracked: 100 });
    for (let at = 0; at < 1_000; at++) {
      limiter.take(`name ${at}`);
      expect(limiter.tracked).toBeLessThanOrEqual(100);
    }
    expect(limiter.tracked).toBeGreaterThan(80);
  });

  it("does not forget who is limited for the sake of names that ask once", () => {
    const limiter = new RateLimiter({ perMinute: 5, now: () => 0, mostTracked: 100 });
    for (let at = 0; at < 6; at++) limiter.take("greedy");
    for (let at = 0; at < 10_000; at++) limiter.take(`name ${at}`);
    expect(limiter.take("greedy").ok).toBe(false);
  });

  it("forgets those first whose minute is over", () => {
    const clock = makeClock();
    const limiter = new RateLimiter({ perMinute: 2, now: clock.now, mostTracked: 100 });
    for (let at = 0; at < 50; at++) for (const _ of [1, 2]) limiter.take(`old ${at}`);
    clock.pass(MINUTE_MS);
    for (let at = 0; at < 50; at++) limiter.take(`new ${at}`);
    limiter.take("one more");
    expect(limiter.tracked).toBe(51);
    for (let at = 0; at < 50; at++) expect(limiter.take(`new ${at}`)).toMatchObject({ remaining: 0 });
  });
});
