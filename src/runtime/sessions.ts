import type { CallParams, Params } from "../contract/index.ts";
import type { AgentSession, StoredMessage } from "../contract/model.ts";
import { fail, WireError } from "../errors.ts";
import type { SessionFields, Store } from "../store/store.ts";
import type { NewId } from "./ids.ts";

/** How many sessions or messages a page holds when the host does not say. */
const PAGE = 100;
/** Characters of JSON that a host may keep with a session: a list of a thousand must still fit in a frame. */
const MOST_STAGE_DATA = 64 * 1024;

/** Sessions as a host sees them; what is kept and how is the store's business. */
export class Sessions {
  readonly #store: () => Promise<Store>;
  readonly #newId: NewId;
  readonly #cancelTurns: (sessionId: string) => Promise<void>;

  constructor(store: () => Promise<Store>, newId: NewId, cancelTurns: (sessionId: string) => Promise<void>) {
    this.#store = store;
    this.#newId = newId;
    this.#cancelTurns = cancelTurns;
  }

  async create(params: Params<"agent.session.create">): Promise<AgentSession> {
    if (params.stageData && JSON.stringify(params.stageData).length > MOST_STAGE_DATA) {
      throw fail("invalid_params", { path: "stageData", limit: MOST_STAGE_DATA }, `stageData: longer than ${MOST_STAGE_DATA} characters of JSON`);
    }
    const store = await this.#store();
    const before = params.sessionId === undefined ? undefined : await find(store, params.sessionId);
    const fields: SessionFields = {
      sessionId: params.sessionId ?? this.#newId.session(),
      userId: params.userId ?? before?.userId ?? "local",
      chatId: params.chatId ?? before?.chatId ?? this.#newId.chat(),
      currentStage: params.currentStage ?? before?.currentStage ?? "plan",
      scenario: params.scenario ?? before?.scenario ?? "agent-entry",
      projectId: given(params.projectId, before?.projectId),
      nextStage: given(params.nextStage, before?.nextStage),
      stageData: given(params.stageData, before?.stageData),
    };
    return store.upsertSession(fields);
  }

  /** Waits for nothing: turns of the session that are running are left out. */
  async fork({ sessionId, throughTurnId, newSessionId, chatId }: Params<"agent.session.fork">): Promise<AgentSession> {
    const store = await this.#store();
    const { createdAt: _, updatedAt: __, isActive: ___, ...from } = await store.getSession(sessionId);
    const fields: SessionFields = { ...from, sessionId: newSessionId ?? this.#newId.session(), chatId: chatId ?? from.chatId };
    return store.forkSession({ from: sessionId, throughTurnId, fields, newTurnId: this.#newId.stream });
  }

  async resume(sessionId: string): Promise<AgentSession> {
    const store = await this.#store();
    const session = await store.getSession(sessionId);
    return session.isActive ? session : store.setActive(sessionId, true);
  }

  async list(params: CallParams<"agent.session.list"> & object): Promise<AgentSession[]> {
    return (await this.#store()).listSessions({ ...params, limit: params.limit ?? PAGE });
  }

  async get(params: Params<"agent.session.get">): Promise<{ session: AgentSession; messages: StoredMessage[]; nextCursor?: string }> {
    const store = await this.#store();
    const session = await store.getSession(params.sessionId);
    const { items, nextCursor } = await store.listMessages(params.sessionId, { limit: params.limit ?? PAGE, cursor: params.cursor });
    return { session, messages: items, ...(nextCursor === undefined ? {} : { nextCursor }) };
  }

  async close(sessionId: string): Promise<AgentSession> {
    return (await this.#store()).setActive(sessionId, false);
  }

  async delete(sessionId: string): Promise<null> {
    const store = await this.#store();
    await store.getSession(sessionId);
    await this.#cancelTurns(sessionId);
    await store.deleteSession(sessionId);
    return null;
  }
}

async function find(store: Store, sessionId: string): Promise<AgentSession | undefined> {
  try {
    return await store.getSession(sessionId);
  } catch (error) {
    if (error instanceof WireError && error.errorName === "session_not_found") return undefined;
    throw error;
  }
}

/** Left out keeps what was there; null takes it away. */
function given<T>(value: T | null | undefined, before: T | undefined): T | undefined {
  return value === undefined ? before : (value ?? undefined);
}
