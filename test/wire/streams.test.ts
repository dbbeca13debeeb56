import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { openaiStream, startModelServer } from "../support/model-server.ts";
import { type Frame, startSidecar, temporaryFolder, type TestSidecar } from "../support/sidecar.ts";

const user = (content: string) => [{ role: "user", content }];

/** A sidecar whose `scripted` provider plays the given turns. */
async function scripted(turns: unknown[], config = ""): Promise<TestSidecar> {
  const folder = temporaryFolder();
  writeFileSync(join(folder, "script.json"), JSON.stringify({ turns }));
  writeFileSync(join(folder, "config.yaml"), `storagePath: ":memory:"\nproviders: { scripted: { script: script.json } }\n${config}`);
  return startSidecar({ args: ["--config", join(folder, "config.yaml")] });
}

function expectWellFormed(frames: Frame[]): void {
  expect(frames.map((frame) => frame.params?.["seq"])).toEqual(frames.map((_, index) => index));
  expect(frames.filter((frame) => frame.method !== "stream.chunk")).toHaveLength(1);
  expect(frames.at(-1)?.method).not.toBe("stream.chunk");
}

describe("a stream", () => {
  it("is acknowledged before its first chunk, is numbered without a gap and ends once", async () => {
    const sidecar = await startSidecar();
    const streamId = await sidecar.stream({ provider: "echo", messages: user("one two three") });
    const done = await sidecar.terminal(streamId);
    expect(streamId).toMatch(/^str_\w{16,}$/);
    const reply = sidecar.frames.findIndex((frame) => (frame as Frame).id !== undefined);
    const first = sidecar.frames.findIndex((frame) => (frame as Frame).method === "stream.chunk");
    expect(reply).toBeLessThan(first);
    expectWellFormed(sidecar.notifications(streamId));
    expect(sidecar.text(streamId)).toBe("one two three");
    expect(done).toMatchObject({
      method: "stream.done",
      params: { ok: true, finishReason: "stop", usage: { totalTokens: expect.any(Number) }, traceId: expect.stringMatching(/^tr_/) },
    });
    expect(done.params).not.toHaveProperty("cancelled");
  });

  it("may be named by the host, once at a time", async () => {
    const sidecar = await scripted([{ events: [{ delta: "a" }, { delayMs: 60_000 }] }]);
    const params = { provider: "scripted", streamId: "s_42", messages: user("x") };
    expect(await sidecar.stream(params)).toBe("s_42");
    expect((await sidecar.request("agent.chat.stream", params)).error).toMatchObject({ code: -32602 });
    await sidecar.call("agent.chat.cancel", { streamId: "s_42" });
    await sidecar.terminal("s_42");
    expect(await sidecar.stream({ ...params, provider: "echo" })).toBe("s_42");
  });

  it("that is cancelled ends as cancelled, whatever the model does, and cancelling again does nothing", async () => {
    const sidecar = await scripted([{ events: [{ delta: "so far" }, { delayMs: 600_000 }, { delta: "never" }] }]);
    const streamId = await sidecar.stream({ provider: "scripted", messages: user("x") });
    await sidecar.notification("stream.chunk");
    expect(await sidecar.request("agent.chat.cancel", { streamId })).toHaveProperty("result", null);
    expect((await sidecar.terminal(streamId)).params).toMatchObject({ ok: false, cancelled: true });
    expect(await sidecar.request("agent.chat.cancel", { streamId })).toHaveProperty("result", null);
    expect(await sidecar.request("agent.chat.cancel", { streamId: "never was" })).toHaveProperty("result", null);
    await sidecar.call("system.ping");
    expectWellFormed(sidecar.notifications(streamId));
    expect(sidecar.text(streamId)).toBe("so far");
  });

  it("that waits for its turn can be cancelled without waiting", async () => {
    const sidecar = await scripted([{ events: [{ delta: "first" }, { delayMs: 600_000 }] }]);
    await sidecar.call("agent.session.create", { sessionId: "s" });
    const running = await sidecar.stream({ provider: "scripted", sessionId: "s", messages: user("1") });
    const waiting = await sidecar.stream({ provider: "echo", sessionId: "s", messages: user("2") });
    await sidecar.call("agent.chat.cancel", { streamId: waiting });
    expect((await sidecar.terminal(waiting)).params).toMatchObject({ cancelled: true });
    expect(sidecar.notifications(running).some((frame) => frame.method !== "stream.chunk")).toBe(false);
  });

  it("carries reasoning, whole tool calls, usage and the reason of its end", async () => {
    const call = { id: "call_1", name: "get_weather", arguments: { city: "Oslo" } };
    const usage = { promptTokens: 3, completionTokens: 4, totalTokens: 7 };
    const sidecar = await scripted([
      { events: [{ reasoningDelta: "hm" }, { delta: "Let me see" }, { toolCall: call }, { usage }, { finishReason: "tool_calls" }] },
    ]);
    const streamId = await sidecar.stream({ provider: "scripted", messages: user("weather?") });
    await sidecar.terminal(streamId);
    const bodies = sidecar.notifications(streamId).map(({ params }) => {
      const { streamId: _, seq: __, traceId: ___, ...body } = params ?? {};
      return body;
    });
    expect(bodies).toEqual([
      { reasoningDelta: "hm" },
      { delta: "Let me see" },
      { toolCall: call },
      { finishReason: "tool_calls", usage },
      { ok: true, finishReason: "tool_calls", usage, costUsd: 0, turns: 1 },
    ]);
  });

  it("lets a host go on after a tool: calls and results are kept and sent along", async () => {
    const call = { id: "call_1", name: "get_weather", arguments: { city: "Oslo" } };
    const sidecar = await scripted([{ events: [{ toolCall: call }] }, { events: [{ delta: "It snows." }] }]);
    await sidecar.call("agent.session.create", { sessionId: "s" });
    await sidecar.terminal(await sidecar.stream({ provider: "scripted", sessionId: "s", messages: user("weather?") }));
    const second = await sidecar.stream({ provider: "scripted", sessionId: "s", messages: [{ role: "tool", toolCallId: "call_1", content: "snow" }] });
    await sidecar.terminal(second);
    expect(sidecar.text(second)).toBe("It snows.");
    const { messages } = await sidecar.call<{ messages: unknown[] }>("agent.session.get", { sessionId: "s" });
    expect(messages).toMatchObject([
      { role: "user" },
      { role: "assistant", content: "", toolCalls: [call] },
      { role: "tool", toolCallId: "call_1", content: "snow" },
      { role: "assistant", content: "It snows." },
    ]);
  });

  it("that fails says why, keeps its text, and leaves the session usable", async () => {
    const sidecar = await scripted([
      { events: [{ delta: "half" }, { error: { kind: "upstream_error", message: "it broke, key sk-abcdef0123456789" } }] },
      { events: [{ delta: "whole" }] },
    ]);
    await sidecar.call("agent.session.create", { sessionId: "s" });
    const streamId = await sidecar.stream({ provider: "scripted", sessionId: "s", messages: user("1") });
    expect(await sidecar.terminal(streamId)).toMatchObject({
      method: "stream.error",
      params: { kind: "upstream_error", message: expect.stringContaining("it broke"), retryable: false, traceId: expect.any(String) },
    });
    expect(JSON.stringify(sidecar.frames) + sidecar.stderr).not.toContain("sk-abcdef");
    const next = await sidecar.stream({ provider: "scripted", sessionId: "s", messages: user("2") });
    expect((await sidecar.terminal(next)).method).toBe("stream.done");
    const { messages } = await sidecar.call<{ messages: unknown[] }>("agent.session.get", { sessionId: "s" });
    expect(messages).toMatchObject([
      { content: "1", turnStatus: "error" },
      { content: "half", partial: true, turnStatus: "error" },
      { content: "2" },
      { content: "whole", partial: false },
    ]);
  });

  it("is refused before it begins when its params do not fit, naming what is wrong", async () => {
    const sidecar = await startSidecar();
    const cases: [object, RegExp][] = [
      [{ provider: "bogus", model: "x", messages: user("x") }, /Unknown provider "bogus"/],
      [{ provider: "openai", messages: user("x"), baseUrl: "http://127.0.0.1:1" }, /needs a model/],
      [{ provider: "openai", model: "m", messages: user("x") }, /No API key.*OPENAI_API_KEY/],
      [{ provider: "echo", messages: [] }, /^messages/],
      [{ provider: "echo", messages: [{ role: "wizard", content: "spell" }] }, /^messages\[0\]\.role/],
      [{ provider: "echo", messages: [{ role: "tool", content: "x" }] }, /^messages\[0\]\.toolCallId/],
      [{ provider: "openai", model: "m", baseUrl: "ftp://x", messages: user("x") }, /^baseUrl/],
      [{ provider: "echo", messages: user("x"), sessionId: "" }, /^sessionId/],
    ];
    for (const [params, message] of cases) {
      const { error } = await sidecar.request("agent.chat.stream", params);
      expect(error).toMatchObject({ code: -32602, kind: "invalid_params" });
      expect(error?.message).toMatch(message);
    }
  });

  it("has its text arrive whole, with any characters in it", async () => {
    const sidecar = await startSidecar();
    const text = `\u0000\u001f"\\/ \u2028\u2029 é 😀 ${"𝔘".repeat(3000)} \ud800 end`;
    const streamId = await sidecar.stream({ provider: "echo", messages: user(text) });
    await sidecar.terminal(streamId);
    expect(sidecar.text(streamId)).toBe(text.replace("\ud800", "\ufffd"));
  });
});

describe("many streams at once", () => {
  it("do not mix, and leave ping answering", { timeout: 120_000 }, async () => {
    const sidecar = await startSidecar();
    const texts = Array.from({ length: 200 }, (_, index) => `stream ${index} `.repeat(50));
    const ids = await Promise.all(texts.map((text) => sidecar.stream({ provider: "echo", messages: user(text) })));
    expect((await sidecar.call("system.ping"))["status"]).toBe("ok");
    await Promise.all(ids.map((id) => sidecar.terminal(id)));
    for (const [index, id] of ids.entries()) {
      expect(sidecar.text(id)).toBe(texts[index]);
      expectWellFormed(sidecar.notifications(id));
    }
  });
});

describe.skipIf(process.platform !== "linux")("a host that does not read", () => {
  it("costs less than 64 MiB while 60 MB are streamed at it, and finds every byte when it reads", { timeout: 120_000 }, async () => {
    const delta = "0123456789abcdef".repeat(64);
    const perStream = 7_500;
    const streams = 8;
    const one = openaiStream([delta])[1] as string;
    const block = one.repeat(100);
    const server = await startModelServer(async (_request, answer) => {
      await answer.head(200, { "content-type": "text/event-stream" });
      for (let sent = 0; sent < perStream; sent += 100) await answer.chunk(block);
      for (const event of openaiStream([]).slice(1)) await answer.chunk(event);
      await answer.end();
    });
    onTestFinished(() => server.close());
    const sidecar = await startSidecar({ unread: true });
    const rss = () => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${sidecar.child.pid}/status`, "utf8"))?.[1]) / 1024;
    const idle = rss();
    for (let id = 0; id < streams; id++) {
      sidecar.send({
        jsonrpc: "2.0",
        id,
        method: "agent.chat.stream",
        params: { provider: "openai", model: "m", baseUrl: server.url, streamId: `s${id}`, messages: user("go") },
      });
    }
    let peak = idle;
    for (let tick = 0; tick < 100; tick++) {
      await new Promise((resolve) => setTimeout(resolve, 20));
      peak = Math.max(peak, rss());
    }
    expect(peak - idle).toBeLessThan(64);
    // Nothing was thrown away: once the host reads, everything comes.
    sidecar.read();
    for (let id = 0; id < streams; id++) {
      expect((await sidecar.terminal(`s${id}`)).method).toBe("stream.done");
      expect(sidecar.text(`s${id}`) === delta.repeat(perStream)).toBe(true);
      expectWellFormed(sidecar.notifications(`s${id}`));
    }
  });
});
