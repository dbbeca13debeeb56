import type { ToolResult } from "../../contract/model.ts";
import type { MessageBody } from "../../store/messages.ts";

/** Characters of a result that a model is given: about 25,000 tokens. */
const MOST = 100_000;

/** The message that answers a call. `isWhole`: the result is kept with it, for a turn that may be asked for again. */
export function toolMessage(toolCallId: string, result: ToolResult, isWhole: boolean): MessageBody {
  return {
    role: "tool",
    toolCallId,
    content: resultText(result),
    ...(result.outcomeUnknown === true ? { outcomeUnknown: true } : {}),
    ...(isWhole ? { result } : {}),
  };
}

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

/** Beginning and end: what failed is often said last. A pair of surrogates is not torn apart. */
function bounded(text: string): string {
  if (text.length <= MOST) return text;
  const half = MOST / 2;
  const head = text.slice(0, isLow(text, half) ? half - 1 : half);
  const tail = text.slice(isLow(text, text.length - half) ? 1 - half : -half);
  return `${head}\n[… ${text.length - head.length - tail.length} characters left out …]\n${tail}`;
}

/** Whether a character is the second half of a pair. */
function isLow(text: string, index: number): boolean {
  return (text.charCodeAt(index) & 0xfc00) === 0xdc00;
}
