import type { Params } from "../contract/index.ts";
import type { AgentSession } from "../contract/model.ts";
import { fail } from "../errors.ts";
import { registerSecret } from "../redact.ts";
import type { SessionFields, Store } from "../store/store.ts";
import { type Models, type ModelServer, serverOf, type SessionModel } from "./models.ts";

/** Sessions of which something is kept in memory; beyond, the one that was not used for longest is forgotten. */
const MOST_KEPT = 10_000;

type ConfigureParams = Params<"agent.session.configure">;
type StoredChoice = Pick<SessionFields, "provider" | "model" | "baseUrl">;

/** What is known of a session beside what is stored. */
interface Kept {
  /** Of the session: one that is made anew with the same id is another, and may be somebody else's. */
  createdAt: string;
  apiKey: { value: string; server: ModelServer } | undefined;
  temperature: number | undefined;
  maxTokens: number | undefined;
}

/** Which model the turns of a session ask: provider, model and address are stored with the session, the rest is kept here. */
export class SessionModels {
  readonly #models: Models;
  readonly #store: () => Promise<Store>;
  readonly #mostKept: number;
  /** The one used last at the end. */
  readonly #kept = new Map<string, Kept>();

  constructor(models: Models, store: () => Promise<Store>, mostKept = MOST_KEPT) {
    this.#models = models;
    this.#store = store;
    this.#mostKept = mostKept;
  }

  /** Rejects with `session_not_found`, `session_closed`, `storage`, or `invalid_params` for a key of which nobody says whom it is for. */
  async configure({ sessionId, apiKey, temperature, maxTokens, ...choice }: ConfigureParams): Promise<AgentSession> {
    registerSecret(apiKey ?? undefined);
    const store = await this.#store();
    const before = await store.getSession(sessionId);
    // Writing the fields of a session opens it.
    if (!before.isActive) throw fail("session_closed", { sessionId });
    const { createdAt, updatedAt: _, isActive: __, ...fields } = before;
    const chosen = this.stored(choice, before);
    const given = apiKey === undefined || apiKey === null ? apiKey : { value: apiKey, server: serverOf(this.#models.choose({}, chosen)) };
    const session = await store.upsertSession({ ...fields, ...chosen });
    const known = this.#find(before);
    this.#keep(sessionId, {
      createdAt,
      apiKey: changed(given, known?.apiKey),
      temperature: changed(temperature, known?.temperature),
      maxTokens: changed(maxTokens, known?.maxTokens),
    });
    return session;
  }

  /** What is stored of a choice, with what was stored before. Throws `invalid_params` for an unknown provider. */
  stored({ provider, model, baseUrl }: Pick<ConfigureParams, "provider" | "model" | "baseUrl">, before: StoredChoice | undefined): StoredChoice {
    const asked = this.#models.split({ provider: provider ?? undefined, model: model ?? undefined });
    const next = asked.provider ?? (provider === null ? undefined : before?.provider);
    // What belonged to another provider would not be understood by this one.
    const isOther = before?.provider !== undefined && before.provider !== next;
    return {
      provider: next,
      model: model === undefined ? (isOther ? undefined : before?.model) : asked.model,
      baseUrl: changed(baseUrl, isOther ? undefined : before?.baseUrl),
    };
  }

  /** What a turn of the session goes by where it does not say otherwise. */
  of(session: AgentSession | undefined): SessionModel {
    if (session === undefined) return {};
    const { sessionId, provider, model, baseUrl } = session;
    const kept = this.#find(session);
    if (kept !== undefined) this.#keep(sessionId, kept);
    return { provider, model, baseUrl, apiKey: kept?.apiKey, temperature: kept?.temperature, maxTokens: kept?.maxTokens };
  }

  /** The session is deleted. */
  forget(sessionId: string): void {
    this.#kept.delete(sessionId);
  }

  #find({ sessionId, createdAt }: AgentSession): Kept | undefined {
    const kept = this.#kept.get(sessionId);
    return kept?.createdAt === createdAt ? kept : undefined;
  }

  #keep(sessionId: string, kept: Kept): void {
    this.#kept.delete(sessionId);
    if (kept.apiKey === undefined && kept.temperature === undefined && kept.maxTokens === undefined) return;
    this.#kept.set(sessionId, kept);
    const [oldest] = this.#kept.keys();
    if (this.#kept.size > this.#mostKept && oldest !== undefined) this.#kept.delete(oldest);
  }
}

/** Left out keeps what was there; null takes it away. */
export function changed<T>(value: T | null | undefined, before: T | undefined): T | undefined {
  return value === undefined ? before : (value ?? undefined);
}
