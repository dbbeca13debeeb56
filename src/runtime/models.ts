import type { ModelParams } from "../contract/agent/model-params.ts";
import type { Config } from "../contract/config.ts";
import { defaults } from "../contract/defaults.ts";
import { fail } from "../errors.ts";
import type { ModelRequest, Provider, ProviderEntry, ProviderSettings } from "../providers/provider.ts";
import { registerSecret } from "../redact.ts";
import type { RetryRule } from "./turns/retry.ts";

/** A call to a model, with everything decided but the history. */
export interface ModelCall {
  provider: string;
  request: ModelRequest;
  settings: ProviderSettings;
  retry: RetryRule;
  /** Milliseconds that one answer may take from its first event to its end. */
  answerTimeoutMs: number;
  load(): Promise<Provider>;
}

/** Finds the provider of a call and settles where its model, address and key come from: params, else configuration, else environment. */
export class Models {
  readonly #entries: readonly ProviderEntry[];
  readonly #config: () => Config;
  readonly #env: NodeJS.ProcessEnv;
  readonly #loaded = new Set<string>();

  constructor(entries: readonly ProviderEntry[], config: () => Config, env: NodeJS.ProcessEnv) {
    this.#entries = entries;
    this.#config = config;
    this.#env = env;
  }

  /** Names of the providers that were used in this run. */
  get loaded(): string[] {
    return [...this.#loaded];
  }

  resolve(params: ModelParams, { messages, tools }: Pick<ModelRequest, "messages" | "tools">): ModelCall {
    const entry = this.#find(params.provider);
    const configured = this.#configured(entry.name);
    const model = params.model ?? configured.model;
    if (model === undefined && entry.needsModel) throw fail("invalid_params", { path: "model" }, `The provider ${entry.name} needs a model`);

    const local = entry.localAliases?.[normal(params.provider)];
    const baseUrl = params.baseUrl ?? configured.baseUrl ?? local ?? entry.defaultBaseUrl;
    // A key that nobody meant for this call must not reach a server that happens to run here.
    const variable = local !== undefined && baseUrl === local ? undefined : entry.apiKeyVariable;
    const apiKey = nonEmpty(params.apiKey) ?? nonEmpty(configured.apiKey) ?? nonEmpty(variable === undefined ? undefined : this.#env[variable]);
    registerSecret(apiKey);
    if (apiKey === undefined && entry.apiKeyVariable !== undefined && baseUrl === entry.defaultBaseUrl) {
      throw fail(
        "invalid_params",
        { path: "apiKey", code: "api_key_missing" },
        `No API key for ${entry.name}: pass apiKey, configure providers.${entry.name}.apiKey, or set ${entry.apiKeyVariable}`,
      );
    }
    return {
      provider: entry.name,
      request: {
        model,
        messages,
        tools,
        temperature: params.temperature,
        maxTokens: params.maxTokens,
        providerOptions: params.providerOptions,
      },
      settings: {
        baseUrl,
        apiKey,
        idleTimeoutMs: params.idleTimeoutMs ?? configured.idleTimeoutMs ?? defaults.provider.idleTimeoutMs,
        connectTimeoutMs: configured.connectTimeoutMs ?? defaults.provider.connectTimeoutMs,
        script: configured.script,
      },
      retry: configured.retry ?? defaults.provider.retry,
      answerTimeoutMs: configured.answerTimeoutMs ?? defaults.provider.answerTimeoutMs,
      load: async () => {
        const provider = await entry.load();
        this.#loaded.add(entry.name);
        return provider;
      },
    };
  }

  #find(name: string): ProviderEntry {
    const wanted = normal(name);
    const entry = this.#entries.find((candidate) => candidate.name === wanted || candidate.aliases.includes(wanted));
    if (entry !== undefined) return entry;
    const names = this.#entries.flatMap((candidate) => [candidate.name, ...candidate.aliases]);
    throw fail("invalid_params", { path: "provider", known: names }, `Unknown provider "${name.slice(0, 64)}"; known are ${names.join(", ")}`);
  }

  #configured(name: string): Partial<Config["providers"]["openai"] & Config["providers"]["scripted"]> {
    const providers: Record<string, object> = this.#config().providers;
    return providers[name] ?? {};
  }
}

function normal(name: string): string {
  return name.trim().toLowerCase();
}

function nonEmpty(value: string | undefined): string | undefined {
  return value === undefined || value === "" ? undefined : value;
}
