import { LLMock } from "@copilotkit/aimock";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import type { ChatMessage, ToolDescriptor } from "../../src/contract/model.ts";
import { openai } from "../../src/providers/openai.ts";
import type { ModelEvent, ModelRequest, ProviderSettings } from "../../src/providers/provider.ts";
import { type ModelServer, openaiStream, type SeenRequest, startModelServer } from "../support/model-server.ts";
import { ask, failureIn, joined, textIn } from "./ask.ts";

let server: ModelServer | undefined;
afterEach(() => server?.close());

/** What the provider makes of a stream of these bytes. */
async function told(parts: readonly string[], settings: Partial<ProviderSettings> = {}): Promise<ModelEvent[]> {
  server = await startModelServer((_request, answer) => answer.sse(parts));
  return ask(openai, { baseUrl: `${server.url}/v1`, ...settings });
}

/** The request that the server sees. */
async function sent(request: Partial<ModelRequest>, settings: Partial<ProviderSettings> = {}): Promise<SeenRequest> {
  server = await startModelServer((_request, answer) => answer.sse(openaiStream(["ok"])));
  const events = await ask(openai, { baseUrl: `${server.url}/v1`, ...settings }, request);
  expect(textIn(events)).toBe("ok");
  const [seen] = server.requests;
  if (seen === undefined) throw new Error("nothing was sent");
  return seen;
}

const data = (value: unknown) => `data: ${JSON.stringify(value)}\n\n`;
const choice = (delta: object, finish_reason: string | null = null) => data({ choices: [{ index: 0, delta, finish_reason }] });
const DONE = "data: [DONE]\n\n";
const tool: ToolDescriptor = {
  type: "function",
  function: { name: "get_weather", description: "Weather", parameters: { type: "object", properties: { city: { type: "string" } } } },
};

describe("the request of openai", () => {
  it("is a streamed chat completion with usage", async () => {
    const seen = await sent({ temperature: 0.5, maxTokens: 100, tools: [tool] }, { apiKey: " sk-test-key \n" });
    expect(seen).toMatchObject({ method: "POST", path: "/v1/chat/completions" });
    expect(seen.headers).toMatchObject({ authorization: "Bearer sk-test-key", "content-type": "application/json" });
    expect(seen.json).toEqual({
      model: "test-model",
      messages: [{ role: "user", content: "Hello" }],
      stream: true,
      stream_options: { include_usage: true },
      temperature: 0.5,
      max_tokens: 100,
      tools: [tool],
    });
  });

  it("has no Authorization without a key, and no empty tools", async () => {
    const seen = await sent({ tools: [] });
    expect(seen.headers).not.toHaveProperty("authorization");
    expect(seen.json).not.toHaveProperty("tools");
  });

  it("carries calls, results, names and parts as the API spells them", async () => {
    const messages: ChatMessage[] = [
      { role: "system", content: "Be brief" },
      {
        role: "user",
        name: "ann",
        content: [
          { type: "text", text: "What is this?" },
          { type: "image_url", image_url: { url: "data:image/png;base64,AAAA", detail: "low" } },
        ],
      },
      {
        role: "assistant",
        content: "",
        toolCalls: [
          { id: "call_1", name: "look", arguments: { at: "it" } },
          { id: "call_2", name: "look", arguments: {}, argumentsText: "{oops" },
        ],
      },
      { role: "tool", toolCallId: "call_1", content: "a cat" },
    ];
    expect((await sent({ messages })).json).toMatchObject({
      messages: [
        messages[0],
        messages[1],
        {
          role: "assistant",
          content: null,
          tool_calls: [
            { id: "call_1", type: "function", function: { name: "look", arguments: '{"at":"it"}' } },
            { id: "call_2", type: "function", function: { name: "look", arguments: "{}" } },
          ],
        },
        { role: "tool", tool_call_id: "call_1", content: "a cat" },
      ],
    });
  });

  it("takes over providerOptions last, where null deletes", async () => {
    const seen = await sent({
      maxTokens: 5,
      providerOptions: { stream_options: null, max_tokens: null, max_completion_tokens: 7, model: "other", seed: 0 },
    });
    expect(seen.json).toEqual({
      model: "other",
      messages: [{ role: "user", content: "Hello" }],
      stream: true,
      max_completion_tokens: 7,
      seed: 0,
    });
  });

  it("replaces halves of characters, which strict servers refuse", async () => {
    const seen = await sent({ messages: [{ role: "user", content: "a\ud83d b 😀 \\ud83d" }] });
    expect(seen.json).toMatchObject({ messages: [{ content: "a\uFFFD b 😀 \\ud83d" }] });
  });

  it("goes to the base URL with its path and query, whatever its slashes", async () => {
    server = await startModelServer((_request, answer) => answer.sse(openaiStream(["ok"])));
    for (const path of ["", "/", "/v1", "/v1//", "/deployments/x?api-version=1"]) await ask(openai, { baseUrl: server.url + path });
    expect(server.requests.map((request) => request.path)).toEqual([
      "/chat/completions",
      "/chat/completions",
      "/v1/chat/completions",
      "/v1/chat/completions",
      "/deployments/x/chat/completions?api-version=1",
    ]);
  });

  it("signs in with the user and password of the base URL, which no failure shows", async () => {
    server = await startModelServer((request, answer) => answer.respond(401, { error: `bad ${request.headers["authorization"]} of hunter2hunter2` }));
    const failure = failureIn(await ask(openai, { baseUrl: server.url.replace("//", "//ann:hunter2hunter2@") }));
    expect(server.requests[0]?.headers["authorization"]).toBe(`Basic ${Buffer.from("ann:hunter2hunter2").toString("base64")}`);
    expect(failure.kind).toBe("auth_failed");
    expect(failure.message).not.toContain("hunter2");
  });

  it.each([
    [{ apiKey: "sk-\u00e4\u00f6" }, /API key/],
    [{ apiKey: "sk-a\nx: y" }, /API key/],
    [{ baseUrl: "not a url" }, /base URL/],
    [{ baseUrl: "ftp://x.example" }, /base URL/],
  ])("that cannot be made is invalid_params: %j", async (settings, message) => {
    const failure = failureIn(await ask(openai, { baseUrl: "http://127.0.0.1:9", ...settings }));
    expect(failure).toEqual({ kind: "invalid_params", message: expect.stringMatching(message) });
    expect(failure.message).not.toContain("sk-");
  });
});

describe("the answer of openai", () => {
  it("is text, usage and the finish", async () => {
    expect(await told(openaiStream(["Hel", "lo"], { usage: { prompt_tokens: 9, completion_tokens: 2, total_tokens: 11 } }))).toEqual([
      { type: "text", text: "Hel" },
      { type: "text", text: "lo" },
      { type: "usage", usage: { promptTokens: 9, completionTokens: 2, totalTokens: 11 } },
      { type: "finish", reason: "stop" },
    ]);
  });

  it("takes usage from the last choice chunk too, and null or partial usage as it comes", async () => {
    const events = await told([
      data({ choices: [{ index: 0, delta: { content: "a" } }], usage: null }),
      data({ choices: [{ index: 0, delta: {}, finish_reason: "length" }], usage: { prompt_tokens: 3, completion_tokens: 4 } }),
      DONE,
    ]);
    expect(events.slice(1)).toEqual([
      { type: "usage", usage: { promptTokens: 3, completionTokens: 4, totalTokens: 7 } },
      { type: "finish", reason: "length" },
    ]);
  });

  it.each(["reasoning_content", "reasoning"])("knows reasoning as %s", async (key) => {
    expect(joined(await told(openaiStream([{ [key]: "let me " }, { [key]: "see" }, "Hi"])))).toEqual([
      { type: "reasoning", text: "let me see" },
      { type: "text", text: "Hi" },
      { type: "finish", reason: "stop" },
    ]);
  });

  it("does not repeat reasoning that is sent under both names, and reads content in parts", async () => {
    const events = joined(
      await told(
        openaiStream([
          { reasoning: "hm", reasoning_content: "hm" },
          {
            content: [
              { type: "thinking", thinking: [{ type: "text", text: "!" }] },
              { type: "text", text: "Hi" },
            ],
          },
        ]),
      ),
    );
    expect(events.slice(0, 2)).toEqual([
      { type: "reasoning", text: "hm!" },
      { type: "text", text: "Hi" },
    ]);
  });

  it("is complete although the connection was cut inside [DONE]", async () => {
    for (const rest of ["data: [", "data: [DO", "data: [DONE"]) {
      expect((await told([choice({ content: "a" }, "stop"), rest])).at(-1)).toEqual({ type: "finish", reason: "stop" });
    }
  });

  it("that announces tool calls but names no tool is malformed: nobody could answer them", async () => {
    for (const [delta, reason] of [
      [{ tool_calls: [{ index: 0, id: "a", function: { arguments: "{}" } }] }, "tool_calls"],
      [{ function_call: { name: "f", arguments: "{}" } }, "function_call"],
    ] as const) {
      expect((await told(openaiStream([delta], { finishReason: reason }))).at(-1)).toMatchObject({ type: "failure", failure: { kind: "malformed_response" } });
    }
  });

  it("has an id for each of its tool calls, also where the server gave two the same", async () => {
    const call = (index: number) => ({ index, id: "same", function: { name: "f", arguments: "{}" } });
    const events = await told(openaiStream([{ tool_calls: [call(0), call(1)] }], { finishReason: "tool_calls" }));
    const ids = events.flatMap((event) => (event.type === "toolCall" ? [event.call.id] : []));
    expect(ids).toHaveLength(2);
    expect(new Set(ids).size).toBe(2);
  });

  it("holds tool calls until they are complete, and sends them before the finish", async () => {
    const call = (index: number, more: object) => ({ tool_calls: [{ index, ...more }] });
    const events = await told(
      openaiStream(
        [
          call(1, { id: "b", type: "function", function: { name: "g", arguments: "" } }),
          call(0, { id: "a", type: "function", function: { name: "f", arguments: '{"x' } }),
          "talking meanwhile",
          call(0, { function: { arguments: '":1}' } }),
        ],
        { finishReason: "tool_calls", usage: { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 } },
      ),
    );
    expect(events).toEqual([
      { type: "text", text: "talking meanwhile" },
      { type: "toolCall", call: { id: "a", name: "f", arguments: { x: 1 } } },
      { type: "toolCall", call: { id: "b", name: "g", arguments: {} } },
      { type: "usage", usage: { promptTokens: 1, completionTokens: 1, totalTokens: 2 } },
      { type: "finish", reason: "tool_calls" },
    ]);
  });

  it("takes whole calls at once, without ids, with arguments that are an object or no JSON", async () => {
    const events = await told([
      choice({ tool_calls: [{ function: { name: "f", arguments: { x: 1 } } }, { function: { name: "g", arguments: "[1]" } }] }),
      DONE,
    ]);
    const id = expect.stringMatching(/^call_/);
    expect(events).toEqual([
      { type: "toolCall", call: { id, name: "f", arguments: { x: 1 } } },
      { type: "toolCall", call: { id, name: "g", arguments: {}, argumentsText: "[1]" } },
      { type: "finish", reason: "tool_calls" },
    ]);
  });

  it("joins an emoji that is cut between two deltas", async () => {
    const events = await told([
      'data: {"choices":[{"delta":{"content":"Hi \\ud83d"}}]}\n\n',
      'data: {"choices":[{"delta":{"reasoning":"\\ud83d"}}]}\n\n',
      'data: {"choices":[{"delta":{"content":"\\ude00"}}]}\n\n',
      DONE,
    ]);
    expect(events).toEqual([
      { type: "text", text: "Hi " },
      { type: "text", text: "😀" },
      { type: "reasoning", text: "\uFFFD" },
      { type: "finish", reason: "stop" },
    ]);
  });

  it("ends with [DONE], whatever follows it in the same packet", async () => {
    const events = await told([[...openaiStream(["a"]), choice({ content: "b" }), "data: nonsense\n\n"].join("")]);
    expect(events).toEqual([
      { type: "text", text: "a" },
      { type: "finish", reason: "stop" },
    ]);
  });

  it("ends with the body after a finish reason, but is truncated without one", async () => {
    expect((await told(openaiStream(["a"], { done: false }))).at(-1)).toEqual({ type: "finish", reason: "stop" });
    await server?.close();
    expect(failureIn(await told(openaiStream(["a"], { done: false, finishReason: null })))).toMatchObject({ kind: "truncated" });
    await server?.close();
    expect(failureIn(await told([]))).toMatchObject({ kind: "truncated" });
  });

  it("takes a last event without its blank line, but not half of one", async () => {
    expect((await told([choice({ content: "a" }, "stop"), "data: [DONE]"])).at(-1)).toEqual({ type: "finish", reason: "stop" });
    await server?.close();
    const events = await told([choice({ content: "a" }), choice({ content: "b" }).slice(0, 30)]);
    expect(failureIn(events).kind).toBe("truncated");
    expect(textIn(events)).toBe("a");
  });

  it("follows the first of several choices only", async () => {
    expect(
      textIn(
        await told([
          data({
            choices: [
              { index: 1, delta: { content: "B" } },
              { index: 0, delta: { content: "A" } },
            ],
          }),
          DONE,
        ]),
      ),
    ).toBe("A");
  });

  it.each([
    ["an error object", data({ error: { message: "model crashed", type: "server_error" } })],
    ["an error text", data({ error: "model crashed" })],
    ["an error event", 'event: error\ndata: {"message":"model crashed"}\n\n'],
    ["an error event in plain words", "event: error\ndata: model crashed\n\n"],
    ["an error of vLLM", data({ object: "error", message: "model crashed", code: 500 })],
    ["an error of llama.cpp", 'error: {"code":500,"message":"model crashed"}\n\n'],
  ])("fails with upstream_error on %s inside a 200", async (_name, event) => {
    const events = await told([choice({ content: "a" }), event, choice({ content: "b" }), DONE]);
    expect(events).toEqual([
      { type: "text", text: "a" },
      { type: "failure", failure: { kind: "upstream_error", message: "The model server reported an error: model crashed" } },
    ]);
  });

  it.each(["data: {oops\n\n", "data: 5\n\n", "data: null\n\n", "data: [1]\n\n"])("fails with malformed_response on %j", async (line) => {
    const events = await told([choice({ content: "a" }), line, DONE]);
    expect(failureIn(events).kind).toBe("malformed_response");
    expect(textIn(events)).toBe("a");
  });

  it("does not stumble over chunks of strange shapes", async () => {
    const strange = [
      {},
      { choices: null },
      { choices: {} },
      { choices: [null, 1, {}] },
      { choices: [{ delta: null }] },
      { choices: [{ delta: { content: 5, tool_calls: [null, {}, { function: 1 }], reasoning: {} } }] },
      { usage: 5 },
      { usage: { prompt_tokens: -1, completion_tokens: "x" } },
      { error: null },
    ];
    expect(await told([...strange.map(data), choice({ content: "a" }, "stop"), DONE])).toEqual([
      { type: "text", text: "a" },
      { type: "finish", reason: "stop" },
    ]);
  });

  it("may be one JSON document", async () => {
    const completion = {
      object: "chat.completion",
      choices: [
        {
          index: 0,
          message: {
            role: "assistant",
            content: "Hi",
            reasoning_content: "hm",
            tool_calls: [{ id: "a", type: "function", function: { name: "f", arguments: "{}" } }],
          },
          finish_reason: "tool_calls",
        },
      ],
      usage: { prompt_tokens: 1, completion_tokens: 2, total_tokens: 3 },
    };
    server = await startModelServer((_request, answer) => answer.respond(200, completion));
    expect(await ask(openai, { baseUrl: server.url })).toEqual([
      { type: "reasoning", text: "hm" },
      { type: "text", text: "Hi" },
      { type: "toolCall", call: { id: "a", name: "f", arguments: {} } },
      { type: "usage", usage: { promptTokens: 1, completionTokens: 2, totalTokens: 3 } },
      { type: "finish", reason: "tool_calls" },
    ]);
  });

  it.each([
    ["<!doctype html><title>Sign in</title>", "text/html", "malformed_response"],
    ["  \n<html>", "text/event-stream", "malformed_response"],
    ["Hello, I am not a model", "text/plain", "malformed_response"],
    ['{"hello":1}', "application/json", "malformed_response"],
    ['{"choices":', "application/json", "malformed_response"],
    ['{"error":{"message":"no"}}', "text/event-stream", "upstream_error"],
    ['[{"error":{"message":"no"}}]', "application/json", "upstream_error"],
    ["", "application/json", "truncated"],
  ])("fails when the body is %j of type %s", async (body, type, kind) => {
    server = await startModelServer((_request, answer) => answer.respond(200, body, { "content-type": type }));
    expect(failureIn(await ask(openai, { baseUrl: server.url })).kind).toBe(kind);
  });

  it("fails when an event does not end", async () => {
    server = await startModelServer(async (_request, answer) => {
      await answer.head(200);
      await answer.chunk("data: ");
      for (;;) await answer.chunk("x".repeat(256 * 1024));
    });
    expect(failureIn(await ask(openai, { baseUrl: server.url }))).toMatchObject({
      kind: "malformed_response",
      message: expect.stringContaining("does not end"),
    });
    await server.requests[0]?.closed;
  });

  it("shows no key that an error repeats", async () => {
    const apiKey = "plain-key-without-a-shape";
    const events = await told([data({ error: { message: `bad key ${apiKey}` } })], { apiKey });
    expect(failureIn(events).message).toBe("The model server reported an error: bad key ********");
  });
});

describe("openai against a mock of the real API", () => {
  const mock = new LLMock({ port: 0 });
  const settings = () => ({ baseUrl: `${mock.url}/v1`, apiKey: "mock-key" });
  beforeAll(async () => {
    // The first that matches answers, and the question is still there beside the result.
    mock.onToolResult("call_1", { content: "It rains." });
    mock.onMessage("hello", { content: "Hi there, how are you? 👋" });
    mock.onMessage("weather", {
      toolCalls: [
        { name: "get_weather", arguments: { city: "Berlin", days: [1, 2] } },
        { name: "get_time", arguments: {} },
      ],
    });
    await mock.start();
  });
  afterAll(() => mock.stop());

  const saying = (content: string): Partial<ModelRequest> => ({ messages: [{ role: "user", content }] });

  it("streams text with usage", async () => {
    const events = await ask(openai, settings(), saying("hello"));
    expect(textIn(events)).toBe("Hi there, how are you? 👋");
    expect(events.slice(-2)).toEqual([
      { type: "usage", usage: expect.objectContaining({ totalTokens: expect.any(Number) }) },
      { type: "finish", reason: "stop" },
    ]);
  });

  it("gets tool calls, and an answer to their results", async () => {
    const events = await ask(openai, settings(), { ...saying("weather"), tools: [tool] });
    expect(events.filter((event) => event.type === "toolCall")).toMatchObject([
      { call: { name: "get_weather", arguments: { city: "Berlin", days: [1, 2] } } },
      { call: { name: "get_time", arguments: {} } },
    ]);
    expect(events.at(-1)).toEqual({ type: "finish", reason: "tool_calls" });

    const answered = await ask(openai, settings(), {
      messages: [
        { role: "user", content: "weather" },
        { role: "assistant", content: "", toolCalls: [{ id: "call_1", name: "get_weather", arguments: { city: "Berlin" } }] },
        { role: "tool", toolCallId: "call_1", content: "rain" },
      ],
    });
    expect(textIn(answered)).toBe("It rains.");
  });

  it("tells errors", async () => {
    mock.nextRequestError(503, { message: "overloaded", type: "server_error" });
    expect(failureIn(await ask(openai, settings(), saying("hello")))).toMatchObject({
      kind: "upstream_failed",
      status: 503,
      message: expect.stringContaining("overloaded"),
    });
    mock.nextRequestError(429, { message: "slow down" });
    expect(failureIn(await ask(openai, settings(), saying("hello")))).toMatchObject({ kind: "rate_limited", status: 429 });
  });

  it("tells of chaos", async () => {
    mock.setChaos({ disconnectRate: 1 });
    expect(["connect_failed", "truncated"]).toContain(failureIn(await ask(openai, settings(), saying("hello"))).kind);
    mock.setChaos({ malformedRate: 1 });
    expect(failureIn(await ask(openai, settings(), saying("hello"))).kind).toBe("malformed_response");
    mock.clearChaos();
  });
});
