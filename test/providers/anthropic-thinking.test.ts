import fc from "fast-check";
import { afterEach, describe, expect, it } from "vitest";
import type { ChatMessage } from "../../src/contract/model.ts";
import { anthropic } from "../../src/providers/anthropic.ts";
import { AnthropicDialect } from "../../src/providers/anthropic-dialect.ts";
import { openai } from "../../src/providers/openai.ts";
import type { ModelEvent, Provider } from "../../src/providers/provider.ts";
import { ResponseReader } from "../../src/providers/reader.ts";
import { anthropicStream, type ModelServer, openaiStream, startModelServer } from "../support/model-server.ts";
import { ask, textIn } from "./ask.ts";

let server: ModelServer | undefined;
afterEach(() => server?.close());

type Block = { type: string; [key: string]: unknown };

const event = (type: string, more: object = {}) => `event: ${type}\ndata: ${JSON.stringify({ type, ...more })}\n\n`;
const signed = (thinking: string, signature: string) => ({ type: "thinking", thinking, signature });
const redacted = { type: "redacted_thinking", data: "EmwKAhgBEgy3va3pzix/LafPsn4a" };
const call = { type: "tool_use", id: "toolu_1", name: "get_weather", input: { city: "Berlin" } };

/** The blocks as the API streams them: thinking and its signature in pieces of `size`, the rest whole. */
function streamOf(blocks: readonly Block[], size = 5): string[] {
  const events = blocks.flatMap((block, index) => {
    const delta = (type: string, key: string, text: unknown) =>
      (String(text).match(new RegExp(`[^]{1,${size}}`, "g")) ?? []).map((piece) => event("content_block_delta", { index, delta: { type, [key]: piece } }));
    const steps =
      block.type === "thinking"
        ? [
            event("content_block_start", { index, content_block: { type: "thinking", thinking: "", signature: "" } }),
            ...delta("thinking_delta", "thinking", block["thinking"]),
            ...delta("signature_delta", "signature", block["signature"]),
          ]
        : [event("content_block_start", { index, content_block: block })];
    return [...steps, event("content_block_stop", { index })];
  });
  const usage = { input_tokens: 1, output_tokens: 1 };
  const stopReason = blocks.some(({ type }) => type === "tool_use") ? "tool_use" : "end_turn";
  return [
    event("message_start", { message: { usage } }),
    ...events,
    event("message_delta", { delta: { stop_reason: stopReason }, usage }),
    event("message_stop"),
  ];
}

function read(chunks: readonly Buffer[]): ModelEvent[] {
  const out: ModelEvent[] = [];
  const reader = new ResponseReader(new AnthropicDialect());
  for (const chunk of chunks) if (!reader.isOver) reader.push(chunk, out);
  if (!reader.isOver) reader.end(out);
  return out;
}

const readBlocks = (blocks: readonly Block[]) => read([Buffer.from(streamOf(blocks).join(""))]);
const dataIn = (events: readonly ModelEvent[]) => events.flatMap((one) => (one.type === "providerData" ? [one.data] : []));

/** The message that goes back to the model after this answer, by way of JSON as in a store. */
function answerOf(events: readonly ModelEvent[]): ChatMessage {
  const [providerData] = dataIn(events);
  const message: ChatMessage = {
    role: "assistant",
    content: textIn(events),
    toolCalls: events.flatMap((one) => (one.type === "toolCall" ? [one.call] : [])),
    ...(providerData === undefined ? {} : { providerData }),
  };
  return JSON.parse(JSON.stringify(message)) as ChatMessage;
}

async function sentBy(provider: Provider, messages: ChatMessage[]): Promise<unknown> {
  server = await startModelServer((_request, answer) => answer.sse(provider === openai ? openaiStream(["ok"]) : anthropicStream(["ok"])));
  expect(textIn(await ask(provider, { baseUrl: server.url }, { messages }))).toBe("ok");
  const json = server.requests[0]?.json;
  await server.close();
  return json;
}

const question: ChatMessage = { role: "user", content: "Weather?" };
const result: ChatMessage = { role: "tool", toolCallId: "toolu_1", content: "rain" };
const asked = (providerData: Record<string, unknown>, more: Partial<ChatMessage> = {}): ChatMessage => ({
  role: "assistant",
  content: "Let me look.",
  toolCalls: [{ id: "toolu_1", name: "get_weather", arguments: {} }],
  providerData,
  ...more,
});

describe("signed thinking", () => {
  it("comes once, after the calls and before the usage", () => {
    const thinking = [signed("They want weather. 🌧", "EqQBCgIYAhIM+/=="), redacted, signed("", "omitted")];
    const events = readBlocks([...thinking, { type: "text", text: "Let me look." }, call]);
    expect(events.slice(-4)).toEqual([
      { type: "toolCall", call: { id: "toolu_1", name: "get_weather", arguments: { city: "Berlin" } } },
      { type: "providerData", data: { anthropic: { thinking } } },
      { type: "usage", usage: { promptTokens: 1, completionTokens: 1, totalTokens: 2 } },
      { type: "finish", reason: "tool_calls" },
    ]);
    expect(dataIn(events)).toHaveLength(1);
    expect(textIn(events, "reasoning")).toBe("They want weather. 🌧");
  });

  it.each([
    ["no tool was called", [signed("hm", "sig"), { type: "text", text: "Hi" }]],
    ["it was not signed", [signed("hm", ""), { type: "redacted_thinking", data: "" }, call]],
    ["nothing was thought", [{ type: "text", text: "Hi" }, call]],
  ])("is left out when %s", (_case, blocks) => {
    const events = readBlocks(blocks);
    expect(events.at(-1)?.type).toBe("finish");
    expect(dataIn(events)).toEqual([]);
  });

  it("is taken from one JSON document too", () => {
    const content = [{ ...signed("hm", "sig"), extra: 1 }, redacted, call];
    const events = read([Buffer.from(JSON.stringify({ type: "message", content, stop_reason: "tool_use" }))]);
    expect(dataIn(events)).toEqual([{ anthropic: { thinking: [signed("hm", "sig"), redacted] } }]);
  });

  it("is given up as a whole when it does not end", () => {
    const piece = event("content_block_delta", { index: 0, delta: { type: "thinking_delta", thinking: "x".repeat(1024 * 1024) } });
    const [start = "", open = "", ...rest] = streamOf([signed("", "sig"), redacted, call]);
    const events = read([start, open, ...Array<string>(17).fill(piece), ...rest].map((text) => Buffer.from(text)));
    expect(events.at(-1)).toEqual({ type: "finish", reason: "tool_calls" });
    expect(dataIn(events)).toEqual([]);
  });

  it("is the same however the stream is cut", () => {
    const words = fc.string({ unit: "grapheme", maxLength: 12 });
    const token = fc.base64String({ minLength: 4, maxLength: 24 });
    const block = fc.oneof(
      fc.tuple(words, token).map(([thinking, signature]) => signed(thinking, signature)),
      token.map((data) => ({ type: "redacted_thinking", data })),
    );
    fc.assert(
      fc.property(
        fc.array(block, { minLength: 1, maxLength: 4 }),
        fc.integer({ min: 1, max: 6 }),
        fc.array(fc.nat(), { maxLength: 60 }),
        (thinking, size, cuts) => {
          const bytes = Buffer.from(streamOf([...thinking, call], size).join(""));
          const ends = [0, ...cuts.map((cut) => cut % bytes.length).toSorted((a, b) => a - b), bytes.length];
          const events = read(ends.slice(1).map((end, index) => bytes.subarray(ends[index], end)));
          expect(dataIn(events)).toEqual([{ anthropic: { thinking } }]);
          expect(events).toEqual(read([bytes]));
        },
      ),
    );
  });
});

describe("the next request", () => {
  it("brings the thinking back, unchanged and first", async () => {
    const thinking = [signed("Let me see: 日本語\n🌧 ", "EqQBCgIYAhIM1gbcDa9GJwZA2b3hGgxBdjrkzLoky3dl1pk="), redacted];
    server = await startModelServer((request, answer) =>
      answer.sse(
        JSON.stringify(request.json).includes("tool_result")
          ? anthropicStream(["It rains."])
          : streamOf([...thinking, { type: "text", text: "I look." }, call]),
      ),
    );
    const settings = { baseUrl: server.url };
    const providerOptions = { thinking: { type: "enabled", budget_tokens: 1024 } };
    const first = await ask(anthropic, settings, { messages: [question], providerOptions });
    const second = await ask(anthropic, settings, { messages: [question, answerOf(first), result], providerOptions });
    expect(textIn(second)).toBe("It rains.");
    expect(server.requests[1]?.json).toMatchObject({
      messages: [{ role: "user" }, { role: "assistant", content: [...thinking, { type: "text", text: "I look." }, call] }, { role: "user" }],
    });
  });

  it("has it in front of a turn that began with another message", async () => {
    const before: ChatMessage = { role: "assistant", content: "One moment." };
    expect(await sentBy(anthropic, [question, before, asked({ anthropic: { thinking: [signed("hm", "sig")] } }), result])).toMatchObject({
      messages: [{}, { content: [signed("hm", "sig"), { text: "One moment." }, { text: "Let me look." }, { type: "tool_use" }] }, {}],
    });
  });

  it.each([
    ["of another provider", { openai: { thinking: [signed("hm", "sig")] } }],
    ["that is no list", { anthropic: { thinking: signed("hm", "sig") } }],
    ["that is null", { anthropic: null }],
    ["without a signature", { anthropic: { thinking: [{ type: "thinking", thinking: "hm" }] } }],
    ["with an empty signature", { anthropic: { thinking: [signed("hm", "")] } }],
    ["of another type", { anthropic: { thinking: [{ type: "text", text: "hm" }] } }],
    ["of which one block is wrong", { anthropic: { thinking: [signed("hm", "sig"), { type: "redacted_thinking", data: 5 }] } }],
  ])("is as without it for data %s", async (_case, providerData) => {
    const plain = await sentBy(anthropic, [question, asked({}), result]);
    expect(await sentBy(anthropic, [question, asked(providerData), result])).toEqual(plain);
    expect(JSON.stringify(plain)).not.toContain("hm");
  });

  it("has no thinking that nothing follows, nor any of a user", async () => {
    const providerData = { anthropic: { thinking: [signed("hm", "sig")] } };
    const empty = asked(providerData, { content: "", toolCalls: [] });
    expect(await sentBy(anthropic, [question, empty, { ...question, providerData }])).toMatchObject({
      messages: [{ role: "user", content: [{ type: "text" }, { type: "text" }] }],
    });
  });

  it("sends only what the block needs", async () => {
    const thinking = [{ ...signed("hm", "sig"), cache_control: { type: "ephemeral" } }];
    const sent = await sentBy(anthropic, [question, asked({ anthropic: { thinking } }), result]);
    expect(sent).toMatchObject({ messages: [{}, { content: [{ type: "thinking" }, {}, {}] }, {}] });
    expect(JSON.stringify(sent)).not.toContain("cache_control");
  });

  it("is the same with and without it for openai", async () => {
    const providerData = { anthropic: { thinking: [signed("hm", "sig")] } };
    expect(await sentBy(openai, [question, asked(providerData), result])).toEqual(await sentBy(openai, [question, asked({}), result]));
  });
});
