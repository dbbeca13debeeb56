import type { ToolResult } from "../../contract/model.ts";

/** Characters of a result that a model is given: about 25,000 tokens. */
const MOST = 100_000;

/** A result in the words that the model reads: plain text where the result is nothing else. */
export function resultText(result: ToolResult): string {
  return bounded(plainText(result) ?? JSON.stringify(withoutOurs(result)));
}

function plainText({ success, message, terminal, data = {} }: ToolResult): string | undefined {
  const { durationMs: _, ...own } = data;
  const keys = Object.keys(own);
  if (!success || message !== undefined || terminal === true) return undefined;
  const only = keys.length === 1 && (keys[0] === "value" || keys[0] === "text") ? own[keys[0]] : undefined;
  return typeof only === "string" ? only : undefined;
}

/** What we have added for hosts is of no use to a model. */
function withoutOurs(result: ToolResult): Record<string, unknown> {
  const { needsFollowup: _, data = {}, ...theirs } = result;
  const { durationMs: __, ...own } = data;
  return { ...theirs, ...(Object.keys(own).length === 0 ? {} : { data: own }) };
}

/** Beginning and end: what failed is often said last. */
function bounded(text: string): string {
  if (text.length <= MOST) return text;
  const half = MOST / 2;
  return `${text.slice(0, half)}\n[… ${text.length - MOST} characters left out …]\n${text.slice(-half)}`;
}
