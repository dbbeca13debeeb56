import { LLMock } from "@copilotkit/aimock";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import type { ChatMessage } from "../../src/contract/model.ts";
import { anthropic } from "../../src/providers/anthropic.ts";
import type { ModelEvent, ModelRequest, ProviderSettings } from "../../src/providers/provider.ts";
import { anthropicStream, type ModelServer, type SeenRequest, startModelServer } from "../support/model-server.ts";
import { ask, failureIn, textIn } from "./ask.ts";

let server: ModelServer | undefined;
afterEach(() => server?.close());

async function told(parts: readonly string[]): Promise<ModelEvent[]> {
  server = await startModelServer((_request, answer) => answer.sse(parts));
  return ask(anthropic, { baseUrl: server.url });
}

async function sent(request: Partial<ModelRequest>, settings: Partial<ProviderSettings> = {}): Promise<SeenRequest> {
  server = await startModelServer((_request, answer) => answer.sse(anthropicStream(["ok"])));
  expect(textIn(await ask(anthropic, { baseUrl: server.url, ...settings }, request))).toBe("ok");
  const [seen] = server.requests;
  if (seen === undefined) throw new Error("nothing was sent");
  return seen;
}

const event = (type: string, more: object = {}) => `event: ${type}\ndata: ${JSON.stringify({ type, ...more })}\n\n`;
const text = (words: string) => ({ type: "text", text: words });
const user = (content: ChatMessage["content"]): ChatMessage => ({ role: "user", content });

describe("the request of anthropic", () => {
  it("is a streamed message with its version and key", async () => {
    const seen = await sent({ temperature: 0.5 }, { apiKey: "sk-ant-test" });
    expect(seen).toMatchObject({ method: "POST", path: "/v1/messages" });
    expect(seen.headers).toMatchObject({ "x-api-key": "sk-ant-test", "anthropic-version": "2023-06-01" });
    expect(seen.headers).not.toHaveProperty("authorization");
    expect(seen.json).toEqual({
      model: "test-model",
      messages: [{ role: "user", content: [text("Hello")] }],
      max_tokens: 8192,
      temperature: 0.5,
      stream: true,
    });
  });

  it("goes to the base URL with or without /v1", async () => {
    server = await startModelServer((_request, answer) => answer.sse(anthropicStream(["ok"])));
    for (const path of ["", "/", "/v1", "/v1/", "/proxy/v1"]) await ask(anthropic, { baseUrl: server.url + path });
    expect(server.requests.map((request) => request.path)).toEqual([...Array<string>(4).fill("/v1/messages"), "/proxy/v1/messages"]);
  });

  it("keeps system apart, merges turns of one role, and puts tool results first", async () => {
    const messages: ChatMessage[] = [
      { role: "system", content: "Be brief" },
      user("Weather?"),
      user([text("In"), { type: "text", text: "" }, { type: "text", text: "Berlin" }] as ChatMessage["content"]),
      {
        role: "assistant",
        content: "",
        toolCalls: [
          { id: "functions.get:0", name: "get", arguments: { city: "Berlin" } },
          { id: "b", name: "get", arguments: {}, argumentsText: "{oops" },
        ],
      },
      { role: "tool", toolCallId: "functions.get:0", content: "rain" },
      user("and?"),
      { role: "tool", toolCallId: "b", content: "" },
      { role: "system", content: [{ type: "text", text: "Be kind" }] },
    ];
    expect((await sent({ messages, maxTokens: 50 })).json).toEqual({
      model: "test-model",
      system: "Be brief\n\nBe kind",
      max_tokens: 50,
      stream: true,
      messages: [
        { role: "user", content: [text("Weather?"), text("In"), text("Berlin")] },
        {
          role: "assistant",
          content: [
            { type: "tool_use", id: "functions_get_0", name: "get", input: { city: "Berlin" } },
            { type: "tool_use", id: "b", name: "get", input: {} },
          ],
        },
        {
          role: "user",
          content: [{ type: "tool_result", tool_use_id: "functions_get_0", content: [text("rain")] }, { type: "tool_result", tool_use_id: "b" }, text("and?")],
        },
      ],
    });
  });

  it("never sends empty text, nor white space at the end of an answer to go on with", async () => {
    const messages: ChatMessage[] = [user("a"), { role: "assistant", content: "  " }, user("b"), { role: "assistant", content: "So: \n" }];
    expect((await sent({ messages })).json).toMatchObject({
      messages: [
        { role: "user", content: [text("a"), text("b")] },
        { role: "assistant", content: [text("So:")] },
      ],
    });
  });

  it("translates images", async () => {
    const image = (url: string) => ({ type: "image_url" as const, image_url: { url } });
    const content = [image("data:image/png;base64,AAAA"), image("https://x.example/a.png"), image("data:image/svg+xml;charset=utf-8,%3Csvg%2F%3E")];
    expect((await sent({ messages: [user(content)] })).json).toMatchObject({
      messages: [
        {
          content: [
            { type: "image", source: { type: "base64", media_type: "image/png", data: "AAAA" } },
            { type: "image", source: { type: "url", url: "https://x.example/a.png" } },
            { type: "image", source: { type: "base64", media_type: "image/svg+xml", data: Buffer.from("<svg/>").toString("base64") } },
          ],
        },
      ],
    });
  });

  it("translates tools, and takes over providerOptions last", async () => {
    const parameters = { type: "object", properties: { city: { type: "string" } } };
    const seen = await sent({
      tools: [
        { type: "function", function: { name: "f", description: "does f", parameters } },
        { type: "function", function: { name: "g", parameters: {} } },
      ],
      providerOptions: { thinking: { type: "enabled", budget_tokens: 1024 }, stream: null, max_tokens: 9 },
    });
    expect(seen.json).toMatchObject({
      tools: [
        { name: "f", description: "does f", input_schema: parameters },
        { name: "g", input_schema: { type: "object" } },
      ],
      thinking: { type: "enabled", budget_tokens: 1024 },
      max_tokens: 9,
    });
    expect(seen.json).not.toHaveProperty("stream");
  });

  it.each([
    [[user("   ")], /no message/],
    [[{ role: "system", content: "only" }], /no message/],
    [[user([{ type: "image_url", image_url: { url: "file:///etc/passwd" } }])], /image/],
    [[user([{ type: "image_url", image_url: { url: "data:image/png,%zz" } }])], /well formed/],
    [[{ role: "system", content: [{ type: "image_url", image_url: { url: "https://x.example/a.png" } }] }, user("a")], /system/],
  ] satisfies [ChatMessage[], RegExp][])("that cannot be made is invalid_params: %j", async (messages, message) => {
    expect(failureIn(await ask(anthropic, { baseUrl: "http://127.0.0.1:9" }, { messages }))).toEqual({
      kind: "invalid_params",
      message: expect.stringMatching(message),
    });
  });
});

describe("the answer of anthropic", () => {
  it("is reasoning, text, calls, usage and the finish", async () => {
    const events = await told(
      anthropicStream(
        [
          { thinking: "let me " },
          { thinking: "see" },
          "Hel",
          "lo",
          { toolUse: { id: "toolu_1", name: "f", fragments: ["", '{"x"', ":1}"] } },
          { toolUse: { id: "toolu_2", name: "g", fragments: [] } },
        ],
        {
          stopReason: "tool_use",
          usage: { input_tokens: 10, cache_creation_input_tokens: 20, cache_read_input_tokens: 30, output_tokens: 1 },
          outputTokens: 7,
        },
      ),
    );
    expect(events.map((one) => (one.type === "text" || one.type === "reasoning" ? `${one.type}:${one.text}` : one.type))).toEqual([
      "reasoning:let me ",
      "reasoning:see",
      "text:Hel",
      "text:lo",
      "toolCall",
      "toolCall",
      "usage",
      "finish",
    ]);
    expect(events.slice(4)).toEqual([
      { type: "toolCall", call: { id: "toolu_1", name: "f", arguments: { x: 1 } } },
      { type: "toolCall", call: { id: "toolu_2", name: "g", arguments: {} } },
      { type: "usage", usage: { promptTokens: 60, completionTokens: 7, totalTokens: 67 } },
      { type: "finish", reason: "tool_calls" },
    ]);
  });

  it.each([
    ["end_turn", "stop"],
    ["stop_sequence", "stop"],
    ["max_tokens", "length"],
    ["tool_use", "tool_calls"],
    ["refusal", "content_filter"],
    ["pause_turn", "pause_turn"],
    ["constructor", "constructor"],
  ])("calls the stop reason %s %s", async (stopReason, reason) => {
    const said = stopReason === "tool_use" ? { toolUse: { id: "t", name: "f", fragments: [] } } : "a";
    expect((await told(anthropicStream([said], { stopReason }))).at(-1)).toEqual({ type: "finish", reason });
  });

  it("is malformed when it announces calls and names no tool: whoever has to answer them would wait for ever", async () => {
    expect(failureIn(await told(anthropicStream(["a"], { stopReason: "tool_use" })))).toEqual({
      kind: "malformed_response",
      message: "The model server announced tool calls, but sent none that name a tool",
    });
    const nameless = { toolUse: { id: "t", name: "", fragments: ["{}"] } };
    expect(failureIn(await told(anthropicStream([nameless], { stopReason: "tool_use" }))).kind).toBe("malformed_response");
  });

  it("takes counts of message_delta over those of message_start", async () => {
    const events = await told([
      event("message_start", { message: { usage: { input_tokens: 5, output_tokens: 1, cache_read_input_tokens: null } } }),
      event("message_delta", { delta: { stop_reason: "end_turn" }, usage: { input_tokens: 6, output_tokens: 9 } }),
      event("message_stop"),
    ]);
    expect(events[0]).toEqual({ type: "usage", usage: { promptTokens: 6, completionTokens: 9, totalTokens: 15 } });
  });

  it("takes input that a block begins with, and ignores tools that the server runs itself", async () => {
    const events = await told([
      event("content_block_start", { index: 0, content_block: { type: "server_tool_use", id: "s", name: "web_search", input: {} } }),
      event("content_block_delta", { index: 0, delta: { type: "input_json_delta", partial_json: '{"q":1}' } }),
      event("content_block_start", { index: 1, content_block: { type: "tool_use", id: "t", name: "f", input: { x: 1 } } }),
      event("something_new", { index: 1 }),
      event("message_stop"),
    ]);
    expect(events).toEqual([
      { type: "toolCall", call: { id: "t", name: "f", arguments: { x: 1 } } },
      { type: "finish", reason: "tool_calls" },
    ]);
  });

  it("is truncated without message_stop", async () => {
    const events = await told(anthropicStream(["Hello"], { stop: false }));
    expect(failureIn(events).kind).toBe("truncated");
    expect(textIn(events)).toBe("Hello");
  });

  it("may be tried again when the server was overloaded before it spoke", async () => {
    const error = event("error", { error: { type: "overloaded_error", message: "Overloaded" } });
    const [start = ""] = anthropicStream([]);
    expect(failureIn(await told([start, error]))).toEqual({
      kind: "upstream_error",
      message: "The model server reported an error: Overloaded",
      retryable: true,
    });
    await server?.close();
    expect(failureIn(await told([...anthropicStream(["Hello"], { stopReason: null, stop: false }), error]))).not.toHaveProperty("retryable");
    await server?.close();
    expect(failureIn(await told([start, event("error", { error: { type: "api_error", message: "Internal" } })]))).not.toHaveProperty("retryable");
  });

  it.each(["data: {oops\n\n", "event: message_start\ndata: 5\n\n"])("fails with malformed_response on %j", async (line) => {
    expect(failureIn(await told([line])).kind).toBe("malformed_response");
  });

  it("does not count pings as a sign of life", async () => {
    server = await startModelServer(async (_request, answer) => {
      await answer.head(200);
      // Until the connection is closed: writing then rejects.
      for (;;) {
        await answer.chunk('event: ping\ndata: {"type": "ping"}\n\ndata: {"type": "ping"}\n\n');
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
    });
    expect(failureIn(await ask(anthropic, { baseUrl: server.url, idleTimeoutMs: 100 })).kind).toBe("timeout");
  });

  it("may be one JSON document", async () => {
    const message = {
      type: "message",
      content: [{ type: "thinking", thinking: "hm" }, text("Hi"), { type: "tool_use", id: "t", name: "f", input: { x: 1 } }],
      stop_reason: "tool_use",
      usage: { input_tokens: 1, output_tokens: 2 },
    };
    server = await startModelServer((_request, answer) => answer.respond(200, message));
    expect(await ask(anthropic, { baseUrl: server.url })).toEqual([
      { type: "reasoning", text: "hm" },
      { type: "text", text: "Hi" },
      { type: "toolCall", call: { id: "t", name: "f", arguments: { x: 1 } } },
      { type: "usage", usage: { promptTokens: 1, completionTokens: 2, totalTokens: 3 } },
      { type: "finish", reason: "tool_calls" },
    ]);
  });

  it.each([
    ['{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}', { kind: "upstream_error", retryable: true }],
    ['{"choices":[]}', { kind: "malformed_response" }],
  ])("fails on the document %s", async (body, failure) => {
    server = await startModelServer((_request, answer) => answer.respond(200, body, { "content-type": "application/json" }));
    expect(failureIn(await ask(anthropic, { baseUrl: server.url }))).toMatchObject(failure);
  });
});

describe("anthropic against a mock of the real API", () => {
  const mock = new LLMock({ port: 0 });
  const settings = () => ({ baseUrl: mock.url, apiKey: "mock-key" });
  beforeAll(async () => {
    // The first that matches answers, and the question is still there beside the result.
    mock.onToolResult("toolu_1", { content: "It rains." });
    mock.onMessage("hello", { content: "Hi there, how are you? 👋", reasoning: "They greet me." });
    mock.onMessage("weather", { toolCalls: [{ name: "get_weather", arguments: { city: "Berlin" } }] });
    await mock.start();
  });
  afterAll(() => mock.stop());

  it("streams reasoning and text with usage", async () => {
    const events = await ask(anthropic, settings(), { messages: [user("hello")] });
    expect(textIn(events, "reasoning")).toBe("They greet me.");
    expect(textIn(events)).toBe("Hi there, how are you? 👋");
    expect(events.slice(-2)).toEqual([
      { type: "usage", usage: expect.objectContaining({ totalTokens: expect.any(Number) }) },
      { type: "finish", reason: "stop" },
    ]);
  });

  it("gets tool calls, and an answer to their results", async () => {
    const tools = [{ type: "function" as const, function: { name: "get_weather", parameters: { type: "object" } } }];
    const events = await ask(anthropic, settings(), { messages: [user("weather")], tools });
    expect(events.filter((one) => one.type === "toolCall")).toMatchObject([{ call: { name: "get_weather", arguments: { city: "Berlin" } } }]);
    expect(events.at(-1)).toEqual({ type: "finish", reason: "tool_calls" });

    const messages: ChatMessage[] = [
      user("weather"),
      { role: "assistant", content: "", toolCalls: [{ id: "toolu_1", name: "get_weather", arguments: {} }] },
      { role: "tool", toolCallId: "toolu_1", content: "rain" },
    ];
    expect(textIn(await ask(anthropic, settings(), { messages, tools }))).toBe("It rains.");
  });

  it("tells errors", async () => {
    mock.nextRequestError(529, { message: "Overloaded", type: "overloaded_error" });
    expect(failureIn(await ask(anthropic, settings(), { messages: [user("hello")] }))).toMatchObject({
      kind: "upstream_failed",
      status: 529,
      message: expect.stringContaining("Overloaded"),
    });
  });
});
