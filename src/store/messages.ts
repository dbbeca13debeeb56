import type { ChatMessage, HarnessTrace, StoredMessage } from "../contract/model.ts";
import type { Answer } from "./store.ts";

/** What a message is made of, apart from where and when it was said. */
export type MessageBody = ChatMessage & Pick<StoredMessage, "reasoning">;

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

/** False for an answer in which nothing was said: model servers refuse such a message in a conversation. */
export function hasContent(message: MessageBody): boolean {
  return message.role !== "assistant" || message.content.length > 0 || (message.toolCalls?.length ?? 0) > 0;
}

/** As it is sent to a model: without what it was thinking, but for what the provider needs back of that. */
export function toChatMessage(message: MessageBody): ChatMessage {
  const { reasoning: _, ...sent } = message;
  return sent;
}
