import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { at, descriptor, messagesOf, startModel, stepOf, story } from "../support/agent.ts";
import { NO_ANSWER, startSidecar, temporaryFolder, type TestSidecar } from "../support/sidecar.ts";

interface StoredMessage {
  role: string;
  content: string;
  turnStatus: string;
  toolCallId?: string;
  outcomeUnknown?: boolean;
}

/** A host with the tools `set_light` and `get_light`, on a database of its own that another can be started on. */
async function start(folder: string, handler: (call: { name: string; id: string }) => unknown) {
  writeFileSync(join(folder, "config.yaml"), "storagePath: ./sidecar.db\n");
  const sidecar = await startSidecar({ args: ["--config", join(folder, "config.yaml")] });
  sidecar.onRequest((method, params) => (method === "tool.invoke" ? handler(params as never) : NO_ANSWER));
  await sidecar.call("tool.register", { tools: [descriptor("set_light"), descriptor("get_light")] });
  return sidecar;
}

async function kill(sidecar: TestSidecar): Promise<void> {
  sidecar.child.kill("SIGKILL");
  await sidecar.exit;
}

const invoked = (sidecar: TestSidecar, count = 1) => sidecar.until(() => sidecar.requests("tool.invoke").length === count, `call ${count} of the tool`);

describe("a side effect", () => {
  it("that was running when the process was killed is told as unknown, and not repeated", async () => {
    const folder = temporaryFolder();
    const model = await startModel((request) =>
      messagesOf(request).at(-1)?.content === "And now?"
        ? "I will look."
        : ([
            [{ id: "c1", name: "set_light" }],
            [
              { id: "c2", name: "get_light" },
              { id: "c3", name: "set_light" },
              { id: "c4", name: "set_light" },
            ],
          ][stepOf(request)] ?? "done"),
    );
    const first = await start(folder, ({ id }) => (id === "c3" ? NO_ANSWER : `did ${id}`));
    const { sessionId } = await first.call("agent.session.create");
    await first.stream(at(model, { sessionId, useTools: ["*"] }));
    await invoked(first, 3);
    await kill(first);

    const second = await start(folder, () => "never");
    const { messages } = await second.call<{ messages: StoredMessage[] }>("agent.session.get", { sessionId });
    expect(messages.every(({ turnStatus }) => turnStatus === "interrupted")).toBe(true);
    const results = messages.filter(({ role }) => role === "tool");
    expect(results.map(({ toolCallId, outcomeUnknown }) => [toolCallId, outcomeUnknown ?? false])).toEqual([
      ["c1", false],
      ["c2", false],
      ["c3", true],
    ]);
    const streamId = await second.stream(at(model, { sessionId, useTools: ["*"], messages: [{ role: "user", content: "And now?" }] }));
    await second.terminal(streamId);
    expect(second.requests("tool.invoke")).toHaveLength(0);
    const told = messagesOf(model.requests.at(-1)!);
    expect(told.map(({ role, tool_call_id: id }) => id ?? role)).toEqual(["user", "assistant", "c1", "assistant", "c2", "c3", "c4", "user"]);
    expect(told[5]?.content).toContain("outcomeUnknown");
    expect(told[6]?.content).toContain("not run");
  });

  it("that was running when the turn was cancelled is told as unknown", async () => {
    const model = await startModel([[{ id: "c1", name: "set_light" }], "done"]);
    const sidecar = await start(temporaryFolder(), () => NO_ANSWER);
    const { sessionId } = await sidecar.call("agent.session.create");
    const streamId = await sidecar.stream(at(model, { sessionId, useTools: ["*"] }));
    await invoked(sidecar);
    await sidecar.call("agent.chat.cancel", { streamId });
    await sidecar.terminal(streamId);
    const { messages } = await sidecar.call<{ messages: StoredMessage[] }>("agent.session.get", { sessionId });
    expect(messages.at(-1)).toMatchObject({ role: "tool", toolCallId: "c1", outcomeUnknown: true, turnStatus: "cancelled" });
  });
});

describe("an idempotencyKey of a turn", () => {
  const script = [[{ id: "c1", name: "set_light", arguments: { on: true } }], "The light is on."] as const;

  it("gives the same stream while it runs, and the same content again when it has ended, with one run of everything", async () => {
    const model = await startModel(script);
    const answers: (() => void)[] = [];
    const sidecar = await start(temporaryFolder(), () => new Promise((resolve) => answers.push(() => resolve({ lit: true }))));
    const params = at(model, { useTools: ["*"], idempotencyKey: "k1" });
    const streamId = await sidecar.stream(params);
    await invoked(sidecar);
    expect(await sidecar.stream(params)).toBe(streamId);
    for (const answer of answers) answer();
    await sidecar.terminal(streamId);
    const once = story(sidecar, streamId);
    const terminal = (await sidecar.terminal(streamId)).params;

    const before = sidecar.frames.length;
    expect(await sidecar.stream(params)).toBe(streamId);
    await sidecar.until(
      () =>
        sidecar.frames
          .flat()
          .slice(before)
          .some(({ method }) => method === "stream.done"),
      "the end of the repetition",
    );
    const again = sidecar.frames.flat().slice(before);
    sidecar.frames.splice(0, before);
    expect(story(sidecar, streamId)).toEqual(once);
    expect(again.at(-1)?.params).toEqual({ ...terminal, seq: expect.any(Number) });
    expect(again.find(({ params: chunk }) => chunk?.["toolResult"] !== undefined)?.params?.["toolResult"]).toMatchObject({
      id: "c1",
      success: true,
      data: { lit: true },
    });
    expect(await sidecar.call("agent.chat.complete", params)).toMatchObject({
      streamId,
      message: { content: "The light is on." },
      toolCalls: [{ id: "c1", arguments: { on: true }, result: { success: true, data: { lit: true } } }],
      turns: 2,
    });
    expect(model.requests).toHaveLength(2);
    expect(sidecar.requests("tool.invoke").length).toBeLessThanOrEqual(1);
  });

  it("is refused with other params", async () => {
    const sidecar = await startSidecar();
    const params = { provider: "echo", messages: [{ role: "user", content: "a" }], idempotencyKey: "k" };
    await sidecar.terminal(await sidecar.stream(params));
    const { error } = await sidecar.request("agent.chat.stream", { ...params, messages: [{ role: "user", content: "b" }] });
    expect(error).toMatchObject({ code: -32602, data: { code: "idempotency_key_reused" } });
    expect(await sidecar.stream({ ...params, apiKey: "other", streamId: "other" })).toMatch(/^str_/);
  });

  it("gives what there was after a kill in the middle, and does not call the model again", async () => {
    const folder = temporaryFolder();
    const model = await startModel(script);
    const first = await start(folder, () => NO_ANSWER);
    const params = at(model, { useTools: ["*"], idempotencyKey: "k1" });
    const streamId = await first.stream(params);
    await invoked(first);
    await kill(first);

    const second = await start(folder, () => "never");
    expect(await second.stream(params)).toBe(streamId);
    expect((await second.terminal(streamId)).params).toMatchObject({ kind: "interrupted" });
    expect(story(second, streamId)).toEqual(["call set_light", "result set_light outcome_unknown", "error interrupted"]);
    expect((await second.request("agent.chat.complete", params)).error).toMatchObject({ kind: "turn_failed", data: { failure: { kind: "interrupted" } } });
    expect(model.requests).toHaveLength(1);
    expect(second.requests("tool.invoke")).toHaveLength(0);
  });

  it("gives the same answer after a kill behind the end", async () => {
    const folder = temporaryFolder();
    const model = await startModel(script);
    const params = at(model, { useTools: ["*"], idempotencyKey: "k1" });
    const first = await start(folder, () => ({ lit: true }));
    const answer = await first.call("agent.chat.complete", params);
    await kill(first);
    const second = await start(folder, () => "never");
    expect(await second.call("agent.chat.complete", params)).toEqual(answer);
    expect(model.requests).toHaveLength(2);
  });

  it("joins two calls that are made at once", async () => {
    const model = await startModel(["once"]);
    const sidecar = await startSidecar();
    const params = at(model, { idempotencyKey: "k" });
    const [a, b, c] = await Promise.all([sidecar.call("agent.chat.complete", params), sidecar.call("agent.chat.complete", params), sidecar.stream(params)]);
    expect(a).toEqual(b);
    expect(c).toBe(a["streamId"]);
    expect((await sidecar.terminal(c)).params).toMatchObject({ ok: true });
    expect(sidecar.text(c)).toBe("once");
    expect(model.requests).toHaveLength(1);
  });
});

describe("an idempotencyKey in two processes on one database", () => {
  it("runs the turn in one of them, and the other says that it is running, or what it came to", async () => {
    const folder = temporaryFolder();
    const model = await startModel(["once"]);
    const [one, two] = await Promise.all([start(folder, () => "never"), start(folder, () => "never")]);
    for (let round = 0; round < 5; round++) {
      const params = at(model, { idempotencyKey: `k${round}` });
      const replies = await Promise.all([one, two].map((sidecar) => sidecar.request("agent.chat.complete", params)));
      const refused = replies.filter(({ error }) => error !== undefined);
      expect(refused.length).toBeLessThan(2);
      for (const { error } of refused) expect(error).toMatchObject({ code: -32005, kind: "overloaded" });
      expect(model.requests).toHaveLength(round + 1);
    }
  });
});

describe("an idempotencyKey of a call", () => {
  it("gives the same result, also after a kill, and runs the tool once", async () => {
    const folder = temporaryFolder();
    const first = await start(folder, ({ id }) => ({ by: id }));
    const params = { name: "set_light", arguments: { on: true }, idempotencyKey: "k" };
    const [a, b] = await Promise.all([first.call("tool.invoke", params), first.call("tool.invoke", params)]);
    expect(a).toEqual(b);
    expect(first.requests("tool.invoke")).toHaveLength(1);
    expect((await first.request("tool.invoke", { ...params, arguments: { on: false } })).error).toMatchObject({ data: { code: "idempotency_key_reused" } });
    await kill(first);
    const second = await start(folder, () => "never");
    expect(await second.call("tool.invoke", params)).toEqual(a);
    expect(second.requests("tool.invoke")).toHaveLength(0);
  });

  it("says that the outcome is unknown after a kill in the middle", async () => {
    const folder = temporaryFolder();
    const first = await start(folder, () => NO_ANSWER);
    const params = { name: "set_light", idempotencyKey: "k" };
    first.send({ jsonrpc: "2.0", id: "x", method: "tool.invoke", params });
    await invoked(first);
    await kill(first);
    const second = await start(folder, () => "never");
    expect(await second.call("tool.invoke", params)).toMatchObject({ success: false, kind: "outcome_unknown", outcomeUnknown: true });
    expect(second.requests("tool.invoke")).toHaveLength(0);
  });
});
