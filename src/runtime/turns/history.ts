import type { ChatMessage } from "../../contract/model.ts";

/** Told to the model where a call was never answered: servers refuse a conversation with a gap. */
const UNANSWERED = "No result: this call was not run.";

/**
 * What a model is sent: the turns before, then the new messages. A system message in the new ones
 * takes the place of earlier ones, else the last earlier one holds; calls that nobody answered get
 * an answer that says so.
 */
export function conversation(history: readonly ChatMessage[], added: readonly ChatMessage[]): ChatMessage[] {
  if (history.length === 0) return answered(added);
  const all = [...withoutStrays(currentSystem(history, added)), ...added];
  // In front, where every server takes it: between a call and its result it would tear them apart.
  return answered([...all.filter((message) => message.role === "system"), ...all.filter((message) => message.role !== "system")]);
}

function currentSystem(history: readonly ChatMessage[], added: readonly ChatMessage[]): ChatMessage[] {
  const replaced = added.some((message) => message.role === "system");
  const last = replaced ? -1 : history.findLastIndex((message) => message.role === "system");
  return history.filter((message, index) => message.role !== "system" || index === last);
}

/**
 * A result that came when its call was no longer waiting for one. The server has refused the turn that brought it,
 * and would refuse every turn after it.
 */
function withoutStrays(messages: readonly ChatMessage[]): ChatMessage[] {
  const open = new Set<string>();
  return messages.filter((message) => {
    if (message.role === "tool") return open.delete(message.toolCallId ?? "");
    if (message.role !== "system") open.clear();
    if (message.role === "assistant") for (const { id } of message.toolCalls ?? []) open.add(id);
    return true;
  });
}

function answered(messages: readonly ChatMessage[]): ChatMessage[] {
  const out: ChatMessage[] = [];
  let open: string[] = [];
  const settle = () => {
    for (const toolCallId of open) out.push({ role: "tool", toolCallId, content: UNANSWERED });
    open = [];
  };
  for (const message of messages) {
    if (message.role === "tool") open = open.filter((id) => id !== message.toolCallId);
    else settle();
    out.push(message);
    if (message.role === "assistant") open = (message.toolCalls ?? []).map((call) => call.id);
  }
  settle();
  return out;
}
