import type { ChatMessage, HarnessTrace, ToolResult } from "../contract/model.ts";
import type { Answer, MessageBody } from "./store.ts";

export type { MessageBody } from "./store.ts";

/** `errorMessage` of a trace whose turn a dead process has left behind. */
export const INTERRUPTED_MESSAGE = "The process ended before the turn did";

/**
 * Whether a trace has come to its end. One that was ended for its process, by another that took that for
 * dead, has not: its own process knows better, should it live.
 */
export function hasEnded(trace: HarnessTrace): boolean {
  return trace.status !== "running" && trace.errorMessage !== INTERRUPTED_MESSAGE;
}

/** How many messages of these sizes (in bytes or characters) fit on one page; at least one does. */
export function pageLength(sizes: readonly number[]): number {
  let total = 0;
  const tooMany = sizes.findIndex((size, index) => {
    total += size;
    return index > 0 && total > PAGE_SIZE;
  });
  return tooMany === -1 ? sizes.length : tooMany;
}

/** A page stays far below the longest line that a host is likely to accept. */
const PAGE_SIZE = 4 * 1024 * 1024;

export function messageId(turnId: string, position: number): string {
  return `${turnId}-${position}`;
}

export function answerMessage(answer: Answer): MessageBody {
  const message: MessageBody = { role: "assistant", content: answer.text };
  if (answer.reasoning !== "") message.reasoning = answer.reasoning;
  if (answer.toolCalls.length > 0) message.toolCalls = [...answer.toolCalls];
  if (answer.providerData !== undefined) message.providerData = answer.providerData;
  return message;
}

/** What a call came to whose process died in it. */
export function unknownOutcome(): ToolResult {
  return {
    success: false,
    error: "The process ended while this call was running. It may or may not have had its effect; check before repeating it.",
    kind: "outcome_unknown",
    outcomeUnknown: true,
  };
}

/** The same, as the message that answers the call. */
export function unknownOutcomeMessage(toolCallId: string): MessageBody {
  return { role: "tool", toolCallId, content: JSON.stringify(unknownOutcome()), outcomeUnknown: true };
}

/** The place that a `messageId` names; undefined when it cannot be one. */
export function placeOf(id: string): { turnId: string; position: number } | undefined {
  const dash = id.lastIndexOf("-");
  const position = Number(id.slice(dash + 1));
  if (dash === -1 || !Number.isSafeInteger(position) || messageId(id.slice(0, dash), position) !== id) return undefined;
  return { turnId: id.slice(0, dash), position };
}

/** False for an answer in which nothing was said: model servers refuse such a message in a conversation. */
export function hasContent(message: MessageBody): boolean {
  return message.role !== "assistant" || message.content.length > 0 || (message.toolCalls?.length ?? 0) > 0;
}

/** As it is sent to a model: without what it was thinking, but for what the provider needs back of that. */
export function toChatMessage(message: MessageBody): ChatMessage {
  const { reasoning: _, outcomeUnknown: __, result: ___, ...sent } = message;
  return sent;
}
