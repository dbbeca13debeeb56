import { defaults } from "../contract/defaults.ts";
import type { ChatMessage } from "../contract/model.ts";
import { attempt, type Call, endpoint, headerKey, withOptions } from "./attempt.ts";
import { OpenAiDialect } from "./openai-dialect.ts";
import type { ModelRequest, Provider, ProviderSettings } from "./provider.ts";

/** Any server with `/chat/completions`: OpenAI, Ollama, vLLM, llama.cpp, OpenRouter and the like. */
export const openai: Provider = {
  name: "openai",
  stream: (request, settings, signal) => attempt(() => encode(request, settings), new OpenAiDialect(), settings, signal),
};

function encode(request: ModelRequest, settings: ProviderSettings): Call {
  const key = headerKey(settings.apiKey);
  return {
    url: endpoint(settings.baseUrl ?? defaults.baseUrl.openai, "/chat/completions"),
    headers: key === undefined ? {} : { authorization: `Bearer ${key}` },
    body: withOptions(
      {
        model: request.model,
        messages: request.messages.map(encodeMessage),
        stream: true,
        stream_options: { include_usage: true },
        temperature: request.temperature,
        [takesCompletionTokens(request.model) ? "max_completion_tokens" : "max_tokens"]: request.maxTokens,
        // An empty list is refused.
        tools: request.tools?.length === 0 ? undefined : request.tools,
      },
      request.providerOptions,
    ),
  };
}

/** Reasoning models of OpenAI refuse `max_tokens`; older servers know nothing else. Gateways put the vendor in front. */
function takesCompletionTokens(model: string | undefined): boolean {
  return /(?:^|\/)(?:o\d|gpt-5)/.test(model ?? "");
}

function encodeMessage({ role, content, name, toolCalls, toolCallId }: ChatMessage): Record<string, unknown> {
  const calls = toolCalls?.map((call) => ({
    id: call.id,
    type: "function",
    // Servers parse what they are sent, so text that was no JSON object goes as the empty object that was run.
    function: { name: call.name, arguments: JSON.stringify(call.arguments) },
  }));
  const hasCalls = calls !== undefined && calls.length > 0;
  return {
    role,
    content: hasCalls && content.length === 0 ? null : content,
    name,
    tool_calls: hasCalls ? calls : undefined,
    tool_call_id: toolCallId,
  };
}
