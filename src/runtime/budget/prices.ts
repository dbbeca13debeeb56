import type { Config, Price } from "../../contract/config.ts";
import type { Usage } from "../../contract/model.ts";

/** Tokens of a model that nobody knows: most models of today take at least that. */
const UNKNOWN_WINDOW = 128_000;

/**
 * List prices without discounts (cached prompts, batches), in US dollars for a million tokens, and windows in tokens: the longest prompt,
 * where a model server gives that a bound of its own. From the pages of OpenAI and Anthropic, as of October 2026. Models whose price
 * depends on the length of the prompt are left out: one number would be wrong for them.
 */
const models: Readonly<Record<string, readonly [inputPerMTok: number, outputPerMTok: number, window: number]>> = {
  // The providers that ask nobody.
  echo: [0, 0, UNKNOWN_WINDOW],
  scripted: [0, 0, UNKNOWN_WINDOW],
  "gpt-5.2": [1.75, 14, 272_000],
  "gpt-5.1": [1.25, 10, 272_000],
  "gpt-5": [1.25, 10, 272_000],
  "gpt-5-mini": [0.25, 2, 272_000],
  "gpt-5-nano": [0.05, 0.4, 272_000],
  "gpt-4.1": [2, 8, 1_047_576],
  "gpt-4.1-mini": [0.4, 1.6, 1_047_576],
  "gpt-4.1-nano": [0.1, 0.4, 1_047_576],
  "gpt-4o": [2.5, 10, 128_000],
  "gpt-4o-2024-05-13": [5, 15, 128_000],
  "gpt-4o-mini": [0.15, 0.6, 128_000],
  "gpt-4-turbo": [10, 30, 128_000],
  "gpt-4": [30, 60, 8_192],
  "gpt-3.5-turbo": [0.5, 1.5, 16_385],
  o1: [15, 60, 200_000],
  o3: [2, 8, 200_000],
  "o3-mini": [1.1, 4.4, 200_000],
  "o4-mini": [1.1, 4.4, 200_000],
  "claude-opus-5-5": [4, 20, 1_000_000],
  "claude-opus-5": [5, 25, 1_000_000],
  "claude-opus-4-5": [5, 25, 200_000],
  "claude-opus-4-1": [15, 75, 200_000],
  "claude-opus-4": [15, 75, 200_000],
  "claude-sonnet-5-5": [2, 10, 1_000_000],
  "claude-sonnet-5": [2, 10, 1_000_000],
  "claude-sonnet-4-5": [3, 15, 200_000],
  "claude-sonnet-4": [3, 15, 200_000],
  "claude-haiku-4-5": [1, 5, 200_000],
  "claude-3-7-sonnet": [3, 15, 200_000],
  "claude-3-5-sonnet": [3, 15, 200_000],
  "claude-3-5-haiku": [0.8, 4, 200_000],
  "claude-3-opus": [15, 75, 200_000],
  "claude-3-haiku": [0.25, 1.25, 200_000],
};

/** How names say which edition of a model is meant: `-2024-07-18`, `-20250929`, `-latest`, and the `-0` of Anthropic. */
const EDITION = /-(?:\d{4}-\d{2}-\d{2}|\d{8}|latest|0)$/;

/**
 * What a model costs: by its exact name, else by its name without the edition, each as configured before as built in.
 * Undefined when nobody knows. Where there is no model, pass the name of the provider.
 */
export function priceOf(model: string | undefined, configured: Config["prices"]): Price | undefined {
  return lookUp(model, configured, ([inputPerMTok, outputPerMTok]) => ({ inputPerMTok, outputPerMTok }));
}

/** Tokens that a model takes in all, found like its price; 128,000 when nobody knows. */
export function windowOf(model: string | undefined, configured: Readonly<Record<string, number>>): number {
  return lookUp(model, configured, ([, , window]) => window) ?? UNKNOWN_WINDOW;
}

/** US dollars. Tokens that only the total holds, such as reasoning that is not shown, were answered. */
export function costOf({ promptTokens, completionTokens, totalTokens }: Usage, { inputPerMTok, outputPerMTok }: Price): number {
  const answered = Math.max(completionTokens, totalTokens - promptTokens);
  return (promptTokens * inputPerMTok + answered * outputPerMTok) / 1_000_000;
}

function lookUp<T>(
  model: string | undefined,
  configured: Readonly<Record<string, T>>,
  builtIn: (entry: readonly [number, number, number]) => T,
): T | undefined {
  if (model === undefined) return undefined;
  // A variant with a name of its own (`gpt-4o-audio-preview`) has a price of its own, so no other prefix counts.
  for (const name of new Set([model, model.replace(EDITION, "")])) {
    if (Object.hasOwn(configured, name)) return configured[name];
    const entry = Object.hasOwn(models, name) ? models[name] : undefined;
    if (entry !== undefined) return builtIn(entry);
  }
  return undefined;
}
