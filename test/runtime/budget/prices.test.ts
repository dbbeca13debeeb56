import { describe, expect, it } from "vitest";
import { costOf, priceOf, windowOf } from "../../../src/runtime/budget/prices.ts";
import { usageOf } from "./setup.ts";

const own = { inputPerMTok: 7, outputPerMTok: 8 };

describe("the price of a model", () => {
  it("is found by its name, and by its name with an edition", () => {
    const mini = { inputPerMTok: 0.15, outputPerMTok: 0.6 };
    expect(priceOf("gpt-4o-mini", {})).toEqual(mini);
    expect(priceOf("gpt-4o-mini-2024-07-18", {})).toEqual(mini);
    expect(priceOf("claude-sonnet-4-5-20250929", {})).toEqual(priceOf("claude-sonnet-4-5", {}));
    expect(priceOf("claude-3-5-haiku-latest", {})).toEqual({ inputPerMTok: 0.8, outputPerMTok: 4 });
    expect(priceOf("claude-opus-4-0", {})).toEqual({ inputPerMTok: 15, outputPerMTok: 75 });
  });

  it("is that of the edition where that has one of its own", () => {
    expect(priceOf("gpt-4o-2024-05-13", {})).toEqual({ inputPerMTok: 5, outputPerMTok: 15 });
  });

  it("is not guessed for variants, longer names and what no object has of its own", () => {
    const names = ["gpt-4o-audio-preview", "gpt-4o-mini-tts", "o3-deep-research", "gpt-5-pro", "my-gpt-4o", "", "toString", "__proto__", "llama3"];
    for (const name of names) expect(priceOf(name, {}), name).toBeUndefined();
    expect(priceOf(undefined, {})).toBeUndefined();
  });

  it("is the configured one first, for every edition unless one is named", () => {
    expect(priceOf("gpt-4o", { "gpt-4o": own })).toEqual(own);
    expect(priceOf("gpt-4o-2024-08-06", { "gpt-4o": own })).toEqual(own);
    expect(priceOf("gpt-4o-2024-08-06", { "gpt-4o": { inputPerMTok: 1, outputPerMTok: 1 }, "gpt-4o-2024-08-06": own })).toEqual(own);
    expect(priceOf("llama3", { llama3: own })).toEqual(own);
    expect(priceOf("echo", { echo: own })).toEqual(own);
  });

  it("is nothing for the providers that ask no server", () => {
    for (const provider of ["echo", "scripted"]) expect(priceOf(provider, {})).toEqual({ inputPerMTok: 0, outputPerMTok: 0 });
  });

  it("times the tokens is the cost; what only the total holds was answered", () => {
    expect(costOf(usageOf(1_000_000, 500_000), { inputPerMTok: 2, outputPerMTok: 8 })).toBe(6);
    expect(costOf({ promptTokens: 1_000_000, completionTokens: 0, totalTokens: 1_500_000 }, { inputPerMTok: 2, outputPerMTok: 8 })).toBe(6);
    expect(costOf({ promptTokens: 1_000_000, completionTokens: 500_000, totalTokens: 0 }, { inputPerMTok: 2, outputPerMTok: 8 })).toBe(6);
  });
});

describe("the window of a model", () => {
  it("is found like its price, and cautious where nobody knows it", () => {
    expect(windowOf("gpt-4o-2024-08-06", {})).toBe(128_000);
    expect(windowOf("gpt-4", {})).toBe(8_192);
    expect(windowOf("gpt-4", { "gpt-4": 5 })).toBe(5);
    expect(windowOf("claude-sonnet-4-5-20250929", {})).toBe(200_000);
    expect(windowOf("nobody-knows", {})).toBe(128_000);
    expect(windowOf(undefined, {})).toBe(128_000);
  });
});
