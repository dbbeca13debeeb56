import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { anthropic } from "../../src/providers/anthropic.ts";
import { AnthropicDialect } from "../../src/providers/anthropic-dialect.ts";
import type { Dialect } from "../../src/providers/dialect.ts";
import { openai } from "../../src/providers/openai.ts";
import { OpenAiDialect } from "../../src/providers/openai-dialect.ts";
import type { ModelEvent, Provider } from "../../src/providers/provider.ts";
import { ResponseReader } from "../../src/providers/reader.ts";
import { type AnthropicPart, anthropicStream, type ModelServer, openaiStream, startModelServer } from "../support/model-server.ts";
import { ask } from "./ask.ts";

const words = fc.string({ unit: "grapheme", minLength: 1, maxLength: 12 });
const args = fc.dictionary(fc.string({ maxLength: 5 }), fc.oneof(fc.string({ unit: "grapheme" }), fc.integer()), { maxKeys: 3 });
const cuts = fc.array(fc.nat(), { maxLength: 60 });

const openaiParts = fc.array(
  fc.oneof(
    words,
    words.map((reasoning) => ({ reasoning })),
    fc.tuple(fc.nat(2), args).map(([index, value]) => ({
      tool_calls: [{ index, id: `call_${index}`, function: { name: `f${index}`, arguments: JSON.stringify(value) } }],
    })),
  ),
  { maxLength: 8 },
);
const anthropicParts: fc.Arbitrary<AnthropicPart[]> = fc.array(
  fc.oneof(
    words,
    words.map((thinking) => ({ thinking })),
    fc.tuple(fc.nat(), args).map(([id, value]) => ({ toolUse: { id: `toolu_${id}`, name: "f", fragments: JSON.stringify(value).split(/(?<=:)/) } })),
  ),
  { maxLength: 8 },
);
const usage = { prompt_tokens: 1, completion_tokens: 2, total_tokens: 3 };

describe("any split of a stream", { timeout: 120_000 }, () => {
  it("gives the same events for openai", () => {
    fc.assert(
      fc.property(openaiParts, cuts, fc.boolean(), (parts, places, done) => {
        const bytes = Buffer.from(openaiStream(parts, { usage, done }).join(""));
        expect(read(new OpenAiDialect(), split(bytes, places))).toEqual(read(new OpenAiDialect(), [bytes]));
      }),
    );
  });

  it("gives the same events for anthropic", () => {
    fc.assert(
      fc.property(anthropicParts, cuts, fc.boolean(), (parts, places, stop) => {
        const bytes = Buffer.from(anthropicStream(parts, { stop }).join(""));
        expect(read(new AnthropicDialect(), split(bytes, places))).toEqual(read(new AnthropicDialect(), [bytes]));
      }),
    );
  });

  it("gives whole text and one terminal, byte by byte", () => {
    const bytes = Buffer.from(openaiStream(["Grüße 😀", " 日本語"], { usage }).join(""));
    expect(
      read(
        new OpenAiDialect(),
        Array.from(bytes, (byte) => Buffer.from([byte])),
      ),
    ).toEqual([
      { type: "text", text: "Grüße 😀" },
      { type: "text", text: " 日本語" },
      { type: "usage", usage: { promptTokens: 1, completionTokens: 2, totalTokens: 3 } },
      { type: "finish", reason: "stop" },
    ]);
  });
});

describe("any bytes at all", { timeout: 120_000 }, () => {
  const dialects: [string, () => Dialect][] = [
    ["openai", () => new OpenAiDialect()],
    ["anthropic", () => new AnthropicDialect()],
  ];
  const line = fc.oneof(
    fc.string({ unit: "binary" }),
    fc.json().map((json) => `data: ${json}\n\n`),
    fc.constantFrom(
      'data: {"choices":[{"delta":{"content":"a"}}]}\n\n',
      'data: {"type":"content_block_delta","delta":{"type":"text_delta","text":"a"}}\n\n',
      "data: [DONE]\n\n",
      'data: {"type":"message_stop"}\n\n',
      "\n",
      "{",
      "<",
    ),
  );
  it.each(dialects)("end in exactly one terminal event for %s", (_name, make) => {
    fc.assert(
      fc.property(
        fc.array(
          fc.oneof(
            line.map((text) => Buffer.from(text)),
            fc.uint8Array({ maxLength: 30 }).map((bytes) => Buffer.from(bytes)),
          ),
        ),
        (chunks) => {
          const events = read(make(), chunks);
          const terminals = events.filter((event) => event.type === "finish" || event.type === "failure");
          expect(terminals).toHaveLength(1);
          expect(events.at(-1)).toBe(terminals[0]);
        },
      ),
    );
  });
});

describe("any split on the network", { timeout: 120_000 }, () => {
  let server: ModelServer;
  let chunks: Buffer[] = [];
  beforeAll(async () => {
    server = await startModelServer(async (_request, answer) => {
      await answer.head(200);
      for (const chunk of chunks) {
        await answer.chunk(chunk);
        await new Promise((resolve) => setImmediate(resolve));
      }
      await answer.end();
    });
  });
  afterAll(() => server.close());

  const cases: [Provider, readonly string[]][] = [
    [
      openai,
      openaiStream(["Grüße 😀", { reasoning: "日本語" }, { tool_calls: [{ index: 0, id: "a", function: { name: "f", arguments: '{"ü":1}' } }] }], { usage }),
    ],
    [anthropic, anthropicStream(["Grüße 😀", { thinking: "日本語" }, { toolUse: { id: "a", name: "f", fragments: ['{"ü"', ":1}"] } }])],
  ];
  it.each(cases)("gives the same events", async (provider, stream) => {
    const bytes = Buffer.from(stream.join(""));
    chunks = [bytes];
    const whole = await ask(provider, { baseUrl: server.url });
    expect(whole.at(-1)).toEqual({ type: "finish", reason: "stop" });
    await fc.assert(
      fc.asyncProperty(cuts, async (places) => {
        chunks = split(bytes, places).filter((chunk) => chunk.length > 0);
        expect(await ask(provider, { baseUrl: server.url })).toEqual(whole);
      }),
      { numRuns: 25 },
    );
  });
});

/** What a dialect makes of a body; ids that are made up count as equal. */
function read(dialect: Dialect, chunks: readonly Buffer[]): ModelEvent[] {
  const out: ModelEvent[] = [];
  const reader = new ResponseReader(dialect);
  for (const chunk of chunks) if (!reader.isOver) reader.push(chunk, out);
  if (!reader.isOver) reader.end(out);
  return out;
}

function split(bytes: Buffer, places: readonly number[]): Buffer[] {
  const ends = [0, ...places.map((place) => place % (bytes.length + 1)).toSorted((a, b) => a - b), bytes.length];
  return ends.slice(1).map((end, index) => bytes.subarray(ends[index], end));
}
