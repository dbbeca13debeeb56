import type { ChatMessage, Usage } from "../contract/model.ts";
import type { ModelEvent, ModelRequest, Provider, ProviderSettings } from "./provider.ts";

/**
 * Answers with the text of the last user message, without any network: for demos and first tests.
 *
 * A delta is a word or a part of one. A token is a word (what white space separates): of all
 * messages for the prompt, of the answer for the completion.
 */
export const echo: Provider = { name: "echo", stream: answer };

/** Deltas that come together, before the rest of the process has its turn. */
const BATCH = 16;

async function* answer(request: ModelRequest, _settings: ProviderSettings, signal: AbortSignal): AsyncGenerator<readonly ModelEvent[], void, undefined> {
  const last = request.messages.findLast((message) => message.role === "user");
  const text = (last === undefined ? "" : textIn(last)).replace(/\p{Surrogate}/gu, "\uFFFD");
  let batch: ModelEvent[] = [];
  for (const [piece] of text.matchAll(/\s{1,12}|\S{1,12}\s{0,2}/gu)) {
    batch.push({ type: "text", text: piece });
    if (batch.length < BATCH) continue;
    if (signal.aborted) return;
    yield batch;
    batch = [];
    await new Promise((resolve) => setImmediate(resolve));
  }
  if (signal.aborted) return;
  yield [...batch, { type: "usage", usage: count(request.messages, text) }, { type: "finish", reason: "stop" }];
}

function count(messages: readonly ChatMessage[], answered: string): Usage {
  const promptTokens = messages.reduce((sum, message) => sum + words(textIn(message)), 0);
  const completionTokens = words(answered);
  return { promptTokens, completionTokens, totalTokens: promptTokens + completionTokens };
}

function textIn({ content }: ChatMessage): string {
  return typeof content === "string" ? content : content.flatMap((part) => (part.type === "text" ? [part.text] : [])).join("");
}

function words(text: string): number {
  return text.match(/\S+/g)?.length ?? 0;
}
