import { defaults } from "../contract/defaults.ts";
import { AnthropicDialect } from "./anthropic-dialect.ts";
import { encodeConversation } from "./anthropic-messages.ts";
import { attempt, type Call, endpoint, headerKey, withOptions } from "./attempt.ts";
import type { ModelRequest, Provider, ProviderSettings } from "./provider.ts";

/** The Messages API of Anthropic, and servers that speak it. */
export const anthropic: Provider = {
  name: "anthropic",
  stream: (request, settings, signal) => attempt(() => encode(request, settings), new AnthropicDialect(), settings, signal),
};

/** The version of the API that is spoken here. */
const VERSION = "2023-06-01";
/** The API insists on a number; every current model can give this much. */
const DEFAULT_MAX_TOKENS = 8192;

function encode(request: ModelRequest, settings: ProviderSettings): Call {
  const key = headerKey(settings.apiKey);
  const baseUrl = settings.baseUrl ?? defaults.baseUrl.anthropic;
  return {
    url: messagesEndpoint(baseUrl),
    headers: { "anthropic-version": VERSION, ...(key === undefined ? {} : { "x-api-key": key }) },
    body: withOptions(
      {
        model: request.model,
        ...encodeConversation(request.messages),
        max_tokens: request.maxTokens ?? DEFAULT_MAX_TOKENS,
        temperature: request.temperature,
        stream: true,
        tools: encodeTools(request),
      },
      request.providerOptions,
    ),
  };
}

/** With or without `/v1` at its end: both are seen in the wild. */
function messagesEndpoint(baseUrl: string): URL {
  const url = endpoint(baseUrl, "");
  url.pathname = url.pathname.replace(/\/v1\/*$/, "");
  return endpoint(url.href, "/v1/messages");
}

function encodeTools({ tools }: ModelRequest): unknown[] | undefined {
  if (tools === undefined || tools.length === 0) return undefined;
  return tools.map(({ function: { name, description, parameters } }) => ({
    name,
    description,
    // `type` is obligatory here, and often left out for tools without arguments.
    input_schema: { type: "object", ...parameters },
  }));
}
