import { beforeEach, describe, expect, it } from "vitest";
import type { StoredMessage } from "../../../src/contract/model.ts";
import type { Fork, Store } from "../../../src/store/store.ts";
import { answer, calling, ending, result, session, traceRecord, turn, wholeTurn } from "../records.ts";

/** What stands for the older part of a session. */
export function describeSummaries(store: () => Store): void {
  describe("a summary", () => {
    beforeEach(async () => {
      for (const sessionId of ["s0", "s1"]) await store().upsertSession(session(sessionId));
      await wholeTurn(store(), "other", "s0");
      for (const turnId of ["t-1", "t-2", "t-3"]) await wholeTurn(store(), turnId, "s1");
    });
    const save = (text: string, through: string, summarized = 1): Promise<void> => store().saveSummary("s1", { text, through, summarized, system: undefined });
    const sent = async (turnId: string | undefined): Promise<unknown> => {
      const { summary, messages } = await store().history("s1", turnId);
      return [summary, ...messages.map(({ messageId }) => messageId)];
    };

    it("stands for everything up to its message, for the turns behind that", async () => {
      expect(await store().history("s1", "t-1")).toEqual({ summary: undefined, summarized: 0, system: undefined, messages: [] });
      await store().saveSummary("s1", {
        text: "in \u0000 short\ud800",
        through: "t-2-0",
        summarized: 3,
        system: { role: "system", content: "be \ud800 brief" },
      });
      expect(await store().history("s1", undefined)).toEqual({
        summary: "in \u0000 short\ufffd",
        summarized: 3,
        system: { role: "system", content: "be \ufffd brief" },
        messages: [
          { messageId: "t-2-1", turnId: "t-2", message: { role: "assistant", content: "answer t-2" } },
          { messageId: "t-3-0", turnId: "t-3", message: { role: "user", content: "ask t-3" } },
          { messageId: "t-3-1", turnId: "t-3", message: { role: "assistant", content: "answer t-3" } },
        ],
      });
      expect(await sent("t-3")).toEqual(["in \u0000 short\ufffd", "t-2-1"]);
      expect(await sent("t-2")).toEqual([undefined, "t-1-0", "t-1-1"]);
      expect((await store().listMessages("s1", { limit: 100 })).items).toHaveLength(6);
      expect((await store().history("s0", undefined)).summary).toBeUndefined();
    });

    it("counts when it reaches furthest, and of those that reach equally far the newest does", async () => {
      await save("far", "t-3-0");
      await save("near", "t-1-1");
      expect(await sent(undefined)).toEqual(["far", "t-3-1"]);
      expect(await sent("t-3")).toEqual(["near", "t-2-0", "t-2-1"]);
      await save("far again", "t-3-0");
      await save("nearer", "t-1-0");
      expect(await sent(undefined)).toEqual(["far again", "t-3-1"]);
      expect(await sent("t-2")).toEqual(["near"]);
    });

    it("may reach into a turn that is running, and past position 9", async () => {
      await store().beginTurn(turn("t-4", "s1"));
      await store().saveStep({
        turnId: "t-4",
        messages: Array.from({ length: 6 }, (_, index) => [calling(`c${index}`), result(`c${index}`)]).flat(),
        durable: true,
      });
      await save("nine", "t-4-9");
      await save("ten", "t-4-10");
      await save("two", "t-4-2");
      await store().beginTurn(turn("t-5", "s1"));
      expect(await sent("t-5")).toEqual(["ten", "t-4-11", "t-4-12"]);
      expect(await sent("t-4")).toMatchObject({ length: 7 });
      // Without a turn, only what has ended counts.
      expect(await sent(undefined)).toMatchObject({ length: 7 });
    });

    it("is stored as it was when the call was made", async () => {
      const summary = { text: "first", through: "t-1-0", summarized: 1, system: { role: "system" as const, content: "first" } };
      const saved = store().saveSummary("s1", summary);
      summary.text = "changed";
      summary.system.content = "changed";
      await saved;
      expect(await store().history("s1", undefined)).toMatchObject({ summary: "first", system: { content: "first" } });
    });

    it("is refused when the session, or the message in it, does not exist", async () => {
      const refused = { errorName: "invalid_params", data: { field: "through" } };
      for (const through of [
        "",
        "-",
        "t-1",
        "t-1-",
        "t-1-2",
        "t-1--1",
        "t-1-01",
        "t-1-1.0",
        "t-1-1e0",
        "t-1-0x1",
        "other-0",
        "nope-0",
        "t-1-99999999999999999999",
      ]) {
        await expect(save("x", through), through).rejects.toMatchObject(refused);
      }
      await expect(store().saveSummary("nope", { text: "x", through: "t-1-0", summarized: 1, system: undefined })).rejects.toMatchObject({
        errorName: "session_not_found",
      });
      expect(await sent(undefined)).toHaveLength(7);
    });

    it("goes with its session", async () => {
      await save("gone", "t-2-1");
      await store().deleteSession("s1");
      await store().upsertSession(session("s1"));
      await wholeTurn(store(), "t-2", "s1");
      expect(await sent(undefined)).toEqual([undefined, "t-2-0", "t-2-1"]);
    });
  });
}

/** Sessions that begin as copies of others. */
export function describeForks(store: () => Store): void {
  describe("the fork of a session", () => {
    let ids = 0;
    const fork = (more: Partial<Fork> = {}): ReturnType<Store["forkSession"]> =>
      store().forkSession({ from: "s1", throughTurnId: undefined, fields: session("s2"), newTurnId: () => `new${++ids}`, ...more });
    const stored = async (sessionId: string): Promise<StoredMessage[]> => (await store().listMessages(sessionId, { limit: 1000 })).items;
    /** What is the same in a copy. */
    const essence = (messages: StoredMessage[]): unknown[] => messages.map((message) => ({ ...message, messageId: "", turnId: "" }));

    beforeEach(async () => {
      ids = 0;
      await store().upsertSession(session("s1", { stageData: { a: 1 } }));
      await wholeTurn(store(), "t1", "s1");
      await store().beginTurn({ ...turn("t2", "s1"), idempotency: { key: "k", digest: "d", streamId: "t2" } });
      await store().saveStep({ turnId: "t2", messages: [calling("a", "b"), result("a")], begun: ["b"], durable: true });
      await store().endTurn({
        turnId: "t2",
        sessionId: "s1",
        answer: answer("ha"),
        ending: ending("cancelled"),
        trace: traceRecord("tr_t2", { sessionId: "s1" }),
      });
      await wholeTurn(store(), "t3", "s1");
    });

    it("has copies of all turns that have ended, in their order, and the fields that it was given", async () => {
      await store().beginTurn(turn("t4", "s1"));
      await wholeTurn(store(), "t5", "s1");
      const before = await stored("s1");
      const created = await fork({ fields: session("s2", { chatId: "c2", stageData: { b: [2] } }) });
      expect(created).toMatchObject({ sessionId: "s2", chatId: "c2", stageData: { b: [2] }, isActive: true });
      expect(created.createdAt).toBe(created.updatedAt);
      expect(await store().getSession("s2")).toEqual(created);
      const copies = await stored("s2");
      expect(essence(copies)).toEqual(essence(before.filter(({ turnId }) => turnId !== "t4")));
      const positions = { new1: 2, new2: 5, new3: 2, new4: 2 };
      const expected = Object.entries(positions).flatMap(([turnId, length]) => Array.from({ length }, (_, position) => `${turnId}-${position}`));
      expect(copies.map(({ messageId }) => messageId)).toEqual(expected);
      expect(await stored("s1")).toEqual(before);
    });

    it("goes up to the turn that is named, which may be one that is running and left out", async () => {
      await store().beginTurn(turn("t4", "s1"));
      await wholeTurn(store(), "t5", "s1");
      await fork({ throughTurnId: "t2" });
      expect(new Set((await stored("s2")).map(({ turnId }) => turnId))).toEqual(new Set(["new1", "new2"]));
      await fork({ throughTurnId: "t4", fields: session("s3") });
      expect(new Set((await stored("s3")).map(({ turnId }) => turnId))).toEqual(new Set(["new3", "new4", "new5"]));
    });

    it("goes its own way", async () => {
      await fork();
      const before = await stored("s1");
      await wholeTurn(store(), "t9", "s2");
      expect((await store().history("s2", undefined)).messages.at(-1)).toMatchObject({ turnId: "t9", message: { content: "answer t9" } });
      expect(await stored("s1")).toEqual(before);
      // A copy has ended, whatever its turn may still be told.
      await store().saveStep({ turnId: "new2", messages: [calling("x")], begun: ["x"], durable: true });
      await store().endTurn({ turnId: "new2", sessionId: "s2", answer: answer("x"), ending: ending("completed"), trace: traceRecord("tr_new2") });
      const copies = await stored("s2");
      expect(essence(copies.slice(0, -2))).toEqual(essence(before));
      await store().deleteSession("s1");
      expect(await stored("s2")).toEqual(copies);
    });

    it("leaves keys, traces and spending with the old one", async () => {
      await store().spend([{ scope: { kind: "session", sessionId: "s1" }, amount: { tokens: 5, steps: 1, toolCalls: 0, costUsd: 0, wallMs: 0 } }]);
      await fork();
      expect(await store().findTurn("k")).toMatchObject({ turnId: "t2", sessionId: "s1" });
      expect((await store().listTraces({ sessionId: "s2", limit: 10 })).items).toEqual([]);
      expect((await store().getTrace("tr_t2")).trace.assistantMessageId).toBe("t2-4");
      expect(await store().spent({ kind: "session", sessionId: "s2" })).toMatchObject({ tokens: 0, steps: 0 });
      await store().deleteSession("s2");
      expect(await store().findTurn("k")).toMatchObject({ turnId: "t2" });
    });

    it("has the summaries that stand for its turns, and no others", async () => {
      const system = { role: "system" as const, content: "s" };
      await store().saveSummary("s1", { text: "one", through: "t1-1", summarized: 2, system });
      await store().saveSummary("s1", { text: "two", through: "t2-3", summarized: 6, system: undefined });
      await store().saveSummary("s1", { text: "three", through: "t3-0", summarized: 8, system: undefined });
      await fork({ throughTurnId: "t2" });
      expect(await store().history("s2", undefined)).toMatchObject({ summary: "two", summarized: 6, messages: [{ messageId: "new2-4" }] });
      expect(await store().history("s2", "new2")).toEqual({ summary: "one", summarized: 2, system, messages: [] });
      await fork({ fields: session("s3") });
      expect(await store().history("s3", undefined)).toMatchObject({ summary: "three", messages: [{ messageId: "new5-1" }] });
    });

    it("of a session without turns is empty; of a closed one it is open", async () => {
      await store().upsertSession(session("empty"));
      await fork({ from: "empty" });
      expect(await stored("s2")).toEqual([]);
      await store().setActive("s1", false);
      expect(await fork({ fields: session("s3") })).toMatchObject({ isActive: true });
      await wholeTurn(store(), "t9", "s3");
    });

    it("is refused whole when a session or turn is missing, or what is new exists", async () => {
      await store().upsertSession(session("other"));
      await wholeTurn(store(), "elsewhere", "other");
      await expect(fork({ from: "nope" })).rejects.toMatchObject({ errorName: "session_not_found", data: { sessionId: "nope" } });
      for (const throughTurnId of ["nope", "elsewhere"]) {
        await expect(fork({ throughTurnId })).rejects.toMatchObject({ errorName: "turn_not_found", data: { turnId: throughTurnId } });
      }
      for (const newTurnId of [() => "t1", () => "same"]) await expect(fork({ newTurnId })).rejects.toMatchObject({ errorName: "invalid_params" });
      for (const sessionId of ["s1", "other"]) {
        await expect(fork({ fields: session(sessionId) })).rejects.toMatchObject({ errorName: "invalid_params", data: { field: "newSessionId" } });
      }
      await expect(store().getSession("s2")).rejects.toMatchObject({ errorName: "session_not_found" });
      expect(await stored("s1")).toHaveLength(9);
    });

    it("has the fields as they were when the call was made", async () => {
      const fields = session("s2", { stageData: { list: [1] } });
      const forked = fork({ fields });
      fields.chatId = "changed";
      (fields.stageData as { list: number[] }).list.push(2);
      expect(await forked).toMatchObject({ chatId: "chat-1", stageData: { list: [1] } });
    });
  });
}
