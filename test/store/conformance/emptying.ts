import { beforeEach, describe, expect, it } from "vitest";
import type { Store } from "../../../src/store/store.ts";
import { answer, calling, ending, session, traceRecord, turn, wholeTurn } from "../records.ts";

/** Sessions from which everything that was said is taken. */
export function describeEmptying(store: () => Store): void {
  describe("a session that is emptied", () => {
    beforeEach(async () => {
      await store().upsertSession(session("s1", { alias: "Plans", stageData: { a: 1 } }), "ann");
      await store().upsertSession(session("s2"));
      await wholeTurn(store(), "t1", "s1");
      await wholeTurn(store(), "other", "s2");
    });

    const said = async (sessionId: string): Promise<unknown[]> => (await store().listMessages(sessionId, { limit: 100 })).items.map(({ content }) => content);

    it("stays as it was, without messages, turns and summaries, as the one used last", async () => {
      const before = await store().getSession("s1");
      await store().setActive("s1", false);
      await store().saveSummary("s1", { text: "short", through: "t1-0", summarized: 1, system: undefined });
      const emptied = await store().emptySession("s1");
      expect(emptied).toEqual({ ...before, isActive: false, updatedAt: expect.any(String) });
      expect(emptied.updatedAt > before.updatedAt).toBe(true);
      expect(await store().getSession("s1")).toEqual(emptied);
      expect(await store().ownerOf({ sessionId: "s1" })).toBe("ann");
      expect(await said("s1")).toEqual([]);
      expect(await store().history("s1", undefined)).toEqual({ summary: undefined, summarized: 0, system: undefined, messages: [] });
      expect((await store().listSessions({ limit: 5 })).map(({ sessionId }) => sessionId)).toEqual(["s1", "s2"]);
      expect(await said("s2")).toHaveLength(2);
    });

    it("keeps its traces and what was spent, and takes turns again, also with the old ids", async () => {
      const amount = { tokens: 5, steps: 1, toolCalls: 0, costUsd: 0, wallMs: 0 };
      await store().spend([{ scope: { kind: "session", sessionId: "s1" }, amount }]);
      await store().emptySession("s1");
      expect(await store().spent({ kind: "session", sessionId: "s1" })).toMatchObject({ tokens: 5, steps: 1 });
      expect((await store().getTrace("tr_t1")).trace.sessionId).toBe("s1");
      await wholeTurn(store(), "t1", "s1", "again");
      expect(await said("s1")).toEqual(["ask t1", "again"]);
      expect((await store().history("s1", undefined)).messages).toHaveLength(2);
    });

    it("keeps nothing of what a running turn still brings but its trace; its key is free again", async () => {
      await store().beginTurn({ ...turn("t2", "s1"), idempotency: { key: "k", digest: "d", streamId: "t2" } });
      await store().saveStep({ turnId: "t2", messages: [calling("a")], begun: ["a"], durable: true });
      await store().appendAnswer("t2", { text: "so far", reasoning: "" });
      await store().emptySession("s1");
      expect(await store().findTurn("k")).toBeUndefined();
      await store().appendAnswer("t2", { text: "more", reasoning: "" });
      await store().saveStep({ turnId: "t2", messages: [calling("b")], begun: ["b"], durable: true });
      const trace = traceRecord("tr_t2", { sessionId: "s1", status: "completed" });
      await store().endTurn({ turnId: "t2", sessionId: "s1", answer: answer("done"), ending: ending("completed"), trace });
      expect(await said("s1")).toEqual([]);
      expect((await store().getTrace("tr_t2")).trace.status).toBe("completed");
      await store().beginTurn({ ...turn("t3", "s1"), idempotency: { key: "k", digest: "e", streamId: "t3" } });
      expect(await store().findTurn("k")).toMatchObject({ turnId: "t3" });
    });

    it("may be empty already", async () => {
      await store().upsertSession(session("s3"));
      expect(await store().emptySession("s3")).toMatchObject({ sessionId: "s3" });
      expect(await store().emptySession("s3")).toMatchObject({ sessionId: "s3" });
    });
  });
}
