import type { Caller } from "../contract/caller.ts";
import type { CallParams, Params } from "../contract/index.ts";
import type { AgentSession, StoredMessage } from "../contract/model.ts";
import { fail, WireError } from "../errors.ts";
import type { SessionFields, Store } from "../store/store.ts";
import { until } from "../tools/waiting.ts";
import { shownTo } from "./access.ts";
import type { NewId } from "./ids.ts";
import { changed, type SessionModels } from "./session-models.ts";

/** How many sessions or messages a page holds when the host does not say. */
const PAGE = 100;
/** Characters of JSON that a host may keep with a session: a list of a thousand must still fit in a frame. */
const MOST_STAGE_DATA = 64 * 1024;

export interface SessionsDependencies {
  /** Opened on first use. */
  store(): Promise<Store>;
  newId: NewId;
  models: Pick<SessionModels, "stored" | "forget">;
  /** Resolves when no turn of the session is running. */
  cancelTurns(sessionId: string): Promise<void>;
  /** Runs the task when the turns of the session that were started before are done. */
  afterTurns<T>(sessionId: string, task: () => Promise<T>): Promise<T>;
}

/** Sessions as a host sees them; what is kept and how is the store's business. */
export class Sessions {
  readonly #deps: SessionsDependencies;
  readonly #store: () => Promise<Store>;
  readonly #newId: NewId;

  constructor(deps: SessionsDependencies) {
    this.#deps = deps;
    this.#store = deps.store;
    this.#newId = deps.newId;
  }

  async create(params: Params<"agent.session.create">, caller: Caller): Promise<AgentSession> {
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
      projectId: changed(params.projectId, before?.projectId),
      nextStage: changed(params.nextStage, before?.nextStage),
      stageData: changed(params.stageData, before?.stageData),
      alias: changed(params.alias, before?.alias),
      ...this.#deps.models.stored(params, before),
    };
    return store.upsertSession(fields, caller.subject);
  }

  /** Waits for nothing: turns of the session that are running are left out. */
  async fork({ sessionId, throughTurnId, newSessionId, chatId }: Params<"agent.session.fork">, caller: Caller): Promise<AgentSession> {
    const store = await this.#store();
    const { createdAt: _, updatedAt: __, isActive: ___, ...from } = await store.getSession(sessionId);
    const fields: SessionFields = { ...from, sessionId: newSessionId ?? this.#newId.session(), chatId: chatId ?? from.chatId };
    return store.forkSession({ from: sessionId, throughTurnId, fields, newTurnId: this.#newId.stream }, caller.subject);
  }

  async resume(sessionId: string): Promise<AgentSession> {
    const store = await this.#store();
    const session = await store.getSession(sessionId);
    return session.isActive ? session : store.setActive(sessionId, true);
  }

  async list(params: CallParams<"agent.session.list"> & object, caller: Caller): Promise<AgentSession[]> {
    return (await this.#store()).listSessions({ ...params, owner: shownTo(caller), limit: params.limit ?? PAGE });
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
    await this.#deps.cancelTurns(sessionId);
    await store.deleteSession(sessionId);
    this.#deps.models.forget(sessionId);
    return null;
  }

  /** Waits for the turns of the session. Once it was cancelled nothing is deleted any more, unless that is under way. */
  async empty(sessionId: string, signal: AbortSignal): Promise<AgentSession> {
    const store = await this.#store();
    // What is wrong is said at once, not when the turns before are done.
    await store.getSession(sessionId);
    const emptied = this.#deps.afterTurns(sessionId, async () => {
      if (signal.aborted) throw fail("cancelled");
      return store.emptySession(sessionId);
    });
    return until(emptied, signal);
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
