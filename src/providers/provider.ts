import type { Failure } from "../errors.ts";
import type { ChatMessage, ProviderData, ToolCall, ToolDescriptor, Usage } from "../contract/model.ts";

/** One call to a model: what every provider turns into its own wire format. */
export interface ModelRequest {
  /** Absent only for providers that need none. */
  model: string | undefined;
  messages: readonly ChatMessage[];
  tools: readonly ToolDescriptor[] | undefined;
  temperature: number | undefined;
  maxTokens: number | undefined;
  /** Merged into the request body, last. */
  providerOptions: Record<string, unknown> | undefined;
}

/** Where and how to reach the model server. Already resolved: params, configuration, environment. */
export interface ProviderSettings {
  baseUrl: string | undefined;
  apiKey: string | undefined;
  /** Milliseconds without a data event before the attempt fails with kind `timeout`. */
  idleTimeoutMs: number;
  connectTimeoutMs: number;
  /** `scripted` only: path of the file to play. */
  script: string | undefined;
}

export type ModelEvent =
  | { type: "text"; text: string }
  | { type: "reasoning"; text: string }
  | { type: "toolCall"; call: ToolCall }
  /** At most once, before `finish`: what the provider needs back with this answer to go on from it. */
  | { type: "providerData"; data: ProviderData }
  | { type: "usage"; usage: Usage }
  | { type: "finish"; reason: string }
  /** The attempt is over; nothing follows. */
  | { type: "failure"; failure: Failure };

/**
 * A model server, spoken to once.
 *
 * The iterable yields the events of one attempt in batches (those that arrived together), and ends
 * after `finish` or `failure`. It must not throw: failures arrive as events. The consumer may take
 * its time between batches; the provider then reads no further, and the idle timeout does not run.
 * When `signal` is aborted the connection is closed at once and the iterable ends without a failure.
 * Retries are not the provider's business.
 */
export interface Provider {
  readonly name: string;
  stream(request: ModelRequest, settings: ProviderSettings, signal: AbortSignal): AsyncIterable<readonly ModelEvent[]>;
}

/** How `registry.ts` lists a provider: its module is loaded on first use. */
export interface ProviderEntry {
  name: string;
  aliases: readonly string[];
  /** Environment variable that holds the API key when neither call nor configuration does. */
  apiKeyVariable?: string;
  defaultBaseUrl?: string;
  /** Where an alias goes by itself when neither call nor configuration say where: to a local server, without the key of the environment. */
  localAliases?: Readonly<Record<string, string>>;
  /** Names in `providerOptions` that only a caller with `admin` may use, because they reach into this machine. */
  adminOptions?: readonly string[];
  needsModel: boolean;
  load(): Promise<Provider>;
}
