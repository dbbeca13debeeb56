import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { ChatMessage } from "../../../src/contract/model.ts";
import { estimateTextTokens, estimateTokens } from "../../../src/runtime/budget/tokens.ts";

const user = (content: ChatMessage["content"]): ChatMessage => ({ role: "user", content });

describe("the estimate of tokens", () => {
  it("takes 4 characters of English, 2 of other alphabets and 1 of CJK for a token", () => {
    expect(estimateTextTokens("abcdefgh")).toBe(2);
    expect(estimateTextTokens("привет")).toBe(3);
    expect(estimateTextTokens("你好世界")).toBe(4);
    expect(estimateTextTokens("ab你")).toBe(2);
    expect(estimateTextTokens("")).toBe(0);
    expect(estimateTextTokens(9)).toBe(3);
  });

  it("is near what tokenizers count for a sentence", () => {
    // 10 tokens for the models of OpenAI.
    const estimate = estimateTextTokens("The quick brown fox jumps over the lazy dog.");
    expect(estimate).toBeGreaterThanOrEqual(8);
    expect(estimate).toBeLessThanOrEqual(13);
  });

  it("counts an image flat, however long its data", () => {
    const image = (url: string) => estimateTokens([user([{ type: "image_url", image_url: { url } }])]);
    expect(image(`data:image/png;base64,${"A".repeat(1_000_000)}`)).toBe(image("https://example.com/a.png"));
    expect(image("https://example.com/a.png")).toBeGreaterThan(500);
  });

  it("counts calls, results, what the provider needs back, and the schemas of tools", () => {
    const said: ChatMessage = { role: "assistant", content: "" };
    const bare = estimateTokens([said]);
    const long = "x".repeat(400);
    expect(estimateTokens([{ ...said, toolCalls: [{ id: "c", name: "f", arguments: { long } }] }])).toBeGreaterThan(bare + 100);
    expect(estimateTokens([{ ...said, toolCalls: [{ id: "c", name: "f", arguments: {}, argumentsText: long }] }])).toBeGreaterThan(bare + 100);
    expect(estimateTokens([{ ...said, providerData: { long } }])).toBeGreaterThan(bare + 100);
    expect(estimateTokens([{ role: "tool", toolCallId: "c", content: long }])).toBeGreaterThan(bare + 99);
    const schema = { type: "function" as const, function: { name: "f", description: long, parameters: { long } } };
    expect(estimateTokens([said], [schema])).toBeGreaterThan(bare + 200);
  });

  it("is whole, never falls when something is added, and adds up", { timeout: 120_000 }, () => {
    fc.assert(
      fc.property(fc.array(fc.string({ unit: "binary" }), { maxLength: 5 }), fc.string({ unit: "binary" }), (texts, more) => {
        const before = estimateTokens(texts.map(user));
        const after = estimateTokens([...texts, more].map(user));
        expect(Number.isInteger(before)).toBe(true);
        expect(after - before).toBeGreaterThan(estimateTextTokens(more));
      }),
      { numRuns: 30 },
    );
  });
});
