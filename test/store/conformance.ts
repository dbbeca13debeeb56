import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { ChatMessage, StoredMessage } from "../../src/contract/model.ts";
import type { Store, StoreOptions } from "../../src/store/store.ts";
import { describeAccounts } from "./conformance/accounts.ts";
import { describeEmptying } from "./conformance/emptying.ts";
import { describeCalls, describeKeys } from "./conformance/keys.ts";
import { describeOwners } from "./conformance/owners.ts";
import { describeSteps } from "./conformance/steps.ts";
import { describeForks, describeSummaries } from "./conformance/summaries.ts";
import { ending, START_MS, session, trace, traceRecord, turn, wholeTurn } from "./records.ts";

/** What every store does, whatever it keeps its records in. */
export function describeStore(name: string, open: (options: Omit<StoreOptions, "path">) => Promise<Store>): void {
  describe(`a store in ${name}`, { timeout: 120_000 }, () => {
    let store: Store;
    let clock = START_MS;
    const options = { keepTraces: 1000, now: () => (clock += 1000) };
    beforeEach(async () => {
      store = await open(options);
      clock = START_MS;
    });
    afterEach(() => store.close());

    const said = (messages: StoredMessage[]): unknown[] => messages.map((message) => message.content);
    const sent = async (sessionId: string, turnId: string): Promise<ChatMessage[]> =>
      (await store.history(sessionId, turnId)).messages.map(({ message }) => message);
    const allMessages = async (sessionId: string): Promise<StoredMessage[]> => (await store.listMessages(sessionId, { limit: 1000 })).items;

    describe("sessions", () => {
      it("are created with exactly the fields given, and read back the same", async () => {
        const created = await store.upsertSession(session("s1", { projectId: "p", stageData: { a: [1, { b: null }] } }));
        expect(created).toEqual({
          sessionId: "s1",
          userId: "local",
          chatId: "chat-1",
          currentStage: "plan",
          scenario: "agent-entry",
          projectId: "p",
          stageData: { a: [1, { b: null }] },
          isActive: true,
          createdAt: "2026-01-01T00:00:01.000Z",
          updatedAt: "2026-01-01T00:00:01.000Z",
        });
        expect(Object.keys(created)).not.toContain("nextStage");
        expect(await store.getSession("s1")).toEqual(created);
      });

      it("keep their name and the model that their turns ask, until they are set without", async () => {
        const own = { alias: "Plans", provider: "openai", model: "gpt-\u0000\u001a", baseUrl: "http://127.0.0.1:1/v1" };
        const created = await store.upsertSession(session("s1", own));
        expect(created).toMatchObject(own);
        expect(await store.getSession("s1")).toEqual(created);
        expect(await store.setActive("s1", false)).toMatchObject(own);
        const updated = await store.upsertSession(session("s1", { alias: "Other", model: "m" }));
        expect(updated).toMatchObject({ alias: "Other", model: "m" });
        for (const name of ["provider", "baseUrl"]) expect(Object.keys(updated)).not.toContain(name);
        expect(await store.listSessions({ limit: 5 })).toEqual([updated]);
      });

      it("that exist are replaced but for their creation time, and are open again", async () => {
        await store.upsertSession(session("s1", { projectId: "p", nextStage: "act", stageData: { n: 1 } }));
        await store.setActive("s1", false);
        const updated = await store.upsertSession(session("s1", { currentStage: "act", userId: "u2", stageData: { n: 2 } }));
        expect(updated).toMatchObject({ currentStage: "act", userId: "u2", stageData: { n: 2 }, isActive: true });
        expect(updated).not.toHaveProperty("projectId");
        expect(updated).not.toHaveProperty("nextStage");
        expect(updated.createdAt).toBe("2026-01-01T00:00:01.000Z");
        expect(updated.updatedAt > updated.createdAt).toBe(true);
        expect(await store.getSession("s1")).toEqual(updated);
      });

      it("are copies: what a caller does to one does not reach the store", async () => {
        const stageData = { list: [1] };
        const created = await store.upsertSession(session("s1", { stageData }));
        stageData.list.push(2);
        (created.stageData as typeof stageData).list.push(3);
        created.userId = "changed";
        expect(await store.getSession("s1")).toMatchObject({ userId: "local", stageData: { list: [1] } });
      });

      it("are closed and opened again", async () => {
        await store.upsertSession(session("s1"));
        expect(await store.setActive("s1", false)).toMatchObject({ isActive: false });
        expect(await store.getSession("s1")).toMatchObject({ isActive: false });
        expect(await store.setActive("s1", true)).toMatchObject({ isActive: true });
      });

      it("that do not exist are session_not_found for every method that needs one", async () => {
        const missing = { errorName: "session_not_found", data: { sessionId: "nope" } };
        await expect(store.getSession("nope")).rejects.toMatchObject(missing);
        await expect(store.setActive("nope", true)).rejects.toMatchObject(missing);
        await expect(store.deleteSession("nope")).rejects.toMatchObject(missing);
        await expect(store.listMessages("nope", { limit: 1 })).rejects.toMatchObject(missing);
        await expect(store.history("nope", "t")).rejects.toMatchObject(missing);
        await expect(store.beginTurn(turn("t", "nope"))).rejects.toMatchObject(missing);
        await expect(store.listSessions({ limit: 1, after: "nope" })).rejects.toMatchObject(missing);
        await expect(store.emptySession("nope")).rejects.toMatchObject(missing);
      });

      it("are gone with their messages once deleted; their traces stay", async () => {
        await store.upsertSession(session("s1"));
        await wholeTurn(store, "t1", "s1");
        await store.deleteSession("s1");
        await expect(store.getSession("s1")).rejects.toMatchObject({ errorName: "session_not_found" });
        expect((await store.getTrace("tr_t1")).trace.sessionId).toBe("s1");
        await store.upsertSession(session("s1"));
        expect(await allMessages("s1")).toEqual([]);
        await wholeTurn(store, "t1", "s1");
        expect(await allMessages("s1")).toHaveLength(2);
      });

      it("keep any text, as long as it is Unicode, and lone surrogates as U+FFFD", async () => {
        const id = "s\u0000\u001a0\ud83d\ude00";
        const fields = session(id, { userId: "a\u0000b\u001a1\u001a", chatId: "\ud800x", stageData: { "k\u0000\udc00": "\\ud800 \udfff \\\ud800" } });
        const created = await store.upsertSession(fields);
        expect(created).toMatchObject({ sessionId: id, userId: fields.userId, chatId: "\ufffdx" });
        expect(created.stageData).toEqual({ "k\u0000\ufffd": "\\ud800 \ufffd \\\ufffd" });
        expect(await store.getSession(id)).toEqual(created);
        expect(await store.listSessions({ limit: 5, userId: fields.userId, chatId: fields.chatId })).toEqual([created]);
        expect(await store.listSessions({ limit: 5, userId: "a" })).toEqual([]);
      });
    });

    describe("the list of sessions", () => {
      const ids = async (filter: Partial<Parameters<Store["listSessions"]>[0]>): Promise<string[]> =>
        (await store.listSessions({ limit: 100, ...filter })).map((found) => found.sessionId);

      it("has the one used last first, whatever the use was", async () => {
        for (const id of ["s1", "s2", "s3", "s4", "s5"]) await store.upsertSession(session(id));
        expect(await ids({})).toEqual(["s5", "s4", "s3", "s2", "s1"]);
        await store.upsertSession(session("s1"));
        expect((await ids({}))[0]).toBe("s1");
        await store.beginTurn(turn("t1", "s2"));
        expect((await ids({}))[0]).toBe("s2");
        await store.setActive("s3", true);
        expect((await ids({}))[0]).toBe("s3");
        await store.endTurn({ turnId: "t1", sessionId: "s2", ending: ending("cancelled"), answer: undefined, trace: traceRecord("tr_t1") });
        expect(await ids({})).toEqual(["s2", "s3", "s1", "s5", "s4"]);
      });

      const everyFilter = [undefined, "ann"].flatMap((owner) =>
        [undefined, "x"].flatMap((scenario) =>
          [undefined, "u1"].flatMap((userId) =>
            [undefined, "c2"].flatMap((chatId) => [undefined, true].map((activeOnly) => ({ owner, scenario, userId, chatId, activeOnly }))),
          ),
        ),
      );

      it("of any filter, in pages of any size, is the whole list filtered", async () => {
        const use = fc.record({
          sessionId: fc.constantFrom("a", "b", "c", "d", "e", "f", "g"),
          userId: fc.constantFrom("u1", "u2"),
          chatId: fc.constantFrom("c1", "c2"),
          scenario: fc.constantFrom("x", "y"),
          owner: fc.constantFrom("local", "ann"),
          close: fc.boolean(),
          remove: fc.boolean(),
        });
        await fc.assert(
          fc.asyncProperty(fc.array(use, { minLength: 1, maxLength: 14 }), fc.integer({ min: 1, max: 3 }), async (uses, limit) => {
            const tested = await open(options);
            try {
              const model = new Map<string, (typeof uses)[number]>();
              for (const used of uses) {
                const { sessionId, userId, chatId, scenario } = used;
                const owner = model.get(sessionId)?.owner ?? used.owner;
                model.delete(sessionId);
                await tested.upsertSession(session(sessionId, { userId, chatId, scenario }), used.owner);
                if (used.close) await tested.setActive(sessionId, false);
                if (used.remove && !used.close) await tested.deleteSession(sessionId);
                else model.set(sessionId, { ...used, owner });
              }
              const newest = [...model.values()].toReversed();
              for (const filter of everyFilter) {
                const { activeOnly, ...asked } = filter;
                const isFound = (used: (typeof uses)[number]): boolean =>
                  Object.entries(asked).every(([column, value]) => (value ?? used[column as keyof typeof asked]) === used[column as keyof typeof asked]);
                const expected = newest.filter((used) => isFound(used) && !(activeOnly === true && used.close));
                const found: string[] = [];
                for (let page = await tested.listSessions({ ...filter, limit }); page.length > 0 && found.length < 100; ) {
                  expect(page.length).toBeLessThanOrEqual(limit);
                  found.push(...page.map((item) => item.sessionId));
                  page = await tested.listSessions({ ...filter, limit, after: page.at(-1)?.sessionId });
                }
                expect(found).toEqual(expected.map((used) => used.sessionId));
                const { owner, scenario, userId, chatId } = asked;
                if (userId === undefined && chatId === undefined) expect(await tested.countSessions({ owner, scenario, activeOnly })).toBe(expected.length);
              }
            } finally {
              await tested.close();
            }
          }),
          { numRuns: 25 },
        );
      });

      it("goes on after a session that the filter leaves out", async () => {
        for (const id of ["s1", "s2", "s3"]) await store.upsertSession(session(id, { userId: id === "s2" ? "other" : "local" }));
        expect(await ids({ userId: "local", after: "s2" })).toEqual(["s1"]);
      });
    });

    describe("turns", () => {
      beforeEach(async () => {
        await store.upsertSession(session("s1"));
      });

      it("keep their messages from the moment they have begun, and the answer from their end", async () => {
        await store.beginTurn(turn("t1", "s1", { role: "system", content: "be brief" }, { role: "user", content: "hi" }));
        expect(await allMessages("s1")).toEqual([
          {
            messageId: "t1-0",
            turnId: "t1",
            turnStatus: "running",
            role: "system",
            content: "be brief",
            partial: false,
            createdAt: "2026-01-01T00:00:02.000Z",
          },
          expect.objectContaining({ messageId: "t1-1", turnStatus: "running", role: "user", content: "hi", partial: false }),
        ]);
        await store.endTurn({
          turnId: "t1",
          sessionId: "s1",
          ending: ending("completed"),
          answer: { text: "Hello", reasoning: "greet", toolCalls: [{ id: "c1", name: "f", arguments: { x: 1 } }] },
          trace: traceRecord("tr_t1", { sessionId: "s1", status: "completed" }),
        });
        expect((await allMessages("s1"))[2]).toEqual({
          messageId: "t1-2",
          turnId: "t1",
          turnStatus: "completed",
          role: "assistant",
          content: "Hello",
          reasoning: "greet",
          toolCalls: [{ id: "c1", name: "f", arguments: { x: 1 } }],
          partial: false,
          createdAt: expect.any(String),
        });
        expect((await store.getTrace("tr_t1")).trace).toMatchObject({ status: "completed", assistantMessageId: "t1-2" });
      });

      it("that did not complete have a partial answer, or none when nothing was said", async () => {
        await store.beginTurn(turn("t1", "s1"));
        await store.endTurn({
          turnId: "t1",
          sessionId: "s1",
          ending: ending("cancelled"),
          answer: { text: "Hel", reasoning: "", toolCalls: [] },
          trace: traceRecord("tr_t1"),
        });
        await store.beginTurn(turn("t2", "s1"));
        await store.endTurn({ turnId: "t2", sessionId: "s1", ending: ending("error"), answer: undefined, trace: traceRecord("tr_t2") });
        expect((await allMessages("s1")).map(({ messageId, partial, turnStatus }) => [messageId, partial, turnStatus])).toEqual([
          ["t1-0", false, "cancelled"],
          ["t1-1", true, "cancelled"],
          ["t2-0", false, "error"],
        ]);
        expect((await store.getTrace("tr_t2")).trace.assistantMessageId).toBeUndefined();
      });

      it("keep every kind of message as it was", async () => {
        const messages: ChatMessage[] = [
          {
            role: "user",
            name: "ann",
            content: [
              { type: "text", text: "look" },
              { type: "image_url", image_url: { url: "data:image/png;base64,AA==", detail: "low" } },
            ],
          },
          { role: "assistant", content: "", toolCalls: [{ id: "c", name: "n", arguments: {}, argumentsText: "{bad" }] },
          { role: "tool", content: "42", toolCallId: "c" },
        ];
        await store.beginTurn(turn("t1", "s1", ...messages));
        expect(await allMessages("s1")).toMatchObject(messages);
        await store.beginTurn(turn("t2", "s1"));
        expect(await sent("s1", "t2")).toEqual(messages);
      });

      it("keep any text of any length", async () => {
        const long = `${"a\u0000\u001a\ud83d\ude00\u2028\\".repeat(130_000)}\ud800`;
        await wholeTurn(store, "t1", "s1", long);
        expect((await allMessages("s1"))[1]?.content).toBe(`${long.slice(0, -1)}\ufffd`);
        await fc.assert(
          fc.asyncProperty(fc.string({ unit: "binary" }), fc.uuid(), async (text, id) => {
            await store.upsertSession(session(id));
            await wholeTurn(store, id, id, text);
            expect(said(await allMessages(id))).toEqual([`ask ${id}`, text]);
          }),
          { numRuns: 30 },
        );
      });

      it("with an id that exists are invalid_params, also in another session, and leave everything as it was", async () => {
        await wholeTurn(store, "t1", "s1");
        await store.upsertSession(session("s2"));
        const before = await store.getTrace("tr_t1");
        for (const sessionId of ["s1", "s2", undefined]) {
          await expect(store.beginTurn(turn("t1", sessionId))).rejects.toMatchObject({ errorName: "invalid_params", message: "A stream with this id exists" });
        }
        expect(await allMessages("s1")).toHaveLength(2);
        expect(await allMessages("s2")).toEqual([]);
        expect(await store.getTrace("tr_t1")).toEqual(before);
      });

      it("are refused in a session that is closed; one that is running goes on to its end", async () => {
        await store.beginTurn(turn("t1", "s1"));
        await store.setActive("s1", false);
        await expect(store.beginTurn(turn("t2", "s1"))).rejects.toMatchObject({ errorName: "session_closed", data: { sessionId: "s1" } });
        await store.endTurn({
          turnId: "t1",
          sessionId: "s1",
          ending: ending("completed"),
          answer: { text: "ok", reasoning: "", toolCalls: [] },
          trace: traceRecord("tr_t1"),
        });
        expect(said(await allMessages("s1"))).toEqual(["ask t1", "ok"]);
        expect(await store.getSession("s1")).toMatchObject({ isActive: false });
      });

      it("whose session was deleted meanwhile only save their trace", async () => {
        await store.beginTurn(turn("t1", "s1"));
        await store.deleteSession("s1");
        await store.appendAnswer("t1", { text: "lost", reasoning: "" });
        await store.endTurn({
          turnId: "t1",
          sessionId: "s1",
          ending: ending("cancelled"),
          answer: { text: "lost", reasoning: "", toolCalls: [] },
          trace: traceRecord("tr_t1", { sessionId: "s1", status: "cancelled" }),
        });
        const { trace: kept } = await store.getTrace("tr_t1");
        expect(kept.status).toBe("cancelled");
        expect(kept.assistantMessageId).toBeUndefined();
        await expect(store.getSession("s1")).rejects.toMatchObject({ errorName: "session_not_found" });
      });

      it("outside a session keep their trace and nothing else", async () => {
        await store.beginTurn(turn("t1", undefined));
        await expect(store.beginTurn(turn("t1", undefined))).rejects.toMatchObject({ errorName: "invalid_params" });
        expect((await store.getTrace("tr_t1")).trace.status).toBe("running");
        await store.appendAnswer("t1", { text: "x", reasoning: "" });
        await store.endTurn({
          turnId: "t1",
          sessionId: undefined,
          ending: ending("completed"),
          answer: { text: "x", reasoning: "", toolCalls: [] },
          trace: traceRecord("tr_t1", { status: "completed" }),
        });
        expect((await store.getTrace("tr_t1")).trace).toMatchObject({ status: "completed" });
        await store.beginTurn(turn("t1", undefined));
      });

      it("keep what the provider needs back with an answer, as it was, and give it back with the message", async () => {
        const providerData = {
          anthropic: { thinking: [{ type: "thinking", thinking: "hm", signature: "Eq\u0000\u001a0\ud83d\ude00==" }], n: [1.5, null, {}] },
        };
        const given: ChatMessage = { role: "assistant", content: "earlier", providerData: { signature: "abc" } };
        await store.beginTurn(turn("t1", "s1", given, { role: "user", content: "hi" }));
        const answer = { text: "Hello", reasoning: "hm", toolCalls: [], providerData };
        await store.endTurn({ turnId: "t1", sessionId: "s1", ending: ending("cancelled"), answer, trace: traceRecord("tr_t1") });
        await wholeTurn(store, "t2", "s1");
        const kept = await allMessages("s1");
        expect(kept.map((message) => message.providerData)).toEqual([given.providerData, undefined, providerData, undefined, undefined]);
        expect(kept[4]).not.toHaveProperty("providerData");
        await store.beginTurn(turn("t3", "s1"));
        expect((await sent("s1", "t3")).slice(0, 3)).toEqual([given, { role: "user", content: "hi" }, { role: "assistant", content: "Hello", providerData }]);
        for (const message of await sent("s1", "t3")) if (message.providerData !== undefined) message.providerData["n"] = "changed";
        expect((await allMessages("s1"))[2]?.providerData).toEqual(providerData);
      });

      it("end once: whatever ends them again changes nothing", async () => {
        for (const [index, status] of (["completed", "cancelled", "error", "interrupted"] as const).entries()) {
          const turnId = `t${index}`;
          await store.beginTurn(turn(turnId, "s1"));
          const ended = { turnId, sessionId: "s1", trace: traceRecord(`tr_${turnId}`, { status: "cancelled" }) };
          await store.endTurn({ ...ended, ending: ending(status), answer: { text: "first", reasoning: "", toolCalls: [] } });
          await store.upsertSession(session("s2"));
          const before = [await allMessages("s1"), await store.getTrace(`tr_${turnId}`), await store.listSessions({ limit: 10 })];
          const other = status === "completed" ? "interrupted" : "completed";
          const trace = traceRecord(`tr_${turnId}`, { status: "error" });
          await store.endTurn({ ...ended, ending: ending(other), answer: { text: "second", reasoning: "", toolCalls: [] }, trace });
          await store.endTurn({ ...ended, ending: ending(other), answer: undefined, trace });
          expect([await allMessages("s1"), await store.getTrace(`tr_${turnId}`), await store.listSessions({ limit: 10 })], status).toEqual(before);
          expect((await allMessages("s1")).slice(-2)).toMatchObject([{ content: `ask ${turnId}` }, { content: "first", turnStatus: status }]);
        }
      });

      it("outside a session end once as well", async () => {
        await store.beginTurn(turn("t1", undefined));
        const ended = { turnId: "t1", sessionId: undefined, ending: ending("completed"), answer: undefined };
        await store.endTurn({ ...ended, trace: traceRecord("tr_t1", { status: "completed" }) });
        await store.endTurn({ ...ended, trace: traceRecord("tr_t1", { status: "error" }) });
        expect((await store.getTrace("tr_t1")).trace.status).toBe("completed");
      });

      it("that were never begun leave their trace when they end", async () => {
        const trace = traceRecord("tr_t1", { status: "cancelled" });
        await store.endTurn({ turnId: "t1", sessionId: "s1", ending: ending("cancelled"), answer: { text: "x", reasoning: "", toolCalls: [] }, trace });
        expect(await store.getTrace("tr_t1")).toEqual(trace);
        expect(await allMessages("s1")).toEqual([]);
      });

      it("take parts of an answer that is not theirs any more without an error", async () => {
        await wholeTurn(store, "t1", "s1", "done");
        await store.appendAnswer("t1", { text: "late", reasoning: "" });
        await store.appendAnswer("unknown", { text: "late", reasoning: "" });
        expect(said(await allMessages("s1"))).toEqual(["ask t1", "done"]);
      });

      it("that are asked for at once are kept in that order, each call for itself", async () => {
        const calls = await Promise.allSettled([
          store.beginTurn(turn("t1", "s1")),
          store.beginTurn(turn("t1", "s1")),
          store.beginTurn(turn("t2", "s1")),
          store.beginTurn(turn("t3", "nope")),
          store.beginTurn(turn("t4", "s1")),
        ]);
        expect(calls.map((call) => call.status)).toEqual(["fulfilled", "rejected", "fulfilled", "rejected", "fulfilled"]);
        expect(said(await allMessages("s1"))).toEqual(["ask t1", "ask t2", "ask t4"]);
      });
    });

    describe("the messages of a session", () => {
      it("come page by page, each once and in order", async () => {
        await store.upsertSession(session("s0"));
        await store.upsertSession(session("s1"));
        for (let index = 0; index < 7; index++) {
          await wholeTurn(store, `other${index}`, "s0");
          await wholeTurn(store, `t${index}`, "s1");
        }
        const expected = Array.from({ length: 7 }, (_, index) => [`t${index}-0`, `t${index}-1`]).flat();
        for (const limit of [1, 2, 3, 7, 14, 15]) {
          const found: string[] = [];
          let cursor: string | undefined;
          let pages = 0;
          do {
            const page = await store.listMessages("s1", { limit, cursor });
            found.push(...page.items.map((message) => message.messageId));
            cursor = page.nextCursor;
            pages++;
          } while (cursor !== undefined && found.length < 100);
          expect(found).toEqual(expected);
          expect(pages).toBe(Math.ceil(14 / limit));
        }
      });

      it("of a session without any are an empty page", async () => {
        await store.upsertSession(session("s1"));
        expect(await store.listMessages("s1", { limit: 10 })).toEqual({ items: [], nextCursor: undefined });
      });

      it("come in shorter pages when they are long, one at least, and none is left out", async () => {
        await store.upsertSession(session("s1"));
        const texts = ["a", "b", "c", "d"].map((letter) => letter.repeat(3_000_000));
        await store.beginTurn(turn("t1", "s1", ...[...texts, "x".repeat(5_000_000), "short"].map((content) => ({ role: "user" as const, content }))));
        const lengths: number[] = [];
        let cursor: string | undefined;
        do {
          const page = await store.listMessages("s1", { limit: 100, cursor });
          lengths.push(page.items.length);
          cursor = page.nextCursor;
        } while (cursor !== undefined && lengths.length < 10);
        expect(lengths).toEqual([1, 1, 1, 1, 1, 1]);
        expect((await store.listMessages("s1", { limit: 100 })).items[0]?.content).toBe(texts[0]);
      });

      it("refuse a cursor that no page gave", async () => {
        await store.upsertSession(session("s1"));
        await wholeTurn(store, "t1", "s1");
        const real = (await store.listMessages("s1", { limit: 1 })).nextCursor ?? "";
        const encode = (text: string): string => Buffer.from(text).toString("base64url");
        for (const cursor of [
          "",
          "x",
          `${real}=`,
          ` ${real}`,
          encode("m.1"),
          encode("m.1.-1"),
          encode("m.1.1e3"),
          encode("m.01.1"),
          encode("t.1"),
          encode("m.1.2.3"),
          encode("m.1.99999999999999999"),
        ]) {
          await expect(store.listMessages("s1", { limit: 1, cursor }), cursor).rejects.toMatchObject({
            errorName: "invalid_params",
            data: { field: "cursor" },
          });
        }
      });
    });

    describe("the history of a turn", () => {
      it("is what was said in the turns before it, without reasoning and without answers in which nothing was said", async () => {
        await store.upsertSession(session("s1"));
        await store.beginTurn(turn("t1", "s1"));
        const call = { id: "c1", name: "f", arguments: { a: 1 } };
        await store.endTurn({
          turnId: "t1",
          sessionId: "s1",
          ending: ending("interrupted"),
          answer: { text: "", reasoning: "hm", toolCalls: [call] },
          trace: traceRecord("tr_t1"),
        });
        await store.beginTurn(turn("t2", "s1"));
        await store.endTurn({
          turnId: "t2",
          sessionId: "s1",
          ending: ending("cancelled"),
          answer: { text: "", reasoning: "hm", toolCalls: [] },
          trace: traceRecord("tr_t2"),
        });
        await store.beginTurn(turn("t3", "s1"));
        await store.endTurn({
          turnId: "t3",
          sessionId: "s1",
          ending: ending("error"),
          answer: { text: "half", reasoning: "", toolCalls: [] },
          trace: traceRecord("tr_t3"),
        });
        await store.beginTurn(turn("t4", "s1"));
        await wholeTurn(store, "t5", "s1");
        expect(await sent("s1", "t4")).toEqual([
          { role: "user", content: "ask t1" },
          { role: "assistant", content: "", toolCalls: [call] },
          { role: "user", content: "ask t2" },
          { role: "user", content: "ask t3" },
          { role: "assistant", content: "half" },
        ]);
        expect(await sent("s1", "t1")).toEqual([]);
      });
    });

    describe("traces", () => {
      it("are kept with their spans and events, and replaced when saved again", async () => {
        const record = {
          owner: "local",
          trace: trace("tr1", { modelId: "m", totalTokens: 3 }),
          spans: [{ spanId: "sp", traceId: "tr1", name: "llm.generate", kind: "llm" as const, startMs: 1, status: "ok" as const, attrs: { n: 1 } }],
          events: [{ traceId: "tr1", kind: "log" as const, name: "e", sequence: 1, timestampMs: 2, payload: { text: "\u0000\ud800" } }],
        };
        await store.saveTrace(record);
        const [event] = record.events;
        expect(await store.getTrace("tr1")).toEqual({ ...record, events: [{ ...event, payload: { text: "\u0000\ufffd" } }] });
        await store.saveTrace(traceRecord("tr1", { status: "completed" }));
        expect(await store.getTrace("tr1")).toEqual(traceRecord("tr1", { status: "completed" }));
        expect((await store.listTraces({ limit: 5 })).items).toHaveLength(1);
      });

      it("are stored as they were when the call was made", async () => {
        const spans: { spanId: string; traceId: string; name: string; kind: "llm"; startMs: number; status: "ok"; attrs: Record<string, unknown> }[] = [];
        const record = { trace: trace("tr1"), spans, events: [] };
        const saved = store.saveTrace(record);
        spans.push({ spanId: "sp", traceId: "tr1", name: "later", kind: "llm", startMs: 1, status: "ok", attrs: {} });
        record.trace.status = "error";
        await saved;
        expect(await store.getTrace("tr1")).toEqual(traceRecord("tr1"));
      });

      it("that do not exist are trace_not_found", async () => {
        await expect(store.getTrace("nope")).rejects.toMatchObject({ errorName: "trace_not_found", data: { traceId: "nope" } });
      });

      it("are listed newest first, by session and by status, page by page", async () => {
        const all = Array.from({ length: 9 }, (_, index) =>
          trace(`tr${index}`, { sessionId: index % 2 === 0 ? "even" : "odd", status: index % 3 === 0 ? "error" : "completed" }),
        );
        for (const one of all) await store.saveTrace({ trace: one, spans: [], events: [] });
        for (const sessionId of [undefined, "even", "none"]) {
          for (const status of [undefined, "error" as const]) {
            const expected = all.filter((one) => (sessionId ?? one.sessionId) === one.sessionId && (status ?? one.status) === one.status).toReversed();
            const found: unknown[] = [];
            let cursor: string | undefined;
            do {
              const page = await store.listTraces({ sessionId, status, limit: 2, cursor });
              expect(page.items.length).toBeLessThanOrEqual(2);
              found.push(...page.items);
              cursor = page.nextCursor;
            } while (cursor !== undefined && found.length < 100);
            expect(found).toEqual(expected);
          }
        }
        await expect(store.listTraces({ limit: 1, cursor: "bad" })).rejects.toMatchObject({ errorName: "invalid_params" });
      });
    });

    describeSteps(() => store);
    describeKeys(open);
    describeCalls(open);
    describeSummaries(() => store);
    describeForks(() => store);
    describeAccounts(() => store);
    describeOwners(() => store);
    describeEmptying(() => store);

    describe("order and end", () => {
      it("lets a read see what was asked for before it, awaited or not", async () => {
        const writes = [store.upsertSession(session("s1")), store.beginTurn(turn("t1", "s1"))];
        expect(said(await allMessages("s1"))).toEqual(["ask t1"]);
        const closing = store.setActive("s1", false);
        expect(await store.getSession("s1")).toMatchObject({ isActive: false });
        await Promise.all([...writes, closing]);
      });

      it("makes a change durable to see whether it can, and only one at a time", async () => {
        const probes = [store.probe(), store.probe(), store.upsertSession(session("s1")), store.probe()];
        await Promise.all(probes);
        await store.probe();
        expect(await store.listSessions({ limit: 5 })).toHaveLength(1);
        await store.close();
        await expect(store.probe()).rejects.toMatchObject({ errorName: "storage", data: { reason: "closed" } });
      });

      it("says how the last access went", async () => {
        await store.upsertSession(session("s1"));
        expect(store.health()).toEqual({ status: "ok", latencyMs: expect.any(Number) });
        await store.getSession("nope").catch(() => {});
        expect(store.health().status).toBe("ok");
      });

      it("finishes what it was asked for when it is closed, and refuses the rest", async () => {
        const write = store.upsertSession(session("s1"));
        const read = store.getSession("s1");
        const messages = store.listMessages("s1", { limit: 1 });
        const closed = store.close();
        await expect(write).resolves.toMatchObject({ sessionId: "s1" });
        await expect(read).resolves.toMatchObject({ sessionId: "s1" });
        await expect(messages).resolves.toMatchObject({ items: [] });
        await closed;
        await store.close();
        store.closeSync();
        const refused = { errorName: "storage", data: { reason: "closed" } };
        await expect(store.getSession("s1")).rejects.toMatchObject(refused);
        await expect(store.upsertSession(session("s1"))).rejects.toMatchObject(refused);
        await expect(store.listMessages("s1", { limit: 1 })).rejects.toMatchObject(refused);
      });

      it("closes in one call as well", async () => {
        const write = store.upsertSession(session("s1"));
        store.closeSync();
        await expect(write).resolves.toMatchObject({ sessionId: "s1" });
        await expect(store.getSession("s1")).rejects.toMatchObject({ errorName: "storage", data: { reason: "closed" } });
        await store.close();
      });
    });
  });
}
