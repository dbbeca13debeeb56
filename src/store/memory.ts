import type { AgentSession, ChatMessage, HarnessTrace, StoredMessage, TurnStatus } from "../contract/model.ts";
import { fail } from "../errors.ts";
import { decodeCursor, encodeCursor } from "./cursor.ts";
import { storageFailure, turnExists } from "./failures.ts";
import { answerMessage, hasContent, hasEnded, type MessageBody, messageId, pageLength, toChatMessage } from "./messages.ts";
import { merge, Recency } from "./recency.ts";
import type { Page, SessionFields, SessionFilter, Store, StoreOptions, TraceFilter, TraceRecord, TurnEnd, TurnStart } from "./store.ts";
import { jsonCopy, wellFormed } from "./text.ts";

/** A store that ends with the process, for `:memory:`. */
export async function openMemoryStore(options: StoreOptions): Promise<Store> {
  const memory = new Memory(options);
  /** Answers like a store on disk: later, and with a rejection where `access` throws. */
  const access = async <T>(run: () => T): Promise<T> => {
    if (memory.isClosed) throw storageFailure("closed");
    return run();
  };
  return {
    upsertSession: (fields) => access(() => memory.upsertSession(fields)),
    getSession: (sessionId) => access(() => publicSession(memory.session(sessionId))),
    setActive: (sessionId, isActive) => access(() => memory.setActive(sessionId, isActive)),
    listSessions: (filter) => access(() => memory.listSessions(filter)),
    deleteSession: (sessionId) => access(() => memory.deleteSession(sessionId)),
    listMessages: (sessionId, page) => access(() => memory.listMessages(sessionId, page)),
    history: (sessionId, turnId) => access(() => memory.history(sessionId, turnId)),
    beginTurn: (start) => access(() => memory.beginTurn(start)),
    // Kept so that a crash loses no text: here a crash loses everything.
    appendAnswer: () => access(() => {}),
    endTurn: (end) => access(() => memory.endTurn(end)),
    saveTrace: (record) => access(() => memory.saveTrace(record)),
    getTrace: (traceId) => access(() => memory.getTrace(traceId)),
    listTraces: (filter) => access(() => memory.listTraces(filter)),
    health: () => ({ status: "ok", latencyMs: 0 }),
    async close() {
      memory.isClosed = true;
    },
    closeSync() {
      memory.isClosed = true;
    },
  };
}

interface Session {
  touched: number;
  session: AgentSession;
  turns: Map<string, Turn>;
}

interface Turn {
  /** Rises with every turn that is begun. */
  key: number;
  turnId: string;
  sessionId: string | undefined;
  status: TurnStatus;
  given: number;
  messages: { body: MessageBody; partial: boolean; createdAt: string }[];
}

interface Trace {
  key: number;
  record: TraceRecord;
}

/** Traces beyond the limit that are put up with before the oldest are dropped, all at once. */
const PRUNE_STEP = 100;

class Memory {
  isClosed = false;
  private readonly options: StoreOptions;
  private readonly sessions = new Map<string, Session>();
  /** One list for each value of each filter, see `listsOf`. */
  private readonly lists = new Map<string, Recency<Session>>();
  private readonly turns = new Map<string, Turn>();
  private readonly traces = new Map<string, Trace>();
  /** Ascending by key. */
  private tracesByAge: Trace[] = [];
  private lastTouched = 0;
  private lastTurn = 0;
  private lastTrace = 0;

  constructor(options: StoreOptions) {
    this.options = options;
  }

  upsertSession(fields: SessionFields): AgentSession {
    const now = this.timestamp();
    const found = this.sessions.get(wellFormed(fields.sessionId));
    const { sessionId, userId, chatId, currentStage, scenario, projectId, nextStage, stageData } = fields;
    const session: AgentSession = {
      ...jsonCopy({ sessionId, userId, chatId, currentStage, scenario }),
      isActive: true,
      createdAt: found?.session.createdAt ?? now,
      updatedAt: now,
    };
    if (projectId !== undefined) session.projectId = wellFormed(projectId);
    if (nextStage !== undefined) session.nextStage = wellFormed(nextStage);
    if (stageData !== undefined) session.stageData = jsonCopy(stageData);
    const entry = found ?? { touched: 0, session, turns: new Map() };
    this.sessions.set(session.sessionId, entry);
    this.use(entry, session);
    return publicSession(entry);
  }

  setActive(sessionId: string, isActive: boolean): AgentSession {
    const entry = this.session(sessionId);
    this.use(entry, { ...entry.session, isActive, updatedAt: this.timestamp() });
    return publicSession(entry);
  }

  /** Throws `session_not_found`. */
  session(sessionId: string): Session {
    const entry = this.sessions.get(wellFormed(sessionId));
    if (entry === undefined) throw fail("session_not_found", { sessionId });
    return entry;
  }

  listSessions(filter: SessionFilter): AgentSession[] {
    const before = filter.after === undefined ? Number.POSITIVE_INFINITY : this.session(filter.after).touched;
    const list = (isActive: boolean): Iterator<Session, undefined> => {
      const key = listKey(isActive, optionally(filter.userId), optionally(filter.chatId));
      return (this.lists.get(key) ?? new Recency<Session>()).before(before);
    };
    const found = filter.activeOnly === true ? list(true) : merge(list(true), list(false));
    const page: AgentSession[] = [];
    while (page.length < filter.limit) {
      const { value } = found.next();
      if (value === undefined) break;
      page.push(publicSession(value));
    }
    return page;
  }

  deleteSession(sessionId: string): void {
    const entry = this.session(sessionId);
    for (const key of listsOf(entry.session)) this.leave(key, entry);
    for (const turnId of entry.turns.keys()) this.turns.delete(turnId);
    this.sessions.delete(entry.session.sessionId);
  }

  listMessages(sessionId: string, page: { limit: number; cursor?: string | undefined }): Page<StoredMessage> {
    const [afterTurn = 0, afterPosition = 0] = page.cursor === undefined ? [0, -1] : decodeCursor("m", page.cursor);
    const found: { place: number[]; message: StoredMessage }[] = [];
    for (const turn of this.session(sessionId).turns.values()) {
      if (turn.key < afterTurn || found.length > page.limit) continue;
      for (const [position, message] of turn.messages.entries()) {
        if (turn.key === afterTurn && position <= afterPosition) continue;
        const stored: StoredMessage = {
          messageId: messageId(turn.turnId, position),
          turnId: turn.turnId,
          turnStatus: turn.status,
          ...jsonCopy(message.body),
          partial: message.partial,
          createdAt: message.createdAt,
        };
        found.push({ place: [turn.key, position], message: stored });
      }
    }
    const length = pageLength(found.slice(0, page.limit).map(({ message }) => JSON.stringify(message).length));
    const last = found[length - 1];
    const items = found.slice(0, length).map(({ message }) => message);
    return { items, nextCursor: found.length > length && last !== undefined ? encodeCursor("m", last.place) : undefined };
  }

  history(sessionId: string, turnId: string): ChatMessage[] {
    const until = this.turns.get(wellFormed(turnId))?.key ?? Number.POSITIVE_INFINITY;
    return [...this.session(sessionId).turns.values()]
      .filter((turn) => turn.key < until)
      .flatMap((turn) => turn.messages.map((message) => message.body))
      .filter(hasContent)
      .map((body) => jsonCopy(toChatMessage(body)));
  }

  beginTurn(start: TurnStart): void {
    const entry = start.sessionId === undefined ? undefined : this.session(start.sessionId);
    if (entry !== undefined && !entry.session.isActive) throw fail("session_closed", { sessionId: start.sessionId });
    const turnId = wellFormed(start.turnId);
    if (this.turns.has(turnId)) throw turnExists();
    const now = this.timestamp();
    const messages = entry === undefined ? [] : jsonCopy(start.messages).map((body) => ({ body, partial: false, createdAt: now }));
    const turn: Turn = { key: ++this.lastTurn, turnId, sessionId: entry?.session.sessionId, status: "running", given: messages.length, messages };
    this.turns.set(turnId, turn);
    this.saveTrace({ trace: start.trace, spans: [], events: [] });
    if (entry === undefined) return;
    entry.turns.set(turnId, turn);
    this.use(entry, { ...entry.session, updatedAt: now });
  }

  endTurn(end: TurnEnd): void {
    const turn = this.turns.get(wellFormed(end.turnId));
    if (turn?.sessionId === undefined) {
      if (turn !== undefined) this.turns.delete(turn.turnId);
      const known = this.traces.get(wellFormed(end.trace.trace.traceId));
      if (known === undefined || !hasEnded(known.record.trace)) this.saveTrace(end.trace);
      return;
    }
    if (turn.status !== "running") return;
    const entry = this.session(turn.sessionId);
    const now = this.timestamp();
    turn.status = end.status;
    let { trace } = end.trace;
    if (end.answer !== undefined) {
      turn.messages[turn.given] = { body: jsonCopy(answerMessage(end.answer)), partial: end.status !== "completed", createdAt: now };
      trace = { ...trace, assistantMessageId: messageId(turn.turnId, turn.given) };
    }
    this.saveTrace({ ...end.trace, trace });
    this.use(entry, { ...entry.session, updatedAt: now });
  }

  saveTrace(given: TraceRecord): void {
    const record = jsonCopy({ trace: given.trace, spans: given.spans, events: given.events });
    const known = this.traces.get(record.trace.traceId);
    if (known !== undefined) {
      known.record = record;
      return;
    }
    const trace: Trace = { key: ++this.lastTrace, record };
    this.traces.set(record.trace.traceId, trace);
    this.tracesByAge.push(trace);
    if (this.tracesByAge.length <= this.options.keepTraces + PRUNE_STEP) return;
    const kept = this.tracesByAge.length - this.options.keepTraces;
    for (const { record: old } of this.tracesByAge.slice(0, kept)) this.traces.delete(old.trace.traceId);
    this.tracesByAge = this.tracesByAge.slice(kept);
  }

  getTrace(traceId: string): TraceRecord {
    const trace = this.traces.get(wellFormed(traceId));
    if (trace === undefined) throw fail("trace_not_found", { traceId });
    return jsonCopy(trace.record);
  }

  listTraces(filter: TraceFilter): Page<HarnessTrace> {
    const [before = 0] = filter.cursor === undefined ? [Number.POSITIVE_INFINITY] : decodeCursor("t", filter.cursor);
    const sessionId = optionally(filter.sessionId);
    const items: HarnessTrace[] = [];
    let last = 0;
    for (let index = this.tracesByAge.length - 1; index >= 0; index--) {
      const found = this.tracesByAge[index];
      if (found === undefined || found.key >= before) continue;
      const { trace } = found.record;
      if (sessionId !== undefined && trace.sessionId !== sessionId) continue;
      if (filter.status !== undefined && trace.status !== filter.status) continue;
      if (items.length === filter.limit) return { items, nextCursor: encodeCursor("t", [last]) };
      items.push(jsonCopy(trace));
      last = found.key;
    }
    return { items, nextCursor: undefined };
  }

  /** Gives an entry its new state, and its place as the one used last. */
  private use(entry: Session, session: AgentSession): void {
    for (const key of listsOf(entry.session)) this.leave(key, entry);
    entry.session = session;
    entry.touched = ++this.lastTouched;
    for (const key of listsOf(session)) {
      const list = this.lists.get(key) ?? new Recency<Session>();
      this.lists.set(key, list);
      list.add(entry);
    }
  }

  private leave(key: string, entry: Session): void {
    const list = this.lists.get(key);
    list?.remove(entry);
    if (list?.size === 0) this.lists.delete(key);
  }

  private timestamp(): string {
    return new Date(this.options.now()).toISOString();
  }
}

/** One key for each combination of filters that finds the session. */
function listsOf({ isActive, userId, chatId }: AgentSession): string[] {
  return [
    listKey(isActive, undefined, undefined),
    listKey(isActive, userId, undefined),
    listKey(isActive, undefined, chatId),
    listKey(isActive, userId, chatId),
  ];
}

function listKey(isActive: boolean, userId: string | undefined, chatId: string | undefined): string {
  return JSON.stringify([isActive, userId ?? null, chatId ?? null]);
}

function optionally(text: string | undefined): string | undefined {
  return text === undefined ? undefined : wellFormed(text);
}

/** A copy that the caller may keep. */
function publicSession({ session }: Session): AgentSession {
  return session.stageData === undefined ? { ...session } : { ...session, stageData: jsonCopy(session.stageData) };
}
