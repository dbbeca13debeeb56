import { beforeAll, describe, expect, it, onTestFinished } from "vitest";
import type { StoredMessage } from "../../src/contract/model.ts";
import { openSqliteStore } from "../../src/store/sqlite.ts";
import type { Store } from "../../src/store/store.ts";
import { raw, storeFolder } from "./files.ts";
import { bundleChild, startChild } from "./processes.ts";
import { answer, calling, ending, result, session, traceRecord, turn, unknownResult } from "./records.ts";

const { folder, newPath } = storeFolder();
const open = (path: string): Promise<Store> => openSqliteStore({ path, keepTraces: 100_000, now: () => Date.now() });
let bundle = "";
beforeAll(async () => {
  bundle = await bundleChild(folder);
});

const unknownCall = { success: false, kind: "outcome_unknown", outcomeUnknown: true, error: expect.stringContaining("check before repeating it") };

describe("kill -9 in the middle of turns that act", () => {
  it("leaves every call that has begun with exactly one result: its own, or that nobody knows", { timeout: 300_000 }, async () => {
    const path = newPath();
    let unknown = 0;
    let spent = 0;
    let spentInVain = 0;
    const called: string[] = [];
    for (let round = 0; round < 14; round++) {
      const child = startChild(bundle, ["act", path, `r${round}_`]);
      const until = 1 + Math.floor(Math.random() * 250);
      await child.said("begun");
      while (child.lines.length < until) await new Promise((resolve) => setImmediate(resolve));
      child.kill("SIGKILL");
      expect(await child.ended).toBe("SIGKILL");

      const store = await open(path);
      expect(raw(path, (connection) => connection.all("PRAGMA integrity_check"))).toEqual([{ integrity_check: "ok" }]);
      expect(raw(path, (connection) => connection.all("SELECT * FROM fragments"))).toEqual([]);
      const told = new Map<string, Set<string>>();
      for (const line of child.lines) {
        const [what = "", turnId = "", callId] = line.split(" ");
        told.set(turnId, (told.get(turnId) ?? new Set()).add(callId === undefined ? what : `${what} ${callId}`));
      }
      for (const [turnId, facts] of told) {
        const turnFound = await store.findTurn(turnId);
        expect(turnFound?.status, turnId).toEqual(facts.has("done") ? "completed" : expect.stringMatching(/^(completed|interrupted)$/));
        const messages = turnFound?.messages ?? [];
        unknown += checkResults(messages, facts);
        // In the session is what was kept for the key.
        const { sessionId } = turnFound ?? {};
        if (sessionId !== undefined) {
          const { items } = await store.listMessages(sessionId, { limit: 10_000 });
          expect(items.filter((message) => message.turnId === turnId).slice(1)).toEqual(messages);
        }
        if (facts.has("call")) {
          const known = await store.beginCall({ key: turnId, digest: "d" });
          expect(known).toMatchObject({ digest: "d", result: facts.has("called") ? { success: true } : expect.anything() });
          if (known !== "begun" && known.result?.success !== true) expect(known.result).toEqual(unknownCall);
          called.push(turnId);
        }
        if (facts.has("spent")) spent++;
        else if (facts.has("called")) spentInVain++;
      }
      expect((await store.listTraces({ limit: 1, status: "running" })).items).toEqual([]);
      await store.close();
    }
    const store = await open(path);
    const total = await store.spent({ kind: "process" });
    expect(total.tokens).toBeGreaterThanOrEqual(spent);
    expect(total.tokens).toBeLessThanOrEqual(spent + spentInVain);
    expect(total.costUsd).toBe(total.tokens / 2);
    expect(unknown).toBeGreaterThan(0);
    for (const key of called) expect(await store.beginCall({ key, digest: "d" })).not.toBe("begun");
    await store.close();
  });

  /** How many of the results are that nobody knows. */
  function checkResults(messages: readonly StoredMessage[], facts: ReadonlySet<string>): number {
    const results = messages.filter(({ role }) => role === "tool");
    const asked = new Set(messages.flatMap(({ toolCalls }) => toolCalls ?? []).map(({ id }) => id));
    expect(new Set(results.map(({ toolCallId }) => toolCallId)).size).toBe(results.length);
    for (const { toolCallId } of results) expect(asked).toContain(toolCallId);
    for (const fact of facts) {
      const [what, callId = ""] = fact.split(" ");
      const found = results.filter(({ toolCallId }) => toolCallId === callId);
      if (what === "ended") expect(found, fact).toMatchObject([result(callId)]);
      if (what === "begun") expect(found, fact).toHaveLength(1);
    }
    const unknown = results.filter(({ outcomeUnknown }) => outcomeUnknown === true);
    for (const message of unknown) expect(message).toMatchObject(unknownResult(message.toolCallId ?? "") as object);
    for (const message of results) if (!unknown.includes(message)) expect(message).toMatchObject(result(message.toolCallId ?? ""));
    return unknown.length;
  }
});

describe("a process that lives, and then dies", { timeout: 60_000 }, () => {
  it.each(["turns", "calls"])("is told by what others find of its %s", async (what) => {
    const path = newPath();
    const child = startChild(bundle, ["keys", path, "a"]);
    onTestFinished(() => child.kill("SIGKILL"));
    await child.said("open");
    child.poke();
    await child.said("tried");
    const store = await open(path);
    expect(await store.findTurn("k0")).toMatchObject({ turnId: "a0", status: "running", ending: undefined });
    expect(await store.beginCall({ key: "k0", digest: "mine" })).toEqual({ digest: "a", result: undefined });
    await store.endCall("k0", { success: true });
    expect(await store.beginCall({ key: "k0", digest: "mine" })).toEqual({ digest: "a", result: undefined });
    child.kill("SIGKILL");
    await child.ended;
    // Whichever is asked for first has to notice.
    if (what === "turns") expect(await store.findTurn("k0")).toMatchObject({ turnId: "a0", status: "interrupted", ending: undefined });
    expect(await store.beginCall({ key: "k0", digest: "mine" })).toEqual({ digest: "a", result: unknownCall });
    expect(await store.findTurn("k0")).toMatchObject({ turnId: "a0", status: "interrupted", ending: undefined });
    expect((await store.getTrace("tr_a0")).trace).toMatchObject({ status: "error", errorMessage: "The process ended before the turn did" });
    await expect(store.beginTurn({ ...turn("b0", undefined), idempotency: { key: "k0", digest: "a", streamId: "b0" } })).rejects.toMatchObject({
      errorName: "invalid_params",
    });
    await store.close();
  });

  it("leaves what it said behind its calls when it is given a last moment", async () => {
    const path = newPath();
    const store = await open(path);
    await store.upsertSession(session("s1"));
    await store.beginTurn({ ...turn("t1", "s1"), idempotency: { key: "k", digest: "d", streamId: "t1" } });
    await store.appendAnswer("t1", { text: "I will write", reasoning: "" });
    await store.saveStep({ turnId: "t1", messages: [{ ...calling("a", "b"), content: "I will write" }], begun: ["a", "b"], durable: true });
    await store.saveStep({ turnId: "t1", messages: [result("b")], ended: ["b"], durable: true });
    await store.appendAnswer("t1", { text: "Once", reasoning: "hm" });
    await store.beginCall({ key: "c", digest: "d" });
    store.closeSync();
    const next = await open(path);
    expect((await next.listMessages("s1", { limit: 10 })).items).toMatchObject([
      { messageId: "t1-0", turnStatus: "interrupted" },
      { ...calling("a", "b"), content: "I will write", partial: false },
      result("b"),
      unknownResult("a"),
      { messageId: "t1-4", role: "assistant", content: "Once", reasoning: "hm", partial: true },
    ]);
    expect((await next.getTrace("tr_t1")).trace.assistantMessageId).toBe("t1-4");
    expect(await next.findTurn("k")).toMatchObject({ status: "interrupted", messages: [{}, {}, {}, { partial: true }] });
    expect(await next.beginCall({ key: "c", digest: "d" })).toEqual({ digest: "d", result: unknownCall });
    await next.close();
  });

  it("goes on where it was, should it live after all", async () => {
    const path = newPath();
    const store = await open(path);
    await store.upsertSession(session("s1"));
    for (const [turnId, sessionId] of [
      ["t1", "s1"],
      ["t2", undefined],
    ] as const) {
      await store.beginTurn({ ...turn(turnId, sessionId), idempotency: { key: turnId, digest: "d", streamId: turnId } });
      await store.saveStep({ turnId, messages: [calling("a", "b")], begun: ["a", "b"], durable: true });
      await store.appendAnswer(turnId, { text: "Once", reasoning: "" });
    }
    await store.beginCall({ key: "c", digest: "d" });
    raw(path, (connection) => connection.run("DELETE FROM owners"));
    const other = await open(path);
    const behind = async (turnId: string): Promise<unknown> => (await other.findTurn(turnId))?.messages.slice(1);
    for (const turnId of ["t1", "t2"]) expect(await behind(turnId)).toMatchObject([unknownResult("a"), unknownResult("b"), { content: "Once" }]);
    expect(await other.beginCall({ key: "c", digest: "d" })).toMatchObject({ result: unknownCall });

    for (const turnId of ["t1", "t2"]) {
      await store.saveStep({ turnId, messages: [result("a"), calling("c")], ended: ["a"], begun: ["c"], durable: true });
      expect(await behind(turnId)).toMatchObject([result("a"), calling("c"), unknownResult("b"), unknownResult("c")]);
      expect((await other.findTurn(turnId))?.status).toBe("interrupted");
      await store.saveStep({ turnId, messages: [result("c"), result("b")], ended: ["b", "c"], durable: true });
      const sessionId = turnId === "t1" ? "s1" : undefined;
      await store.endTurn({ turnId, sessionId, answer: answer("done"), ending: ending("completed", { steps: 3 }), trace: traceRecord(`tr_${turnId}`) });
      expect(await behind(turnId)).toMatchObject([result("a"), calling("c"), result("c"), result("b"), { content: "done", partial: false }]);
      expect((await behind(turnId)) as unknown[]).toHaveLength(5);
      expect(await other.findTurn(turnId)).toMatchObject({ status: "completed", ending: { status: "completed", steps: 3 } });
      await store.saveStep({ turnId, messages: [calling("late")], begun: ["late"], durable: true });
      expect((await behind(turnId)) as unknown[]).toHaveLength(5);
    }
    await store.endCall("c", { success: true });
    expect(await other.beginCall({ key: "c", digest: "d" })).toEqual({ digest: "d", result: { success: true } });
    await other.close();
    await store.close();
  });

  it("is found by a fork: its turns are interrupted first, and then copied", async () => {
    const path = newPath();
    const store = await open(path);
    await store.upsertSession(session("s1"));
    await store.beginTurn(turn("t1", "s1"));
    await store.saveStep({ turnId: "t1", messages: [calling("a")], begun: ["a"], durable: true });
    const other = await open(path);
    const fork = (sessionId: string): Promise<unknown> =>
      other.forkSession({ from: "s1", throughTurnId: undefined, fields: session(sessionId), newTurnId: () => `copy in ${sessionId}` });
    await fork("s2");
    expect((await other.listMessages("s2", { limit: 10 })).items).toEqual([]);
    raw(path, (connection) => connection.run("DELETE FROM owners"));
    await fork("s3");
    const copies = [{ content: "ask t1", turnStatus: "interrupted" }, calling("a"), { ...(unknownResult("a") as object), messageId: "copy in s3-2" }];
    expect((await other.listMessages("s3", { limit: 10 })).items).toMatchObject(copies);
    // The owner of the first may have more to say; the copy has ended.
    await store.saveStep({ turnId: "t1", messages: [result("a")], ended: ["a"], durable: true });
    expect((await other.listMessages("s1", { limit: 10 })).items[2]).toMatchObject(result("a"));
    expect((await other.listMessages("s3", { limit: 10 })).items).toMatchObject(copies);
    await other.close();
    await store.close();
  });
});
