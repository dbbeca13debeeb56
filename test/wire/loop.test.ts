import { describe, expect, it } from "vitest";
import { at, descriptor, messagesOf, startModel, stepOf, story, toolsOf } from "../support/agent.ts";
import { NO_ANSWER, startSidecar, type TestSidecar } from "../support/sidecar.ts";

/** A sidecar whose host has registered tools of these names. */
async function withHostTools(
  names: readonly (string | object)[],
  handler: (call: { name: string; arguments: Record<string, unknown>; id: string }) => unknown,
) {
  const sidecar = await startSidecar();
  sidecar.onRequest((method, params) => (method === "tool.invoke" ? handler(params as never) : NO_ANSWER));
  await sidecar.call("tool.register", { tools: names.map((name) => (typeof name === "string" ? descriptor(name) : name)) });
  return sidecar;
}

async function finished(sidecar: TestSidecar, params: Record<string, unknown>): Promise<string> {
  const streamId = await sidecar.stream(params);
  await sidecar.terminal(streamId);
  return streamId;
}

/** Resolves when it was called `count` times. */
function meeting(count: number) {
  let here = 0;
  let open: () => void = () => undefined;
  const all = new Promise<void>((resolve) => {
    open = resolve;
  });
  return () => {
    if (++here === count) open();
    return all;
  };
}

describe("a turn with tools", () => {
  it("runs what the model asks for, feeds the results back, and goes on until the model is done", async () => {
    const model = await startModel([[{ id: "c1", name: "get_sky", arguments: { city: "Bern" } }], "It is sunny."]);
    const sidecar = await withHostTools(["get_sky"], ({ arguments: args }) => ({ sky: "sunny", of: args["city"] }));
    const streamId = await finished(sidecar, at(model, { useTools: ["*"] }));
    expect(story(sidecar, streamId)).toEqual(["call get_sky", "result get_sky ok", "text It is sunny.", "finish stop", "done"]);

    expect(model.requests).toHaveLength(2);
    expect(toolsOf(model.requests[0]!)).toEqual(["get_sky"]);
    expect(messagesOf(model.requests[1]!).slice(1)).toEqual([
      expect.objectContaining({ role: "assistant", tool_calls: [{ id: "c1", type: "function", function: { name: "get_sky", arguments: '{"city":"Bern"}' } }] }),
      { role: "tool", tool_call_id: "c1", content: '{"success":true,"data":{"sky":"sunny","of":"Bern"}}' },
    ]);
    const result = sidecar.notifications(streamId).find(({ params }) => params?.["toolResult"] !== undefined)?.params?.["toolResult"];
    expect(result).toMatchObject({ id: "c1", name: "get_sky", success: true, data: { sky: "sunny", of: "Bern", durationMs: expect.any(Number) } });
    expect((await sidecar.terminal(streamId)).params).toMatchObject({
      ok: true,
      finishReason: "stop",
      usage: { promptTokens: 20, completionTokens: 10, totalTokens: 30 },
    });
    const seqs = sidecar.notifications(streamId).map(({ params }) => params?.["seq"]);
    expect(seqs).toEqual(seqs.map((_, index) => index));
  });

  it("runs calls of one step side by side when all of them only read", async () => {
    const calls = ["a", "b", "c"].map((id) => ({ id, name: `get_${id}` }));
    const model = await startModel([calls, "done"]);
    const together = meeting(3);
    const sidecar = await withHostTools(["get_a", "get_b", "get_c"], async ({ name }) => {
      await together();
      return name;
    });
    const streamId = await finished(sidecar, at(model, { useTools: ["get_*"] }));
    expect(story(sidecar, streamId).filter((line) => line.startsWith("result"))).toHaveLength(3);
    // Whatever the order in which they were ready, the model reads them in the order of its calls.
    expect(
      messagesOf(model.requests[1]!)
        .slice(2)
        .map(({ content }) => content),
    ).toEqual(["get_a", "get_b", "get_c"]);
  });

  it("runs calls of one step one after the other when one of them does more than read", async () => {
    const model = await startModel([["get_a", "set_b", "get_c"].map((name) => ({ id: name, name })), "done"]);
    let running = 0;
    const most: number[] = [];
    const sidecar = await withHostTools(["get_a", "set_b", "get_c"], async ({ name }) => {
      most.push(++running);
      await new Promise((resolve) => setTimeout(resolve, 20));
      running--;
      return name;
    });
    const streamId = await finished(sidecar, at(model, { useTools: ["*"] }));
    expect(most).toEqual([1, 1, 1]);
    expect(story(sidecar, streamId).filter((line) => line.startsWith("result"))).toEqual(["result get_a ok", "result set_b ok", "result get_c ok"]);
  });

  it("tells the model of unknown tools, arguments that do not fit and failures, and goes on", async () => {
    const model = await startModel([
      [
        { id: "c1", name: "get_nothing" },
        { id: "c2", name: "get_sky", arguments: { city: 5 } },
        { id: "c3", name: "get_sky", arguments: { city: "Ur" } },
      ],
      "I see.",
    ]);
    const sky = { type: "function", function: { name: "get_sky", parameters: { type: "object", properties: { city: { type: "string" } } } } };
    const sidecar = await withHostTools([sky], () => {
      throw new Error("no such city");
    });
    const streamId = await finished(sidecar, at(model, { useTools: ["get_sky"] }));
    expect(story(sidecar, streamId).slice(-3)).toEqual(["text I see.", "finish stop", "done"]);
    const told = messagesOf(model.requests[1]!)
      .slice(2)
      .map(({ content }) => JSON.parse(content as string) as object);
    expect(told).toMatchObject([
      { success: false, error: "Unknown tool: get_nothing", kind: "invalid_params" },
      { success: false, error: "Invalid arguments: /city must be string", kind: "invalid_params" },
      { success: false, error: "no such city", kind: "tool_failed" },
    ]);
  });

  it("cuts a model off that makes the same call for the fourth time in a row, but not one that does something else in between", async () => {
    const same = { id: "x", name: "get_x", arguments: { a: 1, b: 2 } };
    const model = await startModel([...[1, 2, 3, 4].map((n) => [{ ...same, id: `x${n}`, arguments: n % 2 ? { a: 1, b: 2 } : { b: 2, a: 1 } }]), "enough"]);
    const sidecar = await withHostTools(["get_x", "set_y"], () => "x");
    const streamId = await finished(sidecar, at(model, { useTools: ["*"] }));
    expect(story(sidecar, streamId).filter((line) => line.startsWith("result"))).toEqual([
      "result get_x ok",
      "result get_x ok",
      "result get_x ok",
      "result get_x repeated_call",
    ]);
    expect(sidecar.requests("tool.invoke")).toHaveLength(3);

    const alternating = await startModel((request) => {
      const step = stepOf(request);
      return step === 10 ? "enough" : [{ id: `c${step}`, name: step % 2 ? "set_y" : "get_x" }];
    });
    const other = await finished(sidecar, at(alternating, { useTools: ["*"] }));
    expect(story(sidecar, other).filter((line) => line.endsWith("ok"))).toHaveLength(10);
  });

  it("leaves the host's own tools to the host, after it has run its part", async () => {
    const model = await startModel([
      [
        { id: "ours", name: "get_a" },
        { id: "theirs", name: "show_map" },
      ],
      "done",
    ]);
    const sidecar = await withHostTools(["get_a"], () => "A");
    const { sessionId } = await sidecar.call("agent.session.create");
    const streamId = await finished(sidecar, at(model, { useTools: ["*"], tools: [descriptor("show_map")], sessionId }));
    expect(story(sidecar, streamId)).toEqual(["call get_a", "call show_map", "result get_a ok", "finish tool_calls", "done"]);
    expect(toolsOf(model.requests[0]!).toSorted()).toEqual(["get_a", "show_map"]);

    await finished(sidecar, at(model, { sessionId, messages: [{ role: "tool", toolCallId: "theirs", content: "shown" }] }));
    expect(messagesOf(model.requests[1]!).map(({ role, tool_call_id: id, content }) => [role, id, content])).toEqual([
      ["user", undefined, "Go"],
      ["assistant", undefined, null],
      ["tool", "ours", "A"],
      ["tool", "theirs", "shown"],
    ]);
  });

  it("keeps every message of the turn in the session, in order, and sends them with the next turn", async () => {
    const model = await startModel([[{ id: "c1", name: "get_a" }], [{ id: "c2", name: "set_b" }], "done", "again"]);
    const sidecar = await withHostTools(["get_a", "set_b"], ({ name }) => `did ${name}`);
    const { sessionId } = await sidecar.call("agent.session.create");
    await finished(sidecar, at(model, { useTools: ["*"], sessionId }));
    const { messages } = await sidecar.call<{ messages: { role: string; content: unknown; toolCallId?: string }[] }>("agent.session.get", { sessionId });
    expect(messages.map(({ role, content, toolCallId }) => [role, toolCallId ?? content])).toEqual([
      ["user", "Go"],
      ["assistant", ""],
      ["tool", "c1"],
      ["assistant", ""],
      ["tool", "c2"],
      ["assistant", "done"],
    ]);
    await finished(sidecar, at(model, { useTools: ["*"], sessionId, messages: [{ role: "user", content: "More" }] }));
    expect(messagesOf(model.requests.at(-1)!).map(({ role }) => role)).toEqual(["user", "assistant", "tool", "assistant", "tool", "assistant", "user"]);
  });

  it("refuses a name in useTools that nobody has", async () => {
    const model = await startModel(["never"]);
    const sidecar = await withHostTools(["get_sky"], () => "x");
    const { error } = await sidecar.request("agent.chat.stream", at(model, { useTools: ["get_sy"] }));
    expect(error).toMatchObject({ code: -32602, data: { path: "useTools[0]", nearest: "get_sky" } });
    expect(model.requests).toHaveLength(0);
  });
});

describe("a host tool", () => {
  it("that never answers, or answers late, is a failure that the model is told", async () => {
    const model = await startModel([[{ id: "c1", name: "get_slow" }], "I gave up."]);
    const late: (() => void)[] = [];
    const sidecar = await withHostTools([descriptor("get_slow", { timeoutMs: 50 })], () => new Promise((resolve) => late.push(() => resolve("late"))));
    const streamId = await finished(sidecar, at(model, { useTools: ["*"] }));
    expect(story(sidecar, streamId)).toEqual(["call get_slow", "result get_slow timeout", "text I gave up.", "finish stop", "done"]);
    const [request] = sidecar.requests("tool.invoke");
    expect(request).toMatchObject({ id: "srv_1", params: { id: "c1", name: "get_slow", arguments: {}, timeoutMs: 50, streamId } });
    expect(await sidecar.notification("$/cancelRequest")).toMatchObject({ params: { id: "srv_1" } });
    for (const answer of late) answer();
    expect(await sidecar.call("system.ping")).toMatchObject({ status: "ok" });
    const told = sidecar.frames.length;
    await sidecar.call("system.ping");
    expect(sidecar.frames.length).toBe(told + 1);
  });

  it("is registered again, replaced and taken back; its results are bounded for the model", async () => {
    const model = await startModel([[{ id: "c1", name: "get_long" }], "ok"]);
    const sidecar = await withHostTools(["get_long"], () => "x".repeat(300_000));
    await finished(sidecar, at(model, { useTools: ["get_long"] }));
    const content = messagesOf(model.requests[1]!).at(-1)?.content as string;
    expect(content.length).toBeLessThan(101_000);
    expect(content).toContain("[… 200000 characters left out …]");
    expect(await sidecar.call("tool.unregister", { names: ["get_long", "nobody"] })).toEqual({ registered: [] });
    expect(await sidecar.call("tool.list")).toEqual([]);
    expect((await sidecar.request("agent.chat.stream", at(model, { useTools: ["get_long"] }))).error).toMatchObject({ code: -32602 });
  });

  it("can be run by tool.invoke as well, and says what is wrong when the host has closed stdin", async () => {
    const sidecar = await withHostTools(["get_a"], ({ arguments: args }) => ({ got: args }));
    expect(await sidecar.call("tool.invoke", { name: "get_a", arguments: { x: 1 } })).toMatchObject({ success: true, data: { got: { x: 1 } } });
    sidecar.onRequest(() => NO_ANSWER);
    sidecar.send({ jsonrpc: "2.0", id: "last", method: "tool.invoke", params: { name: "get_a" } });
    await sidecar.until(() => sidecar.requests("tool.invoke").length === 2, "the second request");
    sidecar.child.stdin.end();
    expect((await sidecar.reply("last")).result).toMatchObject({ success: false, kind: "unavailable" });
    expect(await sidecar.exit).toMatchObject({ code: 0 });
  });
});

describe("cancelling", () => {
  it("stops a tool that is running, tells the host so, and ends the stream", async () => {
    const model = await startModel([[{ id: "c1", name: "get_slow" }], "never"]);
    const sidecar = await withHostTools(["get_slow"], () => NO_ANSWER);
    const streamId = await sidecar.stream(at(model, { useTools: ["*"] }));
    const asked = await sidecar.frame(({ method }) => method === "tool.invoke", "the call");
    await sidecar.call("agent.chat.cancel", { streamId });
    expect((await sidecar.terminal(streamId)).params).toMatchObject({ ok: false, cancelled: true });
    expect(await sidecar.notification("$/cancelRequest")).toMatchObject({ params: { id: asked.id } });
    expect(model.requests).toHaveLength(1);
  });
});

describe("steering", () => {
  it("adds a user message before the next model call", async () => {
    const model = await startModel([[{ id: "c1", name: "get_a" }], "bien"]);
    const sidecar = await withHostTools(["get_a"], async () => {
      await sidecar.call("agent.chat.steer", { streamId: "s", content: "In French" });
      return "A";
    });
    const { sessionId } = await sidecar.call("agent.session.create");
    await finished(sidecar, at(model, { streamId: "s", useTools: ["*"], sessionId }));
    expect(messagesOf(model.requests[1]!).map(({ role, content }) => [role, content])).toMatchObject([
      ["user", "Go"],
      ["assistant", null],
      ["tool", "A"],
      ["user", "In French"],
    ]);
    const { messages } = await sidecar.call<{ messages: { role: string }[] }>("agent.session.get", { sessionId });
    expect(messages.map(({ role }) => role)).toEqual(["user", "assistant", "tool", "user", "assistant"]);
  });

  it("makes a model that was about to finish go on", async () => {
    let sidecar: TestSidecar | undefined;
    const model = await startModel(async (request) => {
      if (stepOf(request) > 0) return "and more";
      await sidecar?.call("agent.chat.steer", { streamId: "s", content: "Also this" });
      return "first";
    });
    sidecar = await startSidecar();
    const streamId = await finished(sidecar, at(model, { streamId: "s" }));
    expect(story(sidecar, streamId)).toEqual(["text firstand more", "finish stop", "done"]);
    expect(messagesOf(model.requests[1]!).map(({ role, content }) => [role, content])).toEqual([
      ["user", "Go"],
      ["assistant", "first"],
      ["user", "Also this"],
    ]);
  });

  it("is refused once the turn has ended, and for streams that never were", async () => {
    const sidecar = await startSidecar();
    const streamId = await finished(sidecar, { provider: "echo", messages: [{ role: "user", content: "hi" }] });
    for (const id of [streamId, "never"]) {
      const { error } = await sidecar.request("agent.chat.steer", { streamId: id, content: "x" });
      expect(error).toMatchObject({ code: -32004, kind: "invalid_request", data: { code: "stream_not_found" } });
    }
  });
});

describe("agent.chat.complete", () => {
  it("is the same turn with one reply", async () => {
    const model = await startModel([[{ id: "c1", name: "get_a", arguments: { n: 1 } }], "All done."]);
    const sidecar = await withHostTools(["get_a"], () => ({ a: 1 }));
    const result = await sidecar.call("agent.chat.complete", at(model, { useTools: ["*"] }));
    expect(result).toMatchObject({
      message: { role: "assistant", content: "All done." },
      toolCalls: [{ id: "c1", name: "get_a", arguments: { n: 1 }, result: { success: true, data: { a: 1 } } }],
      turns: 2,
      usage: { promptTokens: 20, completionTokens: 10, totalTokens: 30 },
      finishReason: "stop",
      traceId: expect.stringMatching(/^tr_/),
    });
    expect(sidecar.frames.flat().filter(({ method }) => method?.startsWith("stream."))).toEqual([]);
    expect(await sidecar.call("trace.fetch", { traceId: result["traceId"] })).toMatchObject({ trace: { status: "completed" } });
  });

  it("leaves the host's tools to the host", async () => {
    const model = await startModel([[{ id: "c1", name: "show_map" }], "done"]);
    const sidecar = await startSidecar();
    const result = await sidecar.call("agent.chat.complete", at(model, { tools: [descriptor("show_map")] }));
    expect(result).toMatchObject({ toolCalls: [{ id: "c1", name: "show_map" }], finishReason: "tool_calls", turns: 1 });
    expect((result["toolCalls"] as object[])[0]).not.toHaveProperty("result");
  });

  it("answers a turn that fails with its failure, and one that was cancelled with cancelled", async () => {
    const broken = await startModel(async (_request, answer) => {
      await answer.respond(401, { error: { message: "bad key" } });
      return undefined;
    });
    const sidecar = await startSidecar();
    const { error } = await sidecar.request("agent.chat.complete", at(broken));
    expect(error).toMatchObject({
      code: -32005,
      kind: "turn_failed",
      data: { failure: { kind: "auth_failed", status: 401, retryable: false }, traceId: expect.anything() },
    });

    const hanging = await startModel(() => undefined);
    sidecar.send({ jsonrpc: "2.0", id: "c", method: "agent.chat.complete", params: at(hanging, { streamId: "mine" }) });
    const request = await hanging.nextRequest();
    await sidecar.call("agent.chat.cancel", { streamId: "mine" });
    expect((await sidecar.reply("c")).error).toMatchObject({ code: -32800, kind: "cancelled" });
    await request.closed;

    sidecar.send({ jsonrpc: "2.0", id: "d", method: "agent.chat.complete", params: at(hanging) });
    const second = await hanging.nextRequest();
    sidecar.send({ jsonrpc: "2.0", method: "$/cancelRequest", params: { id: "d" } });
    expect((await sidecar.reply("d")).error).toMatchObject({ code: -32800 });
    await second.closed;
  });

  it("does not hold up other calls of its session that came after it", async () => {
    const hanging = await startModel(() => undefined);
    const sidecar = await startSidecar();
    const { sessionId } = await sidecar.call("agent.session.create");
    sidecar.send({ jsonrpc: "2.0", id: "c", method: "agent.chat.complete", params: at(hanging, { sessionId, streamId: "mine" }) });
    await hanging.nextRequest();
    const { streamId } = await sidecar.call("agent.chat.stream", { provider: "echo", sessionId, messages: [{ role: "user", content: "next" }] });
    expect(await sidecar.call("agent.session.close", { sessionId })).toMatchObject({ isActive: false });
    await sidecar.call("agent.chat.cancel", { streamId: "mine" });
    expect((await sidecar.reply("c")).error).toMatchObject({ code: -32800 });
    expect((await sidecar.terminal(streamId as string)).params).toMatchObject({ ok: true });
  });
});
