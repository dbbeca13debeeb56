import type { ChatMessage } from "../../src/contract/model.ts";
import type { Failure } from "../../src/errors.ts";
import type { ModelEvent, ModelRequest, Provider, ProviderSettings } from "../../src/providers/provider.ts";

/** A request and settings with everything left out that a test does not speak of. */
export function requestOf(request: Partial<ModelRequest> = {}): ModelRequest {
  const messages: ChatMessage[] = [{ role: "user", content: "Hello" }];
  return {
    model: "test-model",
    messages,
    tools: undefined,
    temperature: undefined,
    maxTokens: undefined,
    providerOptions: undefined,
    ...request,
  };
}

export function settingsOf(settings: Partial<ProviderSettings> = {}): ProviderSettings {
  return { baseUrl: undefined, apiKey: undefined, idleTimeoutMs: 20_000, connectTimeoutMs: 10_000, script: undefined, ...settings };
}

/** Everything that a provider says to one request. */
export async function ask(
  provider: Provider,
  settings: Partial<ProviderSettings>,
  request: Partial<ModelRequest> = {},
  signal = new AbortController().signal,
): Promise<ModelEvent[]> {
  const events: ModelEvent[] = [];
  for await (const batch of provider.stream(requestOf(request), settingsOf(settings), signal)) events.push(...batch);
  return events;
}

export function textIn(events: readonly ModelEvent[], type: "text" | "reasoning" = "text"): string {
  return events.flatMap((event) => (event.type === type ? [event.text] : [])).join("");
}

/** The failure that ended the events; throws when something else did. */
export function failureIn(events: readonly ModelEvent[]): Failure {
  const last = events.at(-1);
  if (last?.type !== "failure") throw new Error(`expected a failure at the end of ${JSON.stringify(events)}`);
  return last.failure;
}

/** Neighbouring texts as one, so that what was said can be compared however it was cut. */
export function joined(events: readonly ModelEvent[]): ModelEvent[] {
  const out: ModelEvent[] = [];
  for (const event of events) {
    const last = out.at(-1);
    if ((event.type === "text" || event.type === "reasoning") && last?.type === event.type)
      out[out.length - 1] = { type: event.type, text: last.text + event.text };
    else out.push(event);
  }
  return out;
}
