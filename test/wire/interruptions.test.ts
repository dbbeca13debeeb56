import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { type AskedFor, at, descriptor, messagesOf, startModel, stepOf, story } from "../support/agent.ts";
import { openaiStream } from "../support/model-server.ts";
import { hangingTurn, scriptedConfig } from "../support/script.ts";
import { type Frame, NO_ANSWER, startSidecar, temporaryFolder, type TestSidecar } from "../support/sidecar.ts";

interface StoredMessage {
  role: string;
  content: string;
  turnStatus: string;
  toolCallId?: string;
  toolCalls?: { id: string }[];
  outcomeUnknown?: boolean;
}

type Handler = (call: { name: string; id: string; arguments: Record<string, unknown> }, frame: Frame) => unknown;

/** A host with these tools, on a database in a folder of its own that another can be started on. */
async function start(names: readonly string[], handler: Handler, { folder = temporaryFolder(), more = "" } = {}) {
  writeFileSync(join(folder, "config.yaml"), `storagePath: ./sidecar.db\n${more}`);
  const sidecar = await startSidecar({ args: ["--config", join(folder, "config.yaml")] });
  sidecar.onRequest((method, params, frame) => (method === "tool.invoke" ? handler(params as never, frame) : NO_ANSWER));
  if (names.length > 0) await sidecar.call("tool.register", { tools: names.map((name) => descriptor(name)) });
  return { sidecar, folder };
}

/** A model that says a few words with its first calls, and `last` when it has their results. */
function talkingModel(calls: readonly AskedFor[], last = "done") {
  return startModel(async (request, answer) => {
    if (stepOf(request) > 0) return last;
    const asked = calls.map(({ id, name, arguments: args = {} }, index) => ({
      index,
      id,
      type: "function",
      function: { name, arguments: JSON.stringify(args) },
    }));
    await answer.sse(openaiStream(["Let me look. ", { tool_calls: asked }], { finishReason: "tool_calls" }));
    return undefined;
  });
}

async function stored(sidecar: TestSidecar, sessionId: unknown): Promise<StoredMessage[]> {
  return (await sidecar.call<{ messages: StoredMessage[] }>("agent.session.get", { sessionId })).messages;
}

/** What is stored, in short: `user Go`, `assistant Let me look. [c1]`, `tool c1`. */
const outline = (messages: readonly StoredMessage[]) =>
  messages.map(({ role, content, toolCallId, toolCalls }) =>
    [role, toolCallId ?? content, ...(toolCalls === undefined ? [] : [`[${toolCalls.map(({ id }) => id).join(",")}]`])].join(" "),
  );

const together = (sidecar: TestSidecar, ...frames: object[]) =>
  sidecar.sendRaw(frames.map((frame) => `${JSON.stringify({ jsonrpc: "2.0", ...frame })}\n`).join(""));

const invoked = (sidecar: TestSidecar, count = 1) => sidecar.until(() => sidecar.requests("tool.invoke").length === count, `call ${count} of the tool`);

describe("a turn that is stopped in the middle of a step", () => {
  it("keeps what the model had said, and the results that had come", async () => {
    const model = await talkingModel([
      { id: "c1", name: "get_fast" },
      { id: "c2", name: "get_slow" },
    ]);
    const { sidecar } = await start(["get_fast", "get_slow"], ({ name }) => (name === "get_fast" ? "quick" : NO_ANSWER));
    const { sessionId } = await sidecar.call("agent.session.create");
    const streamId = await sidecar.stream(at(model, { sessionId, useTools: ["*"] }));
    await sidecar.notification("stream.chunk", ({ toolResult }) => toolResult !== undefined);
    await sidecar.call("agent.chat.cancel", { streamId });
    await sidecar.terminal(streamId);
    const messages = await stored(sidecar, sessionId);
    expect(outline(messages)).toEqual(["user Go", "assistant Let me look.  [c1,c2]", "tool c1"]);
    expect(messages.every(({ turnStatus }) => turnStatus === "cancelled")).toBe(true);
  });

  it("by a kill keeps what the model had said as soon as it waits for a tool for a while", async () => {
    const model = await talkingModel([{ id: "c1", name: "get_slow" }]);
    const { sidecar, folder } = await start(["get_slow"], () => NO_ANSWER);
    const { sessionId } = await sidecar.call("agent.session.create");
    await sidecar.stream(at(model, { sessionId, useTools: ["*"] }));
    await expect.poll(async () => outline(await stored(sidecar, sessionId)), { timeout: 10_000 }).toEqual(["user Go", "assistant Let me look.  [c1]"]);
    sidecar.child.kill("SIGKILL");
    await sidecar.exit;
    const second = await start([], () => NO_ANSWER, { folder });
    expect(outline(await stored(second.sidecar, sessionId))).toEqual(["user Go", "assistant Let me look.  [c1]"]);
  });

  it("by a signal keeps the same", async () => {
    const model = await talkingModel([{ id: "c1", name: "get_slow" }]);
    const { sidecar, folder } = await start(["get_slow"], () => NO_ANSWER);
    const { sessionId } = await sidecar.call("agent.session.create");
    await sidecar.stream(at(model, { sessionId, useTools: ["*"] }));
    await invoked(sidecar);
    sidecar.child.kill("SIGTERM");
    expect(await sidecar.exit).toEqual({ code: 3, signal: null });
    const second = await start([], () => NO_ANSWER, { folder });
    const messages = await stored(second.sidecar, sessionId);
    expect(outline(messages)).toEqual(["user Go", "assistant Let me look.  [c1]"]);
    expect(messages[1]?.turnStatus).toBe("interrupted");
  });

  it("by a budget keeps the results that had come", async () => {
    const model = await talkingModel([
      { id: "c1", name: "get_a" },
      { id: "c2", name: "get_b" },
    ]);
    const { sidecar } = await start(["get_a", "get_b"], () => "x");
    const { sessionId } = await sidecar.call("agent.session.create");
    const streamId = await sidecar.stream(at(model, { sessionId, useTools: ["*"], budget: { maxToolCalls: 1 } }));
    expect((await sidecar.terminal(streamId)).params).toMatchObject({ kind: "budget_exhausted" });
    expect(outline(await stored(sidecar, sessionId))).toEqual(["user Go", "assistant Let me look.  [c1,c2]", "tool c1"]);
  });

  it("says nothing more once it has ended, though an approval is being remembered", async () => {
    const { sidecar } = await start([], () => NO_ANSWER);
    let streamId = "";
    const ran: string[] = [];
    sidecar.onRequest((method, _params, { id }) => {
      if (method === "tool.invoke") ran.push(method);
      if (method === "approval.request")
        together(sidecar, { id, result: { decision: "allow_always" } }, { id: "stop", method: "agent.chat.cancel", params: { streamId } });
      return NO_ANSWER;
    });
    await sidecar.call("system.initialize", { clientInfo: { name: "test" }, capabilities: { approvals: true, status: true } });
    await sidecar.call("tool.register", { tools: [descriptor("order_pizza")] });
    for (const name of ["a", "b", "c"]) {
      streamId = name;
      const model = await talkingModel([{ id: "c1", name: "order_pizza" }]);
      await sidecar.stream(at(model, { streamId, useTools: ["*"] }));
      await sidecar.terminal(streamId);
      await sidecar.call("tool.revoke");
      await sidecar.call("agent.session.create");
      const { method } = sidecar.notifications(streamId).at(-1) ?? {};
      expect(method).toBe("stream.done");
    }
    expect(ran).toEqual([]);
  });
});

describe("a turn that is cancelled by the id that the host has chosen", () => {
  it("ends though it was not acknowledged yet", async () => {
    const { args } = scriptedConfig([hangingTurn]);
    const sidecar = await startSidecar({ args });
    for (let round = 0; round < 5; round++) {
      const streamId = `s${round}`;
      const params = { provider: "scripted", streamId, messages: [{ role: "user", content: "hi" }] };
      together(sidecar, { id: streamId, method: "agent.chat.stream", params }, { id: `c${round}`, method: "agent.chat.cancel", params: { streamId } });
      expect((await sidecar.terminal(streamId)).params).toMatchObject({ ok: false, cancelled: true });
      expect((await sidecar.reply(streamId)).result).toEqual({ streamId });
    }
  });
});

describe("what was added to a turn", () => {
  it("stays in the session when the turn is stopped before the model heard it", async () => {
    const model = await talkingModel([{ id: "c1", name: "set_light" }]);
    const { sidecar } = await start(["set_light"], () => NO_ANSWER);
    const { sessionId } = await sidecar.call("agent.session.create");
    const streamId = await sidecar.stream(at(model, { sessionId, useTools: ["*"] }));
    await invoked(sidecar);
    await sidecar.call("agent.chat.steer", { streamId, content: "Wait!" });
    await sidecar.call("agent.chat.cancel", { streamId });
    await sidecar.terminal(streamId);
    const messages = await stored(sidecar, sessionId);
    expect(outline(messages)).toEqual(["user Go", "assistant Let me look.  [c1]", "tool c1", "user Wait!"]);
    expect(messages[2]).toMatchObject({ outcomeUnknown: true });
  });

  it("goes with the next turn where this one ends with calls of the host", async () => {
    const sidecar = await startSidecar();
    const { sessionId } = await sidecar.call("agent.session.create");
    const model = await startModel(async (request) => {
      if (stepOf(request) > 0) return "done";
      await sidecar.call("agent.chat.steer", { streamId: "s", content: "And hurry" });
      return [{ id: "c1", name: "show_map" }];
    });
    await sidecar.stream(at(model, { sessionId, streamId: "s", tools: [descriptor("show_map")] }));
    await sidecar.terminal("s");
    expect(outline(await stored(sidecar, sessionId))).toEqual(["user Go", "user And hurry", "assistant  [c1]"]);
  });

  it("is refused from the moment on at which it is clear that the turn ends with calls of the host", async () => {
    const model = await talkingModel([
      { id: "ours", name: "get_a" },
      { id: "theirs", name: "show_map" },
    ]);
    const { sidecar } = await start(["get_a"], async () => {
      const { error } = await sidecar.request("agent.chat.steer", { streamId: "s", content: "too late" });
      return error?.data?.["code"];
    });
    const { sessionId } = await sidecar.call("agent.session.create");
    await sidecar.stream(at(model, { sessionId, streamId: "s", useTools: ["*"], tools: [descriptor("show_map")] }));
    await sidecar.terminal("s");
    const messages = await stored(sidecar, sessionId);
    expect(outline(messages)).toEqual(["user Go", "assistant Let me look.  [ours,theirs]", "tool ours"]);
    expect(messages.at(-1)?.content).toBe("stream_not_found");
  });
});

describe("the ids of calls", () => {
  it("are told apart though the model gives every call the same one", async () => {
    const model = await startModel([[{ id: "call_0", name: "set_a" }], [{ id: "call_0", name: "set_b" }], "done"]);
    const { sidecar } = await start(["set_a", "set_b"], ({ name }) => ({ by: name }));
    const params = at(model, { useTools: ["*"], idempotencyKey: "k" });
    const first = await sidecar.call<{ toolCalls: { id: string }[] }>("agent.chat.complete", params);
    expect(new Set(first.toolCalls.map(({ id }) => id)).size).toBe(2);
    expect(first).toMatchObject({
      toolCalls: [
        { name: "set_a", result: { data: { by: "set_a" } } },
        { name: "set_b", result: { data: { by: "set_b" } } },
      ],
    });
    expect(await sidecar.call("agent.chat.complete", params)).toEqual(first);
    const streamId = await sidecar.stream(params);
    await sidecar.terminal(streamId);
    const results = sidecar.notifications(streamId).flatMap(({ params: { toolResult } = {} }) => (toolResult === undefined ? [] : [toolResult]));
    expect(results).toMatchObject([
      { name: "set_a", data: { by: "set_a" } },
      { name: "set_b", data: { by: "set_b" } },
    ]);
  });
});

describe("two callers with one idempotencyKey", () => {
  const cancel = (sidecar: TestSidecar, id: string) => sidecar.send({ jsonrpc: "2.0", method: "$/cancelRequest", params: { id } });

  it("get the turn although the one that began it gives up", async () => {
    let answer: () => void = () => undefined;
    const gate = new Promise<void>((resolve) => {
      answer = resolve;
    });
    const model = await startModel(async () => {
      await gate;
      return "Here it is.";
    });
    const sidecar = await startSidecar();
    const params = at(model, { idempotencyKey: "k" });
    for (const id of ["first", "second"]) sidecar.send({ jsonrpc: "2.0", id, method: "agent.chat.complete", params });
    const streamId = await sidecar.stream(params);
    await model.nextRequest();
    cancel(sidecar, "first");
    expect((await sidecar.reply("first")).error).toMatchObject({ code: -32800 });
    answer();
    expect((await sidecar.reply("second")).result).toMatchObject({ message: { content: "Here it is." }, streamId });
    expect((await sidecar.terminal(streamId)).params).toMatchObject({ ok: true });
    expect(model.requests).toHaveLength(1);
  });

  it("that both give up stop the turn", async () => {
    const model = await startModel(() => undefined);
    const sidecar = await startSidecar();
    for (const id of ["first", "second"]) sidecar.send({ jsonrpc: "2.0", id, method: "agent.chat.complete", params: at(model, { idempotencyKey: "k" }) });
    const request = await model.nextRequest();
    for (const id of ["first", "second"]) cancel(sidecar, id);
    await request.closed;
  });

  it("do not stop a stream that somebody follows by giving up", async () => {
    let answer: () => void = () => undefined;
    const gate = new Promise<void>((resolve) => {
      answer = resolve;
    });
    const model = await startModel(async () => {
      await gate;
      return "told";
    });
    const sidecar = await startSidecar();
    const params = at(model, { idempotencyKey: "k" });
    const streamId = await sidecar.stream(params);
    sidecar.send({ jsonrpc: "2.0", id: "c", method: "agent.chat.complete", params });
    await model.nextRequest();
    cancel(sidecar, "c");
    await sidecar.reply("c");
    answer();
    expect((await sidecar.terminal(streamId)).params).toMatchObject({ ok: true });
  });

  it("get the result of a call although the one that began it gives up", async () => {
    let answer: () => void = () => undefined;
    const { sidecar } = await start(["set_light"], () => new Promise((resolve) => (answer = () => resolve("lit"))));
    const params = { name: "set_light", idempotencyKey: "k" };
    // In one write: when the tool is asked, both are known.
    together(sidecar, { id: "first", method: "tool.invoke", params }, { id: "second", method: "tool.invoke", params });
    await invoked(sidecar);
    cancel(sidecar, "first");
    expect((await sidecar.reply("first")).error).toMatchObject({ code: -32800 });
    answer();
    expect((await sidecar.reply("second")).result).toMatchObject({ success: true, data: { value: "lit" } });
    expect(sidecar.requests("tool.invoke")).toHaveLength(1);
  });

  it("who both ask for a turn that has ended are told one stream, whole, with one end", async () => {
    const words = "word ".repeat(20_000);
    const model = await startModel([words]);
    const sidecar = await startSidecar();
    const params = at(model, { idempotencyKey: "k" });
    const { streamId } = await sidecar.call<{ streamId: string }>("agent.chat.complete", params);
    together(
      sidecar,
      { id: "a", method: "agent.chat.stream", params },
      { id: "b", method: "agent.chat.stream", params },
      { id: "c", method: "agent.chat.stream", params },
    );
    for (const id of ["a", "b", "c"]) expect((await sidecar.reply(id)).result).toEqual({ streamId });
    await sidecar.terminal(streamId);
    await sidecar.call("system.ping");
    expect(sidecar.text(streamId)).toBe(words);
    const seqs = sidecar.notifications(streamId).map(({ params: chunk }) => chunk?.["seq"]);
    expect(seqs).toEqual(seqs.map((_, index) => index));
  });

  it("are not told a turn again on a stream that is another's now", async () => {
    const { args } = scriptedConfig([hangingTurn]);
    const sidecar = await startSidecar({ args });
    const echo = { provider: "echo", streamId: "main", idempotencyKey: "k", messages: [{ role: "user", content: "hi" }] };
    await sidecar.stream(echo);
    await sidecar.terminal("main");
    const before = sidecar.frames.length;
    await sidecar.stream({ provider: "scripted", streamId: "main", messages: [{ role: "user", content: "hi" }] });
    await sidecar.frame((frame) => sidecar.frames.indexOf(frame) >= before && frame.method === "stream.chunk", "a chunk of the other");
    expect((await sidecar.request("agent.chat.stream", echo)).error).toMatchObject({ code: -32602, data: { path: "streamId" } });
    expect(await sidecar.call("agent.chat.complete", echo)).toMatchObject({ message: { content: "hi" } });
  });
});

describe("the end of the process", () => {
  it.each(["shutdown", "signal"])("interrupts a turn of agent.chat.complete, with what was said so far (%s)", async (how) => {
    // The text is saved every half second. A call is traced as soon as it is heard, so that tells when "far" has come.
    const events = [{ delta: "so " }, { delayMs: 700 }, { delta: "far" }, { toolCall: { name: "show_map" } }, { delayMs: 600_000 }];
    const { args } = scriptedConfig([{ events }], "trace: { events: true }\n");
    const sidecar = await startSidecar({ args });
    const { sessionId } = await sidecar.call("agent.session.create");
    const params = { provider: "scripted", sessionId, messages: [{ role: "user", content: "hi" }] };
    sidecar.send({ jsonrpc: "2.0", id: "c", method: "agent.chat.complete", params });
    await sidecar.notification("trace.event", ({ name }) => name === "llm.tool_call");
    if (how === "signal") sidecar.child.kill("SIGTERM");
    else sidecar.send({ jsonrpc: "2.0", id: "bye", method: "system.shutdown" });
    expect((await sidecar.reply("c")).error).toMatchObject({ code: -32800 });
    await sidecar.exit;
    const next = await startSidecar({ args });
    expect(await stored(next, sessionId)).toMatchObject([{ content: "hi" }, { content: "so far", turnStatus: "interrupted" }]);
  });

  it("of the host says of a call with effects that its outcome is unknown", async () => {
    const model = await talkingModel([{ id: "c1", name: "set_light" }]);
    const { sidecar, folder } = await start(["set_light"], () => NO_ANSWER);
    const { sessionId } = await sidecar.call("agent.session.create");
    sidecar.send({ jsonrpc: "2.0", id: "c", method: "agent.chat.complete", params: at(model, { sessionId, useTools: ["*"] }) });
    await invoked(sidecar);
    sidecar.child.stdin.end();
    expect((await sidecar.reply("c")).result).toMatchObject({ toolCalls: [{ result: { success: false, kind: "outcome_unknown", outcomeUnknown: true } }] });
    await sidecar.exit;
    const second = await start([], () => NO_ANSWER, { folder });
    expect((await stored(second.sidecar, sessionId))[2]).toMatchObject({ role: "tool", toolCallId: "c1", outcomeUnknown: true });
  });
});

describe("a session", () => {
  it("that was deleted leaves no leave behind for one of the same name", async () => {
    const { sidecar } = await start(["order_pizza"], () => "done");
    let asked = 0;
    sidecar.onRequest((method) => {
      if (method === "tool.invoke") return "done";
      asked++;
      return { decision: "allow_session" };
    });
    await sidecar.call("system.initialize", { clientInfo: { name: "test" }, capabilities: { approvals: true } });
    const model = await startModel((request) => (stepOf(request) % 2 === 0 ? [{ id: "c1", name: "order_pizza" }] : "ok"));
    const inSession = async () => sidecar.terminal(await sidecar.stream(at(model, { sessionId: "s", useTools: ["*"] })));
    await sidecar.call("agent.session.create", { sessionId: "s" });
    await inSession();
    await inSession();
    expect(asked).toBe(1);
    // A stream of the same name is not the session.
    await sidecar.terminal(await sidecar.stream(at(model, { streamId: "s", useTools: ["*"] })));
    expect(asked).toBe(2);
    await inSession();
    expect(asked).toBe(2);
    await sidecar.call("agent.session.delete", { sessionId: "s" });
    await sidecar.call("agent.session.create", { sessionId: "s" });
    await inSession();
    expect(asked).toBe(3);
  });

  it("whose last turn waits for the host's answers can be compressed to the end, and still be answered", async () => {
    const model = await startModel((request) => {
      if (String(messagesOf(request)[0]?.content).includes("write the summary")) return "They looked at maps.";
      return messagesOf(request).at(-1)?.content === "Go" ? [{ id: "c1", name: "show_map" }] : "I see.";
    });
    const sidecar = await startSidecar();
    const { sessionId } = await sidecar.call("agent.session.create");
    await sidecar.terminal(await sidecar.stream(at(model, { sessionId, tools: [descriptor("show_map")] })));
    const { messages: _, ...how } = at(model);
    await sidecar.call("agent.session.compress", { ...how, sessionId, keepTurns: 0 });
    await sidecar.terminal(await sidecar.stream(at(model, { sessionId, messages: [{ role: "tool", toolCallId: "c1", content: "shown" }] })));
    const sent = messagesOf(model.requests.at(-1)!);
    expect(sent.map(({ role, tool_call_id: id }) => id ?? role).slice(-2)).toEqual(["assistant", "c1"]);
  });
});

describe("a host tool", () => {
  it("that is taken back in the middle of a turn is not called any more", async () => {
    const model = await startModel([[{ id: "c1", name: "get_a" }], [{ id: "c2", name: "get_a" }], "ok"]);
    const { sidecar } = await start(["get_a"], async () => {
      await sidecar.call("tool.unregister");
      return "A";
    });
    const streamId = await sidecar.stream(at(model, { useTools: ["*"] }));
    await sidecar.terminal(streamId);
    expect(sidecar.requests("tool.invoke")).toHaveLength(1);
    expect(story(sidecar, streamId)).toEqual(["call get_a", "result get_a ok", "call get_a", "result get_a unavailable", "text ok", "finish stop", "done"]);
  });

  it("may be called many times at once without a word on stderr", async () => {
    const asked = Array.from({ length: 16 }, (_, index) => ({ id: `c${index}`, name: "get_a", arguments: { index } }));
    const model = await startModel([asked, "ok"]);
    const calls: (() => void)[] = [];
    const { sidecar } = await start(["get_a"], () => new Promise((resolve) => calls.push(() => resolve("A"))));
    const streamId = await sidecar.stream(at(model, { useTools: ["*"] }));
    await invoked(sidecar, 16);
    for (const end of calls) end();
    expect((await sidecar.terminal(streamId)).params).toMatchObject({ ok: true });
    expect(sidecar.stderr.split("\n").filter((line) => line !== "" && !line.startsWith("{") && !line.startsWith("__SIDECAR_READY__"))).toEqual([]);
  });

  it("is never asked behind the word that the call is cancelled", async () => {
    const { args } = scriptedConfig([{ events: [{ toolCall: { name: "get_a" } }] }, { events: [{ delta: "never" }] }]);
    const sidecar = await startSidecar({ args });
    await sidecar.call("tool.register", { tools: [descriptor("get_a")] });
    for (let round = 0; round < 20; round++) {
      const streamId = `s${round}`;
      const params = { provider: "scripted", streamId, useTools: ["*"], messages: [{ role: "user", content: "hi" }] };
      together(sidecar, { id: streamId, method: "agent.chat.stream", params });
      // While the stream is still held back behind its reply.
      await new Promise((resolve) => setTimeout(resolve, round / 4));
      await sidecar.call("agent.chat.cancel", { streamId });
      await sidecar.terminal(streamId);
    }
    await sidecar.call("system.ping");
    const frames = sidecar.frames.flat();
    for (const [index, { method, params }] of frames.entries()) {
      if (method !== "$/cancelRequest") continue;
      expect(frames.findIndex(({ id, method: asked }) => asked === "tool.invoke" && id === params?.["id"])).toBeLessThan(index);
    }
    const asked = sidecar.requests("tool.invoke").map(({ id }) => id);
    const taken = frames.filter(({ method }) => method === "$/cancelRequest").map(({ params }) => params?.["id"]);
    expect(taken).toEqual(asked);
  });
});

describe("a change of the configuration that cannot be applied", () => {
  it("is told by health, and not forgotten with the next change", async () => {
    const { sidecar } = await start(["my_tool"], () => "x");
    const command = [process.execPath, "-e", "0"];
    const clash = { tools: { process: [{ name: "my_tool", description: "d", parameters: { type: "object" }, command }] } };
    expect((await sidecar.request("config.set", clash)).error).toMatchObject({ code: -32602 });
    expect(await sidecar.call("system.ping")).toMatchObject({ status: "degraded" });
    expect((await sidecar.request("config.set", { logLevel: "WARNING" })).error).toMatchObject({ code: -32602 });
    await sidecar.call("tool.unregister");
    await sidecar.call("config.set", { logLevel: "ERROR" });
    expect(await sidecar.call("system.ping")).toMatchObject({ status: "ok", loadedTools: 1 });
  });
});
