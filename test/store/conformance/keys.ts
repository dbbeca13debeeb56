import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Store, StoreOptions, TurnStart } from "../../../src/store/store.ts";
import { answer, calling, ending, result, START_MS, session, traceRecord, turn, unknownResult } from "../records.ts";

type Open = (options: Omit<StoreOptions, "path">) => Promise<Store>;

const DAY_MS = 24 * 60 * 60 * 1000;

export function keyedTurn(turnId: string, sessionId: string | undefined, key: string, more: Partial<TurnStart> = {}): TurnStart {
  return { ...turn(turnId, sessionId), idempotency: { key, digest: `digest of ${key}`, streamId: `stream of ${turnId}` }, ...more };
}

/** Turns that are begun with a key. */
export function describeKeys(open: Open): void {
  describe("a turn with an idempotency key", () => {
    let store: Store;
    let clock = START_MS;
    beforeEach(async () => {
      clock = START_MS;
      store = await open({ keepTraces: 1000, now: () => clock });
      await store.upsertSession(session("s1"));
    });
    afterEach(() => store.close());
    const taken = { errorName: "invalid_params", data: { field: "idempotencyKey" }, message: "A turn with this idempotencyKey exists" };

    it("is found with what it came to, behind what it was begun with", async () => {
      for (const [turnId, sessionId] of [
        ["t1", "s1"],
        ["t2", undefined],
      ] as const) {
        const key = `k\u0000\u001a${turnId}`;
        const facts = {
          turnId,
          streamId: `stream of ${turnId}`,
          sessionId,
          traceId: `tr_${turnId}`,
          digest: `digest of ${key}`,
        };
        await store.beginTurn(
          keyedTurn(turnId, sessionId, key, { messages: turn("x", "s1", { role: "system", content: "s" }, { role: "user", content: "u" }).messages }),
        );
        expect(await store.findTurn(key)).toEqual({ ...facts, status: "running", ending: undefined, messages: [] });
        await store.saveStep({ turnId, messages: [calling("a"), result("a")], durable: true });
        expect(await store.findTurn(key)).toMatchObject({ status: "running", messages: [{ messageId: `${turnId}-2` }, { messageId: `${turnId}-3` }] });
        const ended = ending("error", {
          finishReason: "stop",
          usage: { promptTokens: 1, completionTokens: 2, totalTokens: 3 },
          costUsd: 0.25,
          failure: { kind: "upstream_failed", message: "no \ud800", status: 503 },
          steps: 2,
        });
        await store.endTurn({ turnId, sessionId, answer: answer("done"), ending: ended, trace: traceRecord(`tr_${turnId}`) });
        const found = await store.findTurn(key);
        expect(found).toMatchObject({
          ...facts,
          status: "error",
          messages: [
            { ...calling("a"), turnId, turnStatus: "error", partial: false },
            result("a"),
            { messageId: `${turnId}-4`, role: "assistant", content: "done", partial: true },
          ],
        });
        expect(found?.ending).toEqual({ ...ended, failure: { ...ended.failure, message: "no \ufffd" } });
        expect((await store.getTrace(`tr_${turnId}`)).trace.assistantMessageId).toBe(`${turnId}-4`);
      }
      expect(await store.findTurn("unknown")).toBeUndefined();
    });

    it("is the only one with that key, whatever its session", async () => {
      await store.beginTurn(keyedTurn("t1", "s1", "k"));
      const before = await store.findTurn("k");
      for (const sessionId of ["s1", undefined]) await expect(store.beginTurn(keyedTurn("t2", sessionId, "k"))).rejects.toMatchObject(taken);
      expect(await store.findTurn("k")).toEqual(before);
      await expect(store.getTrace("tr_t2")).rejects.toMatchObject({ errorName: "trace_not_found" });
      expect((await store.listMessages("s1", { limit: 10 })).items).toHaveLength(1);
      const both = await Promise.allSettled([store.beginTurn(keyedTurn("t3", "s1", "k2")), store.beginTurn(keyedTurn("t4", "s1", "k2"))]);
      expect(both.map(({ status }) => status)).toEqual(["fulfilled", "rejected"]);
      expect(await store.findTurn("k2")).toMatchObject({ turnId: "t3" });
    });

    it("has the key as it was when the call was made", async () => {
      const start = keyedTurn("t1", "s1", "k");
      const began = store.beginTurn(start);
      (start.idempotency as { key: string }).key = "changed";
      await began;
      const end = { ...ending("error"), failure: { kind: "internal" as const, message: "first" } };
      const ended = store.endTurn({ turnId: "t1", sessionId: "s1", answer: undefined, ending: end, trace: traceRecord("tr_t1") });
      end.failure.message = "changed";
      await ended;
      expect((await store.findTurn("k"))?.ending?.failure?.message).toBe("first");
    });

    it("outside a session is answered for calls whose end nobody has seen, and ends once", async () => {
      await store.beginTurn(keyedTurn("t1", undefined, "k"));
      await store.saveStep({ turnId: "t1", messages: [calling("a")], begun: ["a"], durable: true });
      const end = { turnId: "t1", sessionId: undefined, answer: undefined };
      await store.endTurn({ ...end, ending: ending("cancelled"), trace: traceRecord("tr_t1", { status: "cancelled" }) });
      await store.endTurn({ ...end, answer: answer("late"), ending: ending("completed"), trace: traceRecord("tr_t1", { status: "completed" }) });
      expect(await store.findTurn("k")).toMatchObject({ status: "cancelled", messages: [calling("a"), unknownResult("a")] });
      expect((await store.findTurn("k"))?.messages).toHaveLength(2);
      expect((await store.getTrace("tr_t1")).trace.status).toBe("cancelled");
      await expect(store.beginTurn(turn("t1", undefined))).rejects.toMatchObject({ message: "A stream with this id exists" });
    });

    it("goes with its session, and leaves the key to others", async () => {
      await store.beginTurn(keyedTurn("t1", "s1", "k"));
      await store.deleteSession("s1");
      expect(await store.findTurn("k")).toBeUndefined();
      await store.beginTurn(keyedTurn("t2", undefined, "k"));
      expect(await store.findTurn("k")).toMatchObject({ turnId: "t2" });
    });

    it("loses the key a day after it has begun; in a session it stays itself, outside it is gone", async () => {
      await store.beginTurn(keyedTurn("t1", "s1", "k1"));
      await store.beginTurn(keyedTurn("t2", undefined, "k2"));
      await store.beginTurn(keyedTurn("t3", undefined, "k3"));
      for (const [turnId, sessionId] of [
        ["t1", "s1"],
        ["t2", undefined],
      ] as const) {
        await store.endTurn({ turnId, sessionId, answer: answer("done"), ending: ending("completed"), trace: traceRecord(`tr_${turnId}`) });
      }
      clock += DAY_MS - 1;
      for (const key of ["k1", "k2", "k3"]) {
        expect(await store.findTurn(key)).toBeDefined();
        await expect(store.beginTurn(keyedTurn("t9", undefined, key))).rejects.toMatchObject(taken);
      }
      clock += 1;
      for (const key of ["k1", "k2", "k3"]) expect(await store.findTurn(key)).toBeUndefined();
      for (const [index, key] of ["k1", "k2", "k3"].entries()) {
        await store.beginTurn(keyedTurn(`again${index}`, undefined, key));
        expect(await store.findTurn(key)).toMatchObject({ turnId: `again${index}`, status: "running" });
      }
      expect((await store.listMessages("s1", { limit: 10 })).items).toHaveLength(2);
      // Its id is free again, but not that of the turn that is running still, which now ends as one that nothing is kept of.
      await store.beginTurn(turn("t2", undefined));
      await expect(store.beginTurn(turn("t3", undefined))).rejects.toMatchObject({ errorName: "invalid_params" });
      await store.saveStep({ turnId: "t3", messages: [calling("a")], begun: ["a"], durable: true });
      await store.endTurn({
        turnId: "t3",
        sessionId: undefined,
        answer: answer("x"),
        ending: ending("completed"),
        trace: traceRecord("tr_t3", { status: "completed" }),
      });
      expect((await store.getTrace("tr_t3")).trace.status).toBe("completed");
      await store.beginTurn(turn("t3", undefined));
    });
  });
}

/** Calls of tools that are made with a key. */
export function describeCalls(open: Open): void {
  describe("a call with an idempotency key", () => {
    let store: Store;
    let clock = START_MS;
    beforeEach(async () => {
      clock = START_MS;
      store = await open({ keepTraces: 1000, now: () => clock });
    });
    afterEach(() => store.close());

    it("begins once, and is known with its result from then on", async () => {
      const mark = { key: "k\u0000", digest: "d\u001a" };
      expect(await store.beginCall(mark)).toBe("begun");
      expect(await store.beginCall({ ...mark, digest: "other" })).toEqual({ digest: "d\u001a", result: undefined });
      const toolResult = { success: true, data: { text: "\ud800", list: [1, null] }, extra: "x" };
      const ended = store.endCall("k\u0000", toolResult);
      toolResult.extra = "changed";
      await ended;
      await store.endCall("k\u0000", { success: false, error: "late" });
      const known = { digest: "d\u001a", result: { success: true, data: { text: "\ufffd", list: [1, null] }, extra: "x" } };
      expect(await store.beginCall(mark)).toEqual(known);
      await store.endCall("unknown", { success: true });
      expect(await store.beginCall({ key: "unknown", digest: "d" })).toBe("begun");
    });

    it("begins once when it is made several times at the same moment", async () => {
      const begun = await Promise.all(Array.from({ length: 5 }, () => store.beginCall({ key: "k", digest: "d" })));
      expect(begun).toEqual(["begun", ...Array.from({ length: 4 }, () => ({ digest: "d", result: undefined }))]);
    });

    it("that was not run gives its key free, one that has ended does not", async () => {
      await store.beginCall({ key: "k", digest: "d" });
      await store.endCall("k", undefined);
      expect(await store.beginCall({ key: "k", digest: "other" })).toBe("begun");
      await store.endCall("k", { success: true });
      await store.endCall("k", undefined);
      expect(await store.beginCall({ key: "k", digest: "other" })).toMatchObject({ result: { success: true } });
    });

    it("may have the key of a turn", async () => {
      await store.beginTurn(keyedTurn("t1", undefined, "k"));
      expect(await store.beginCall({ key: "k", digest: "d" })).toBe("begun");
      expect(await store.findTurn("k")).toMatchObject({ turnId: "t1" });
    });

    it("is forgotten after a day", async () => {
      await store.beginCall({ key: "done", digest: "d" });
      await store.endCall("done", { success: true });
      await store.beginCall({ key: "running", digest: "d" });
      clock += DAY_MS - 1;
      for (const key of ["done", "running"]) expect(await store.beginCall({ key, digest: "d" })).toMatchObject({ digest: "d" });
      clock += 1;
      for (const key of ["done", "running"]) expect(await store.beginCall({ key, digest: "d2" })).toBe("begun");
      expect(await store.beginCall({ key: "done", digest: "d" })).toEqual({ digest: "d2", result: undefined });
    });
  });
}
