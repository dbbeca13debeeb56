import { describe, expect, it, onTestFinished } from "vitest";
import { selfSignedCertificate } from "../support/certificate.ts";
import { anthropicStream, type Handler, openaiStream, startModelServer } from "../support/model-server.ts";
import { type Frame, startSidecar, type TestSidecar } from "../support/sidecar.ts";

const KEY = "sk-live-0123456789abcdefghij";
/** Retries without the wait. */
const quick = { STEERABLE_PROVIDERS_OPENAI_RETRY_BASE_MS: "5", STEERABLE_PROVIDERS_ANTHROPIC_RETRY_BASE_MS: "5" };

async function serve(handler: Handler, tls?: { key: string; cert: string }) {
  const server = await startModelServer(handler, tls === undefined ? {} : { tls });
  onTestFinished(() => server.close());
  return server;
}

function ask(sidecar: TestSidecar, baseUrl: string, more: object = {}): Promise<string> {
  return sidecar.stream({ provider: "openai", model: "m", baseUrl, apiKey: KEY, messages: [{ role: "user", content: "hi" }], ...more });
}

/** Exactly one terminal, behind everything else; and no key anywhere. */
async function ended(sidecar: TestSidecar, streamId: string): Promise<Frame> {
  const terminal = await sidecar.terminal(streamId);
  await sidecar.call("system.ping");
  const frames = sidecar.notifications(streamId);
  expect(frames.filter((frame) => frame.method !== "stream.chunk")).toEqual([terminal]);
  expect(frames.at(-1)).toBe(terminal);
  const { trace } = await sidecar.call<{ trace: Record<string, unknown> }>("trace.fetch", { traceId: terminal.params?.["traceId"] });
  expect(trace["status"]).toBe(terminal.method === "stream.error" ? "error" : terminal.params?.["ok"] === true ? "completed" : "cancelled");
  expect(sidecar.lines.join("\n") + sidecar.stderr).not.toContain(KEY);
  return terminal;
}

const sse = { "content-type": "text/event-stream" };
const [opening = "", hello = ""] = openaiStream(["hello"]);

describe("a model server that", () => {
  const cases: [what: string, handler: Handler, expected: object, text: string][] = [
    [
      "refuses the key",
      (_request, answer) => answer.respond(401, { error: { message: `Incorrect API key provided: ${KEY}` } }),
      { kind: "auth_failed", status: 401, retryable: false },
      "",
    ],
    [
      "refuses the request",
      (_request, answer) => answer.respond(400, { error: { message: "no such model" } }),
      { kind: "upstream_rejected", status: 400, message: expect.stringContaining("no such model") },
      "",
    ],
    ["fails for good", (_request, answer) => answer.respond(503, "down"), { kind: "upstream_failed", status: 503, retryable: true }, ""],
    ["is out of quota for good", (_request, answer) => answer.respond(429, { error: { message: "slow down" } }), { kind: "rate_limited", status: 429 }, ""],
    [
      "reports an error inside a 200",
      (_request, answer) => answer.sse([opening, hello, 'data: {"error":{"message":"it broke"}}\n\n']),
      { kind: "upstream_error", message: expect.stringContaining("it broke") },
      "hello",
    ],
    ["sends a chunk that is not JSON", (_request, answer) => answer.sse([opening, hello, "data: {nope\n\n"]), { kind: "malformed_response" }, "hello"],
    ["stops in the middle", (_request, answer) => answer.sse([opening, hello]), { kind: "truncated" }, "hello"],
    [
      "breaks the connection in the middle",
      async (_request, answer) => {
        await answer.head(200, sse);
        await answer.chunk(opening + hello);
        answer.reset();
      },
      { kind: "truncated" },
      "hello",
    ],
    ["redirects elsewhere", (_request, answer) => answer.respond(307, "", { location: "http://127.0.0.1:1/steal" }), { kind: "redirect_refused" }, ""],
    ["sends a page", (_request, answer) => answer.respond(200, "<html>login</html>", { "content-type": "text/html" }), { kind: "malformed_response" }, ""],
    ["does not speak HTTP", (_request, answer) => answer.raw("SSH-2.0-OpenSSH\r\n"), { kind: "malformed_response" }, ""],
  ];

  it.each(cases)("%s ends the stream once, with its own kind", async (_what, handler, expected, text) => {
    const server = await serve(handler);
    const sidecar = await startSidecar({ env: quick });
    const streamId = await ask(sidecar, server.url);
    expect(await ended(sidecar, streamId)).toMatchObject({ method: "stream.error", params: expected });
    expect(sidecar.text(streamId)).toBe(text);
  });

  it("is not there, has no such name, or cannot prove who it is, is told apart", async () => {
    const gone = await serve(() => undefined);
    await gone.close();
    const secure = await serve((_request, answer) => answer.sse(openaiStream(["never"])), selfSignedCertificate());
    const sidecar = await startSidecar({ env: quick });
    expect(await ended(sidecar, await ask(sidecar, gone.url))).toMatchObject({ params: { kind: "connect_failed", retryable: true } });
    // No name can have an empty part, so that nobody is asked for it.
    expect(await ended(sidecar, await ask(sidecar, "http://model..invalid/v1"))).toMatchObject({ params: { kind: "dns_failed" } });
    expect(await ended(sidecar, await ask(sidecar, secure.url))).toMatchObject({ params: { kind: "tls_failed", retryable: false } });
  });

  it("is silent but for comments ends the stream with kind timeout, text kept", async () => {
    const server = await serve(async (request, answer) => {
      await answer.head(200, sse);
      await answer.chunk(opening + hello);
      const comments = setInterval(() => void answer.chunk(": still here\n\n").catch(() => undefined), 20);
      await request.closed;
      clearInterval(comments);
    });
    const sidecar = await startSidecar();
    const streamId = await ask(sidecar, server.url, { idleTimeoutMs: 2_000 });
    expect(await ended(sidecar, streamId)).toMatchObject({ params: { kind: "timeout" } });
    expect(sidecar.text(streamId)).toBe("hello");
  });

  it("fails twice is asked three times, and no more", async () => {
    let asked = 0;
    const server = await serve((_request, answer) => (++asked < 3 ? answer.respond(500, "no") : answer.sse(openaiStream(["third time"]))));
    const sidecar = await startSidecar({ env: quick });
    const streamId = await ask(sidecar, server.url);
    expect((await ended(sidecar, streamId)).method).toBe("stream.done");
    expect(sidecar.text(streamId)).toBe("third time");
    asked = -1000;
    await ended(sidecar, await ask(sidecar, server.url));
    expect(server.requests).toHaveLength(6);
  });

  it("says how long to wait is waited for, and not asked again after the first delta", async () => {
    const times: number[] = [];
    const server = await serve((request, answer) => {
      times.push(performance.now());
      if (request.path.startsWith("/late")) return answer.sse([opening, hello, 'data: {"error":{"message":"overloaded"}}\n\n']);
      return times.length === 1 ? answer.respond(429, "wait", { "retry-after": "1" }) : answer.sse(openaiStream(["ok"]));
    });
    const sidecar = await startSidecar({ env: quick });
    expect((await ended(sidecar, await ask(sidecar, server.url))).method).toBe("stream.done");
    expect((times[1] ?? 0) - (times[0] ?? 0)).toBeGreaterThanOrEqual(990);
    await ended(sidecar, await ask(sidecar, `${server.url}/late`));
    expect(server.requests).toHaveLength(3);
  });

  it("asks for a longer wait than a minute is not asked again: the host is told how long", async () => {
    const server = await serve((_request, answer) => answer.respond(429, "come back later", { "retry-after": "120" }));
    const sidecar = await startSidecar({ env: quick });
    expect(await ended(sidecar, await ask(sidecar, server.url))).toMatchObject({ params: { kind: "rate_limited", retryAfterMs: 120_000, retryable: true } });
    expect(server.requests).toHaveLength(1);
  });

  it("goes on for ever is cut off at once when the host cancels, also while it is waited for", async () => {
    const server = await serve(async (request, answer) => {
      if (request.path.startsWith("/silent")) return;
      await answer.head(200, sse);
      await answer.chunk(opening);
      for (;;) await answer.chunk(hello);
    });
    const sidecar = await startSidecar();
    for (const path of ["/endless", "/silent"]) {
      const streamId = await ask(sidecar, server.url + path);
      const request = await server.nextRequest();
      if (path === "/endless") await sidecar.notification("stream.chunk", (params) => params["streamId"] === streamId);
      const cancelled = performance.now();
      await sidecar.call("agent.chat.cancel", { streamId });
      await request.closed;
      // 200 ms is the promise; the rest is for a machine that is busy with other tests. Silence alone would be waited for longer.
      expect(performance.now() - cancelled).toBeLessThan(20_000);
      expect((await ended(sidecar, streamId)).params).toMatchObject({ ok: false, cancelled: true });
    }
  });

  it("hangs up on one stream harms no other", async () => {
    const server = await serve(async (request, answer) => {
      if (request.body.includes("bad")) return answer.reset();
      await answer.sse(openaiStream(Array.from({ length: 200 }, (_, index) => `w${index} `)));
    });
    const sidecar = await startSidecar({ env: quick });
    const ids = await Promise.all(
      Array.from({ length: 40 }, (_, index) => ask(sidecar, server.url, { messages: [{ role: "user", content: index % 2 === 0 ? "good" : "bad" }] })),
    );
    for (const [index, id] of ids.entries()) {
      expect((await sidecar.terminal(id)).method).toBe(index % 2 === 0 ? "stream.done" : "stream.error");
      if (index % 2 === 0) expect(sidecar.text(id)).toMatch(/^w0 w1 .* w199 $/);
    }
  });
});

describe("a call to a model", () => {
  it("goes through the proxy of the environment, but never to a server on this machine", async () => {
    const proxy = await serve((_request, answer) => answer.sse(openaiStream(["through the proxy"])));
    const local = await serve((_request, answer) => answer.sse(openaiStream(["directly"])));
    const sidecar = await startSidecar({ env: { HTTP_PROXY: proxy.url } });
    const far = await ask(sidecar, "http://model.invalid/v1");
    const near = await ask(sidecar, local.url);
    await Promise.all([ended(sidecar, far), ended(sidecar, near)]);
    expect([sidecar.text(far), sidecar.text(near)]).toEqual(["through the proxy", "directly"]);
    expect(proxy.requests.map((request) => request.path)).toEqual(["http://model.invalid/v1/chat/completions"]);
  });

  it("carries key, model, messages, tools and options, to either kind of server", async () => {
    const openai = await serve((_request, answer) => answer.sse(openaiStream(["ok"], { usage: { prompt_tokens: 1, completion_tokens: 2, total_tokens: 3 } })));
    const anthropic = await serve((_request, answer) => answer.sse(anthropicStream(["ok"])));
    const sidecar = await startSidecar({
      env: { OPENAI_API_KEY: "sk-from-the-environment", STEERABLE_PROVIDERS_ANTHROPIC_API_KEY: "sk-ant-from-the-configuration" },
    });
    const tools = [{ type: "function", function: { name: "f", description: "d", parameters: { type: "object", properties: {} } } }];
    const messages = [
      { role: "system", content: "Be brief." },
      { role: "user", content: "hi" },
      { role: "assistant", content: null, toolCalls: [{ id: "c1", name: "f", arguments: { a: 1 } }] },
      { role: "tool", toolCallId: "c1", content: "done" },
    ];
    const common = { model: "m", messages, tools, temperature: 0.5, maxTokens: 7, providerOptions: { top_p: 0.9 } };
    const first = await sidecar.stream({ provider: "openai_compat", baseUrl: `${openai.url}/v1/`, ...common });
    expect((await sidecar.terminal(first)).params).toMatchObject({
      ok: true,
      finishReason: "stop",
      usage: { promptTokens: 1, completionTokens: 2, totalTokens: 3 },
    });
    const seen = await openai.nextRequest();
    expect([seen.method, seen.path, seen.headers["authorization"]]).toEqual(["POST", "/v1/chat/completions", "Bearer sk-from-the-environment"]);
    expect(seen.json).toMatchObject({
      model: "m",
      stream: true,
      stream_options: { include_usage: true },
      temperature: 0.5,
      max_tokens: 7,
      top_p: 0.9,
      tools,
      messages: [
        { role: "system" },
        { role: "user", content: "hi" },
        { role: "assistant", tool_calls: [{ id: "c1", type: "function", function: { name: "f", arguments: '{"a":1}' } }] },
        { role: "tool", tool_call_id: "c1", content: "done" },
      ],
    });

    const second = await sidecar.stream({ provider: "claude", baseUrl: anthropic.url, ...common });
    expect((await sidecar.terminal(second)).params).toMatchObject({ ok: true, finishReason: "stop" });
    const message = await anthropic.nextRequest();
    expect([message.path, message.headers["x-api-key"]]).toEqual(["/v1/messages", "sk-ant-from-the-configuration"]);
    expect(message.json).toMatchObject({
      model: "m",
      system: expect.anything(),
      max_tokens: 7,
      stream: true,
      tools: [{ name: "f", input_schema: { type: "object" } }],
    });
    expect(sidecar.lines.join("") + sidecar.stderr).not.toMatch(/from-the-/);
    expect((await sidecar.call("system.ping"))["loadedProviders"]).toEqual(["openai", "anthropic"]);
  });
});
