import { describe, expect, it } from "vitest";
import { hangingTurn, scriptedConfig } from "../support/script.ts";
import { startSidecar, temporaryFolder, type TestSidecar } from "../support/sidecar.ts";
import { join } from "node:path";

interface Message {
  role: string;
  content: string;
  turnId: string;
  turnStatus: string;
  partial: boolean;
}

async function say(sidecar: TestSidecar, sessionId: string, content: string): Promise<string> {
  const streamId = await sidecar.stream({ provider: "echo", sessionId, messages: [{ role: "user", content }] });
  await sidecar.terminal(streamId);
  return streamId;
}

async function transcript(sidecar: TestSidecar, sessionId: string): Promise<string[]> {
  const { messages } = await sidecar.call<{ messages: Message[] }>("agent.session.get", { sessionId, limit: 1000 });
  return messages.map((message) => `${message.role}: ${message.content}`);
}

describe("a session", () => {
  it("has the seed's fields and nothing else", async () => {
    const sidecar = await startSidecar();
    const session = await sidecar.call("agent.session.create", { chatId: "chat-1" });
    expect(session).toEqual({
      sessionId: expect.stringMatching(/^sess_\w{16,}$/),
      userId: "local",
      chatId: "chat-1",
      currentStage: "plan",
      scenario: "agent-entry",
      isActive: true,
      createdAt: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/),
      updatedAt: expect.any(String),
    });
    expect(await sidecar.call("agent.session.resume", { sessionId: session["sessionId"] })).toEqual(session);
    expect(await sidecar.call("agent.session.list")).toEqual([session]);
  });

  it("keeps every field that the host gives, and changes only those given again", async () => {
    const sidecar = await startSidecar();
    const given = {
      sessionId: "s:1",
      userId: "u",
      chatId: "c",
      projectId: "p",
      currentStage: "review",
      nextStage: "ship",
      scenario: "x",
      stageData: { deep: [1, { ключ: "\u2028" }] },
    };
    expect(await sidecar.call("agent.session.create", given)).toMatchObject(given);
    const changed = await sidecar.call("agent.session.create", { sessionId: "s:1", currentStage: "done", nextStage: null });
    expect(changed).toMatchObject({ userId: "u", chatId: "c", projectId: "p", currentStage: "done", scenario: "x", stageData: given.stageData });
    expect(changed).not.toHaveProperty("nextStage");
  });

  it("is listed newest use first, by user, chat and activity, page by page", async () => {
    const sidecar = await startSidecar();
    for (const [sessionId, userId, chatId] of [
      ["a", "u1", "c1"],
      ["b", "u2", "c1"],
      ["c", "u1", "c2"],
      ["d", "u1", "c1"],
    ])
      await sidecar.call("agent.session.create", { sessionId, userId, chatId });
    await say(sidecar, "a", "touch");
    await sidecar.call("agent.session.close", { sessionId: "d" });
    const ids = async (params: object) => (await sidecar.call<{ sessionId: string }[]>("agent.session.list", params)).map((session) => session.sessionId);
    expect(new Set(await ids({}))).toEqual(new Set(["a", "b", "c", "d"]));
    expect((await ids({ userId: "u1", chatId: "c1" })).toSorted()).toEqual(["a", "d"]);
    expect(await ids({ userId: "u1", chatId: "c1", activeOnly: true })).toEqual(["a"]);
    const all = await ids({});
    expect(await ids({ limit: 2 })).toEqual(all.slice(0, 2));
    expect(await ids({ limit: 2, after: all[1] })).toEqual(all.slice(2));
    expect((await sidecar.request("agent.session.list", { limit: 0 })).error).toMatchObject({ code: -32602 });
  });

  it("that does not exist is told by code, kind and data.code", async () => {
    const sidecar = await startSidecar();
    for (const method of ["agent.session.resume", "agent.session.get", "agent.session.close", "agent.session.delete"]) {
      expect((await sidecar.request(method, { sessionId: "nope" })).error).toMatchObject({
        code: -32004,
        kind: "invalid_request",
        data: { code: "session_not_found" },
      });
    }
    const params = { provider: "echo", sessionId: "nope", messages: [{ role: "user", content: "x" }] };
    expect((await sidecar.request("agent.chat.stream", params)).error).toMatchObject({ code: -32004, data: { code: "session_not_found" } });
  });

  it("that is closed takes no turn until it is resumed", async () => {
    const sidecar = await startSidecar();
    await sidecar.call("agent.session.create", { sessionId: "s" });
    expect(await sidecar.call("agent.session.close", { sessionId: "s" })).toMatchObject({ isActive: false });
    const params = { provider: "echo", sessionId: "s", messages: [{ role: "user", content: "x" }] };
    expect((await sidecar.request("agent.chat.stream", params)).error).toMatchObject({ code: -32004, data: { code: "session_closed" } });
    expect(await sidecar.call("agent.session.resume", { sessionId: "s" })).toMatchObject({ isActive: true });
    await say(sidecar, "s", "again");
    expect(await transcript(sidecar, "s")).toEqual(["user: again", "assistant: again"]);
  });

  it("that is deleted while a turn runs ends the turn and is gone", async () => {
    const sidecar = await startSidecar(scriptedConfig([hangingTurn]));
    await sidecar.call("agent.session.create", { sessionId: "s" });
    const streamId = await sidecar.stream({ provider: "scripted", sessionId: "s", messages: [{ role: "user", content: "x" }] });
    expect(await sidecar.request("agent.session.delete", { sessionId: "s" })).toHaveProperty("result", null);
    expect((await sidecar.terminal(streamId)).params).toMatchObject({ ok: false, cancelled: true });
    expect((await sidecar.request("agent.session.get", { sessionId: "s" })).error).toMatchObject({ data: { code: "session_not_found" } });
  });

  it("runs its turns in order, and sends the history along", async () => {
    const sidecar = await startSidecar();
    await sidecar.call("agent.session.create", { sessionId: "s" });
    const streams = await Promise.all(
      Array.from({ length: 20 }, (_, index) => sidecar.stream({ provider: "echo", sessionId: "s", messages: [{ role: "user", content: `turn ${index}` }] })),
    );
    await Promise.all(streams.map((streamId) => sidecar.terminal(streamId)));
    expect(await transcript(sidecar, "s")).toEqual(Array.from({ length: 20 }, (_, index) => [`user: turn ${index}`, `assistant: turn ${index}`]).flat());
    // Notifications of two turns of one session never interleave.
    const order = sidecar.frames
      .flat()
      .filter((frame) => frame.method?.startsWith("stream."))
      .map((frame) => frame.params?.["streamId"]);
    expect(order.filter((id, index) => id !== order[index - 1])).toEqual(streams);
  });

  it("pages its messages by cursor, and refuses a cursor that it did not give", async () => {
    const sidecar = await startSidecar();
    await sidecar.call("agent.session.create", { sessionId: "s" });
    for (let index = 0; index < 5; index++) await say(sidecar, "s", `m${index}`);
    const seen: string[] = [];
    let cursor: string | undefined;
    do {
      const page = await sidecar.call<{ messages: Message[]; nextCursor?: string }>("agent.session.get", { sessionId: "s", limit: 3, cursor });
      seen.push(...page.messages.map((message) => message.content));
      cursor = page.nextCursor;
    } while (cursor !== undefined);
    expect(seen).toEqual([0, 1, 2, 3, 4].flatMap((index) => [`m${index}`, `m${index}`]));
    expect((await sidecar.request("agent.session.get", { sessionId: "s", cursor: "made up" })).error).toMatchObject({ code: -32602 });
  });

  it("is found again by the next process, and by one that shares the file", async () => {
    const args = ["--storage-path", join(temporaryFolder(), "deep", "folder", "sidecar.db")];
    const first = await startSidecar({ args });
    await first.call("agent.session.create", { sessionId: "s", chatId: "c" });
    await say(first, "s", "remember");
    const second = await startSidecar({ args });
    await say(second, "s", "me");
    expect(await transcript(first, "s")).toEqual(["user: remember", "assistant: remember", "user: me", "assistant: me"]);
    first.child.kill("SIGKILL");
    expect(await transcript(second, "s")).toHaveLength(4);
  });
});

describe("kill -9", () => {
  it("loses no session and no turn that was acknowledged, however often it comes", { timeout: 180_000 }, async () => {
    const args = ["--storage-path", join(temporaryFolder(), "sidecar.db")];
    const sessions = new Set<string>();
    const acknowledged = new Map<string, string>();
    const ended = new Set<string>();
    for (let round = 0; round < 12; round++) {
      const sidecar = await startSidecar({ args });
      for (let index = 0; index < 8; index++) {
        const sessionId = `r${round}-${index}`;
        sidecar.send({ jsonrpc: "2.0", id: sessionId, method: "agent.session.create", params: { sessionId } });
        const streamId = `t${round}-${index}`;
        sidecar.send({
          jsonrpc: "2.0",
          id: streamId,
          method: "agent.chat.stream",
          params: { provider: "echo", streamId, sessionId, messages: [{ role: "user", content: streamId }] },
        });
      }
      // Struck at another moment in each round.
      await sidecar.until(() => sidecar.frames.length > 1 + round * 3, "some replies");
      sidecar.child.kill("SIGKILL");
      await sidecar.exit;
      for (const frame of sidecar.frames.flat()) {
        if (frame.result !== undefined && String(frame.id).startsWith("r")) sessions.add(String(frame.id));
        if (frame.result !== undefined && String(frame.id).startsWith("t")) acknowledged.set(String(frame.id), `r${String(frame.id).slice(1)}`);
        if (frame.method === "stream.done") ended.add(String(frame.params?.["streamId"]));
      }
    }
    const sidecar = await startSidecar({ args });
    expect(sessions.size).toBeGreaterThan(20);
    for (const sessionId of sessions) await sidecar.call("agent.session.resume", { sessionId });
    for (const [streamId, sessionId] of acknowledged) {
      const { messages } = await sidecar.call<{ messages: Message[] }>("agent.session.get", { sessionId });
      expect(messages[0]).toMatchObject({ role: "user", content: streamId });
      if (ended.has(streamId)) expect(messages[1]).toMatchObject({ role: "assistant", content: streamId, partial: false, turnStatus: "completed" });
      else expect(["interrupted", "completed"]).toContain(messages[0]?.turnStatus);
    }
  });
});
