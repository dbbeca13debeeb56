import type { AgentSession } from "../../contract/model.ts";
import { fail } from "../../errors.ts";
import { merge, Recency } from "../recency.ts";
import { nothingSpent } from "../spending.ts";
import type { SessionFields, SessionFilter } from "../store.ts";
import { jsonCopy, wellFormed } from "../text.ts";
import type { Session } from "./records.ts";

export class Sessions {
  private readonly now: () => number;
  private readonly sessions = new Map<string, Session>();
  /** One list for each value of each filter, see `listsOf`. */
  private readonly lists = new Map<string, Recency<Session>>();
  private lastTouched = 0;

  constructor(now: () => number) {
    this.now = now;
  }

  upsert(fields: SessionFields): AgentSession {
    const now = new Date(this.now()).toISOString();
    const found = this.find(fields.sessionId);
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
    const entry = found ?? { touched: 0, session, turns: new Map(), summaries: [], spent: nothingSpent() };
    this.sessions.set(session.sessionId, entry);
    this.use(entry, session);
    return publicSession(entry);
  }

  setActive(sessionId: string, isActive: boolean): AgentSession {
    const entry = this.get(sessionId);
    this.use(entry, { ...entry.session, isActive, updatedAt: new Date(this.now()).toISOString() });
    return publicSession(entry);
  }

  find(sessionId: string): Session | undefined {
    return this.sessions.get(wellFormed(sessionId));
  }

  /** Throws `session_not_found`. */
  get(sessionId: string): Session {
    const entry = this.find(sessionId);
    if (entry === undefined) throw fail("session_not_found", { sessionId });
    return entry;
  }

  /** One that takes turns. Throws `session_not_found` or `session_closed`. */
  getOpen(sessionId: string): Session {
    const entry = this.get(sessionId);
    if (!entry.session.isActive) throw fail("session_closed", { sessionId });
    return entry;
  }

  list(filter: SessionFilter): AgentSession[] {
    const before = filter.after === undefined ? Number.POSITIVE_INFINITY : this.get(filter.after).touched;
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

  /** Gives back what it was. */
  delete(sessionId: string): Session {
    const entry = this.get(sessionId);
    for (const key of listsOf(entry.session)) this.leave(key, entry);
    this.sessions.delete(entry.session.sessionId);
    return entry;
  }

  touch(entry: Session): void {
    this.use(entry, { ...entry.session, updatedAt: new Date(this.now()).toISOString() });
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
}

/** A copy that the caller may keep. */
export function publicSession({ session }: Session): AgentSession {
  return session.stageData === undefined ? { ...session } : { ...session, stageData: jsonCopy(session.stageData) };
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
