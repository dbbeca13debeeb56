import fc from "fast-check";
import { beforeEach, describe, expect, it } from "vitest";
import type { Spending } from "../../../src/contract/model.ts";
import type { SpendingScope, Store } from "../../../src/store/store.ts";
import { session } from "../records.ts";

/** What sessions, and everything together, have used and may do. */
export function describeAccounts(store: () => Store): void {
  const everything: SpendingScope = { kind: "process" };
  const of = (sessionId: string): SpendingScope => ({ kind: "session", sessionId });
  const nothing: Spending = { tokens: 0, steps: 0, toolCalls: 0, costUsd: 0, wallMs: 0 };

  describe("what was spent", () => {
    beforeEach(async () => {
      for (const sessionId of ["s1", "s2"]) await store().upsertSession(session(sessionId));
    });

    it("is added up for each scope", async () => {
      for (const scope of [everything, of("s1")]) expect(await store().spent(scope)).toEqual(nothing);
      const amount = { tokens: 100, steps: 1, toolCalls: 2, costUsd: 0.5, wallMs: 1000 };
      await store().spend([
        { scope: everything, amount },
        { scope: of("s1"), amount },
      ]);
      await store().spend([
        { scope: everything, amount: { tokens: -40, steps: 0, toolCalls: 0, costUsd: -0.25, wallMs: 5 } },
        { scope: of("s2"), amount: { ...nothing, steps: 7 } },
      ]);
      expect(await store().spent(everything)).toEqual({ tokens: 60, steps: 1, toolCalls: 2, costUsd: 0.25, wallMs: 1005 });
      expect(await store().spent(of("s1"))).toEqual(amount);
      expect(await store().spent(of("s2"))).toEqual({ ...nothing, steps: 7 });
    });

    it("is the sum of everything that was told, in any order and at once", async () => {
      const tokens = fc.integer({ min: 0, max: 1_000_000 });
      await fc.assert(
        fc.asyncProperty(fc.array(fc.tuple(fc.constantFrom("s1", "s2", undefined), tokens), { maxLength: 30 }), async (parts) => {
          const scopes = [everything, of("s1"), of("s2")];
          for (const scope of scopes) await store().resetSpending(scope);
          await Promise.all(
            parts.map(([sessionId, part]) =>
              store().spend([{ scope: sessionId === undefined ? everything : of(sessionId), amount: { ...nothing, tokens: part } }]),
            ),
          );
          for (const [index, sessionId] of [undefined, "s1", "s2"].entries()) {
            const expected = parts.filter(([id]) => id === sessionId).reduce((sum, [, part]) => sum + part, 0);
            expect((await store().spent(scopes[index] ?? everything)).tokens).toBe(expected);
          }
        }),
        { numRuns: 20 },
      );
    });

    it("is what it was when the call was made, and whole numbers where those are counted", async () => {
      const amount = { ...nothing, tokens: 5, wallMs: 10.6, costUsd: 1e-7 };
      const spent = store().spend([{ scope: everything, amount }]);
      amount.tokens = 999;
      await spent;
      expect(await store().spent(everything)).toEqual({ ...nothing, tokens: 5, wallMs: 11, costUsd: 1e-7 });
      (await store().spent(everything)).tokens = 999;
      expect((await store().spent(everything)).tokens).toBe(5);
    });

    it("is never below zero, nor beyond what can be counted", async () => {
      await store().spend([{ scope: everything, amount: { tokens: -5, steps: -1, toolCalls: -1, costUsd: -0.1, wallMs: -1 } }]);
      expect(await store().spent(everything)).toEqual(nothing);
      await store().spend([{ scope: everything, amount: { ...nothing, tokens: 3 } }]);
      expect((await store().spent(everything)).tokens).toBe(3);
      for (let round = 0; round < 3; round++) {
        await store().spend([{ scope: everything, amount: { ...nothing, tokens: Number.MAX_SAFE_INTEGER, costUsd: Number.MAX_VALUE } }]);
      }
      expect(await store().spent(everything)).toMatchObject({ tokens: Number.MAX_SAFE_INTEGER, costUsd: Number.MAX_SAFE_INTEGER });
    });

    it("is set back for one scope alone", async () => {
      const amount = { ...nothing, tokens: 7 };
      await store().spend([everything, of("s1"), of("s2")].map((scope) => ({ scope, amount })));
      await store().resetSpending(of("s1"));
      expect((await store().spent(of("s1"))).tokens).toBe(0);
      await store().resetSpending(everything);
      expect((await store().spent(everything)).tokens).toBe(0);
      expect((await store().spent(of("s2"))).tokens).toBe(7);
    });

    it("goes with its session; what is spent for one that is gone does not count", async () => {
      const amount = { ...nothing, tokens: 7 };
      await store().spend([{ scope: of("s1"), amount }]);
      await store().deleteSession("s1");
      await store().spend([
        { scope: of("s1"), amount },
        { scope: everything, amount },
      ]);
      expect((await store().spent(everything)).tokens).toBe(7);
      const missing = { errorName: "session_not_found", data: { sessionId: "s1" } };
      await expect(store().spent(of("s1"))).rejects.toMatchObject(missing);
      await expect(store().resetSpending(of("s1"))).rejects.toMatchObject(missing);
      await store().upsertSession(session("s1"));
      expect((await store().spent(of("s1"))).tokens).toBe(0);
    });
  });

  describe("what was allowed for good", () => {
    const grant = (tool: string, call?: string): { tool: string; call: string | undefined; createdAt: string } => ({
      tool,
      call,
      createdAt: `at ${tool} ${call}`,
    });

    it("is listed oldest first, each once", async () => {
      const odd = grant("w\u0000\u001a", '{"path":"\\u0000"}');
      for (const one of [grant("b"), grant("a"), grant("b", "{}"), odd]) await store().saveGrant(one);
      for (const again of [grant("b"), grant("b", "{}"), odd]) await store().saveGrant({ ...again, createdAt: "later" });
      expect(await store().listGrants()).toEqual([grant("b"), grant("a"), grant("b", "{}"), odd]);
    });

    it("is taken back for one tool, or all of it", async () => {
      for (const one of [grant("a"), grant("a", "{}"), grant("b"), grant("c", "{}")]) await store().saveGrant(one);
      await store().deleteGrants("a");
      await store().deleteGrants("unknown");
      expect(await store().listGrants()).toEqual([grant("b"), grant("c", "{}")]);
      await store().saveGrant(grant("a"));
      expect((await store().listGrants()).map(({ tool }) => tool)).toEqual(["b", "c", "a"]);
      await store().deleteGrants(undefined);
      expect(await store().listGrants()).toEqual([]);
    });

    it("is what it was when the call was made", async () => {
      const given = grant("a");
      const saved = store().saveGrant(given);
      given.tool = "b";
      await saved;
      const [found] = await store().listGrants();
      expect(found?.tool).toBe("a");
      if (found !== undefined) found.tool = "changed";
      expect((await store().listGrants())[0]?.tool).toBe("a");
    });
  });
}
