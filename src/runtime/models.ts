import type { ModelParams } from "../contract/agent/model-params.ts";
import { type Caller, isAdmin } from "../contract/caller.ts";
import type { Config } from "../contract/config.ts";
import { defaults } from "../contract/defaults.ts";
import { splitModelId } from "../contract/model-id.ts";
import { fail } from "../errors.ts";
import type { ModelRequest, Provider, ProviderEntry, ProviderSettings } from "../providers/provider.ts";
import { registerSecret } from "../redact.ts";
import { type ModelName, properName, ProviderNames } from "./provider-names.ts";
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

/** What a session says about the model that its turns ask. Nothing of it counts for a turn that names another provider. */
export interface SessionModel {
  provider?: string | undefined;
  model?: string | undefined;
  baseUrl?: string | undefined;
  apiKey?: { value: string; server: ModelServer } | undefined;
  temperature?: number | undefined;
  maxTokens?: number | undefined;
}

/** Whom a key was given for: it goes to nobody else. */
export interface ModelServer {
  provider: string;
  /** Undefined for providers that ask nobody. */
  origin: string | undefined;
}

/** Which model is asked, and where. */
export interface Choice {
  entry: ProviderEntry;
  /** The alias where it has an address of its own, else the name of the entry. */
  provider: string;
  model: string | undefined;
  baseUrl: string | undefined;
  /** What the session says, when it counts. */
  session: SessionModel;
}

type ProviderConfig = Partial<Config["providers"]["openai"] & Config["providers"]["scripted"]>;

/**
 * Finds the provider of a call and settles where its model, address and key come from: params, else the session, else
 * configuration, else environment.
 */
export class Models {
  readonly #names: ProviderNames;
  readonly #config: () => Config;
  readonly #env: NodeJS.ProcessEnv;
  readonly #loaded = new Set<string>();

  constructor(entries: readonly ProviderEntry[], config: () => Config, env: NodeJS.ProcessEnv) {
    this.#names = new ProviderNames(entries);
    this.#config = config;
    this.#env = env;
  }

  /** Names of the providers that were used in this run. */
  get loaded(): string[] {
    return [...this.#loaded];
  }

  /** For `agent.model.list`. */
  list(): { id: string; provider: string; model: string }[] {
    const { model, providers } = this.#config();
    const named = [
      splitModelId(model),
      ...Object.entries(providers).map(([provider, configured]) => ({ provider, model: "model" in configured ? configured.model : undefined })),
    ];
    const models = named.flatMap(({ provider = "", model: name }) => {
      const entry = this.#names.known(provider);
      if (entry === undefined || nonEmpty(name) === undefined) return [];
      const asked = properName(entry, provider);
      return [[`${asked}:${name}`, { id: `${asked}:${name}`, provider: asked, model: String(name) }] as const];
    });
    return [...new Map(models).values()].toSorted((a, b) => (a.id < b.id ? -1 : 1));
  }

  /** `openai:gpt-4o` in its halves, see `ProviderNames`. Throws `invalid_params` for an unknown provider. */
  split(named: Pick<SessionModel, "provider" | "model">): ModelName {
    return this.#names.split(named);
  }

  /** Throws `invalid_params` where nobody says which provider, or it is unknown. */
  choose(params: Pick<ModelParams, "provider" | "model" | "baseUrl">, session: SessionModel = {}): Choice {
    const asked = this.#names.split(params);
    const usual = splitModelId(this.#config().model);
    const ofSession = session.provider ?? usual.provider;
    const named = asked.provider ?? ofSession;
    if (named === undefined) {
      throw fail(
        "invalid_params",
        { path: "provider" },
        "No provider: name one in the call, configure one for the session (agent.session.configure), or set model in the configuration (provider:name)",
      );
    }
    const entry = this.#names.find(named);
    const provider = properName(entry, named);
    const isSame = ofSession !== undefined && this.#names.known(ofSession) === entry && properName(entry, ofSession) === provider;
    const counts = isSame ? session : {};
    const configured = this.#configured(entry.name);
    const byDefault = asked.provider === undefined && session.provider === undefined ? usual.model : undefined;
    return {
      entry,
      provider,
      model: asked.model ?? counts.model ?? byDefault ?? configured.model,
      baseUrl: params.baseUrl ?? counts.baseUrl ?? homeOf(entry, provider, configured),
      session: counts,
    };
  }

  /** Throws `invalid_params` where something is missing or unknown, `forbidden` for what is not for this caller. */
  resolve(params: ModelParams, { messages, tools }: Pick<ModelRequest, "messages" | "tools">, caller: Caller, session: SessionModel = {}): ModelCall {
    const choice = this.choose(params, session);
    const { entry, model, baseUrl } = choice;
    const configured = this.#configured(entry.name);
    requireModel(choice);
    const { providerOptions } = params;
    const reserved = entry.adminOptions?.find((name) => providerOptions !== undefined && Object.hasOwn(providerOptions, name));
    if (reserved !== undefined && !isAdmin(caller)) throw fail("forbidden", { path: `providerOptions.${reserved}` });
    if (!isAdmin(caller)) this.#refuseOtherServers(choice);
    const apiKey = this.#keyFor(choice, params, caller);
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
        temperature: params.temperature ?? choice.session.temperature,
        maxTokens: params.maxTokens ?? choice.session.maxTokens,
        providerOptions,
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

  /** Whoever may name any address can look at everything that this machine reaches: what a server there says comes back in errors. */
  #refuseOtherServers({ entry, provider, baseUrl }: Choice): void {
    const home = homeOf(entry, provider, this.#configured(entry.name));
    // A provider without one asks nobody.
    if (home === undefined || [home, ...this.#config().allowedBaseUrls].map(originOf).includes(originOf(baseUrl))) return;
    throw fail("forbidden", { path: "baseUrl" }, "With this key only model servers that are configured can be asked");
  }

  /**
   * A key goes where it was meant to go. Keys of the configuration and the environment are the operator's: they go to the server that
   * is configured, and elsewhere only when somebody who may do everything names the address in the very call. An address that is kept
   * with a session may have been put there by somebody else than who asks now.
   */
  #keyFor({ entry, provider, baseUrl, session }: Choice, params: ModelParams, caller: Caller): string | undefined {
    const given = nonEmpty(params.apiKey);
    if (given !== undefined) return given;
    const origin = originOf(baseUrl);
    const kept = session.apiKey;
    if (kept !== undefined && kept.server.provider === provider && kept.server.origin === origin) return kept.value;
    const configured = this.#configured(entry.name);
    const isMeant = origin === originOf(homeOf(entry, provider, configured)) || (params.baseUrl !== undefined && isAdmin(caller));
    if (!isMeant) return undefined;
    // A key that nobody meant for this call must not reach a server that happens to run here.
    const local = entry.localAliases?.[provider];
    const variable = local !== undefined && origin === originOf(local) ? undefined : entry.apiKeyVariable;
    return nonEmpty(configured.apiKey) ?? nonEmpty(variable === undefined ? undefined : this.#env[variable]);
  }

  #configured(name: string): ProviderConfig {
    const providers: Record<string, object> = this.#config().providers;
    return providers[name] ?? {};
  }
}

/** Throws `invalid_params` where there has to be a model and is none. */
export function requireModel({ entry, model }: Choice): void {
  if (model === undefined && entry.needsModel) throw fail("invalid_params", { path: "model" }, `The provider ${entry.name} needs a model`);
}

/** For whom a key would be that is given now. */
export function serverOf({ provider, baseUrl }: Pick<Choice, "provider" | "baseUrl">): ModelServer {
  return { provider, origin: originOf(baseUrl) };
}

/** Where a provider is when a call does not say. */
function homeOf(entry: ProviderEntry, provider: string, configured: ProviderConfig): string | undefined {
  return configured.baseUrl ?? entry.localAliases?.[provider] ?? entry.defaultBaseUrl;
}

function originOf(url: string | undefined): string | undefined {
  return url === undefined || !URL.canParse(url) ? undefined : new URL(url).origin;
}

function nonEmpty(value: string | undefined): string | undefined {
  return value === undefined || value === "" ? undefined : value;
}
