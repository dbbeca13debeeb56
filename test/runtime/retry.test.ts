import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type FailureKind, failureTable } from "../../src/errors.ts";
import { nextTry } from "../../src/runtime/turns/retry.ts";

const rule = { attempts: 3, baseMs: 500, maxMs: 8_000 };
const middle = () => 0.5;
const failure = (kind: FailureKind, more: object = {}) => ({ kind, message: "m", ...more });

describe("the next try", () => {
  it("comes for kinds that may pass, until the tries are used up", () => {
    for (const [kind, { retryable }] of Object.entries(failureTable) as [FailureKind, { retryable: boolean }][]) {
      expect(nextTry(failure(kind), 1, rule, middle) !== undefined).toBe(retryable);
      expect(nextTry(failure(kind), 3, rule, middle)).toBeUndefined();
    }
    expect(nextTry(failure("upstream_failed", { retryable: false }), 1, rule, middle)).toBeUndefined();
    expect(nextTry(failure("upstream_rejected", { retryable: true }), 1, rule, middle)).toBeDefined();
  });

  it("waits min(base * 2^(n-1), max), times 0.8 to 1.2", () => {
    expect([1, 2].map((attempt) => nextTry(failure("upstream_failed"), attempt, rule, middle))).toEqual([500, 1000]);
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 40 }),
        fc.integer({ min: 1, max: 1e6 }),
        fc.integer({ min: 1, max: 1e6 }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        (attempt, baseMs, maxMs, random) => {
          const wait = nextTry(failure("upstream_failed"), attempt, { attempts: 99, baseMs, maxMs }, () => random) ?? Number.NaN;
          const step = Math.min(baseMs * 2 ** (attempt - 1), maxMs);
          expect(wait).toBeGreaterThanOrEqual(Math.floor(step * 0.8));
          expect(wait).toBeLessThanOrEqual(Math.ceil(step * 1.2));
        },
      ),
    );
  });

  it("waits as long as the model server says, up to a minute; beyond that it does not come", () => {
    expect(nextTry(failure("rate_limited", { retryAfterMs: 0 }), 1, rule, middle)).toBe(0);
    expect(nextTry(failure("rate_limited", { retryAfterMs: 60_000 }), 1, rule, middle)).toBe(60_000);
    expect(nextTry(failure("rate_limited", { retryAfterMs: 60_001 }), 1, rule, middle)).toBeUndefined();
  });
});
