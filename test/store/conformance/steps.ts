import { beforeEach, describe, expect, it } from "vitest";
import type { ChatMessage, StoredMessage } from "../../../src/contract/model.ts";
import type { MessageBody, Store, TurnEnd, TurnStep } from "../../../src/store/store.ts";
import { answer, calling, ending, result, session, traceRecord, turn, unknownResult } from "../records.ts";

/** Turns that go through several model calls, with tools in between. */
export function describeSteps(store: () => Store): void {
  describe("the steps of a turn", () => {
    beforeEach(async () => {
      await store().upsertSession(session("s1"));
    });

    const step = (turnId: string, messages: MessageBody[], more: Partial<TurnStep> = {}): Promise<void> =>
      store().saveStep({ turnId, messages, durable: true, ...more });
    const end = (turnId: string, more: Partial<TurnEnd> = {}): Promise<void> =>
      store().endTurn({ turnId, sessionId: "s1", answer: undefined, ending: ending("completed"), trace: traceRecord(`tr_${turnId}`), ...more });
    const stored = async (sessionId = "s1"): Promise<StoredMessage[]> => (await store().listMessages(sessionId, { limit: 1000 })).items;

    it("stand between what it was given and its last answer, durable or not", async () => {
      await store().beginTurn(turn("t1", "s1"));
      await step("t1", [calling("a", "b"), result("a")]);
      await step("t1", [result("b"), { ...calling("c"), reasoning: "hm", providerData: { signature: "x" } }], { durable: false });
      expect((await stored()).map(({ messageId, turnStatus }) => [messageId, turnStatus])).toEqual(
        Array.from({ length: 5 }, (_, index) => [`t1-${index}`, "running"]),
      );
      await step("t1", [result("c", "\u0000\ud800")]);
      await end("t1", { answer: answer("done", { reasoning: "at last" }) });
      const messages = await stored();
      expect(messages.map(({ partial }) => partial)).toEqual(Array.from({ length: 7 }, () => false));
      expect(messages).toMatchObject([
        { role: "user", content: "ask t1" },
        calling("a", "b"),
        result("a"),
        result("b"),
        { ...calling("c"), reasoning: "hm", providerData: { signature: "x" } },
        result("c", "\u0000\ufffd"),
        { messageId: "t1-6", role: "assistant", content: "done", reasoning: "at last", turnStatus: "completed" },
      ]);
      expect((await store().getTrace("tr_t1")).trace.assistantMessageId).toBe("t1-6");
    });

    it("are sent along with later turns, without reasoning and without what only hosts are told", async () => {
      await store().beginTurn(turn("t1", "s1"));
      await step("t1", [{ ...calling("a"), reasoning: "hm" }], { begun: ["a"] });
      await end("t1");
      const { messages } = await store().history("s1", undefined);
      const { outcomeUnknown: _, ...answered } = unknownResult("a") as MessageBody;
      const expected: ChatMessage[] = [{ role: "user", content: "ask t1" }, calling("a"), answered];
      expect(messages).toEqual(expected.map((message, index) => ({ messageId: `t1-${index}`, turnId: "t1", message })));
    });

    it("come page by page with the other messages", async () => {
      await store().beginTurn(turn("t1", "s1"));
      await step("t1", [calling("a"), result("a"), calling("b"), result("b")]);
      await end("t1", { answer: answer("done") });
      const found: string[] = [];
      let cursor: string | undefined;
      do {
        const page = await store().listMessages("s1", { limit: 2, cursor });
        found.push(...page.items.map(({ messageId }) => messageId));
        cursor = page.nextCursor;
      } while (cursor !== undefined && found.length < 100);
      expect(found).toEqual(["t1-0", "t1-1", "t1-2", "t1-3", "t1-4", "t1-5"]);
    });

    it("are stored as they were when the call was made", async () => {
      const given = turn("t1", "s1");
      const messages = [calling("a")];
      const begun = ["a"];
      const began = store().beginTurn(given);
      (given.messages as ChatMessage[])[0]!.content = "changed";
      const saved = store().saveStep({ turnId: "t1", messages, begun, durable: true });
      messages[0]!.toolCalls![0]!.name = "changed";
      begun[0] = "changed";
      const said = answer("said", { toolCalls: [{ id: "b", name: "f", arguments: {} }] });
      const ended = end("t1", { answer: said });
      said.text = "changed";
      said.toolCalls[0]!.name = "changed";
      await Promise.all([began, saved, ended]);
      expect(JSON.stringify(await stored())).not.toContain("changed");
      expect(await stored()).toHaveLength(4);
    });

    it("answer calls that had begun and not ended as unknown when the turn ends, before the last answer", async () => {
      await store().beginTurn(turn("t1", "s1"));
      await step("t1", [calling("a", "b", "c")], { begun: ["c", "a", "b"] });
      await step("t1", [result("a")], { ended: ["a"] });
      await end("t1", { ending: ending("cancelled"), answer: answer("hal") });
      expect(await stored()).toMatchObject([
        { role: "user" },
        calling("a", "b", "c"),
        result("a"),
        unknownResult("c"),
        unknownResult("b"),
        { role: "assistant", content: "hal", partial: true, turnStatus: "cancelled" },
      ]);
      expect((await stored())[2]).not.toHaveProperty("outcomeUnknown");
      expect((await store().getTrace("tr_t1")).trace.assistantMessageId).toBe("t1-5");
    });

    it("may use the id of a call again once that has ended", async () => {
      await store().beginTurn(turn("t1", "s1"));
      await step("t1", [calling("a")], { begun: ["a", "a"] });
      await step("t1", [result("a"), calling("a")], { ended: ["a", "never begun"], begun: ["a"] });
      await end("t1");
      expect((await stored()).slice(1)).toMatchObject([calling("a"), result("a"), calling("a"), unknownResult("a")]);
    });

    it("change nothing of a turn that has ended, was deleted, or never was", async () => {
      await store().beginTurn(turn("t1", "s1"));
      await end("t1", { answer: answer("done") });
      const before = await stored();
      await step("t1", [calling("late")], { begun: ["late"] });
      await end("t1");
      expect(await stored()).toEqual(before);
      await step("unknown", [calling("a")], { begun: ["a"] });
      await store().beginTurn(turn("t2", "s1"));
      await store().deleteSession("s1");
      await step("t2", [calling("a")], { begun: ["a"] });
      await store().upsertSession(session("s1"));
      expect(await stored()).toEqual([]);
    });

    it("of a turn outside a session are not kept", async () => {
      await store().beginTurn(turn("t1", undefined));
      await step("t1", [calling("a")], { begun: ["a"] });
      await end("t1", { sessionId: undefined, answer: answer("done") });
      await store().beginTurn(turn("t1", "s1"));
      expect(await stored()).toHaveLength(1);
    });

    it("may be empty", async () => {
      await store().beginTurn(turn("t1", "s1"));
      await step("t1", []);
      await end("t1", { answer: answer("done") });
      expect((await stored()).map(({ messageId }) => messageId)).toEqual(["t1-0", "t1-1"]);
    });
  });
}
