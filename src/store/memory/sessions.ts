import { HOST } from "../../contract/caller.ts";
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

  /** One that exists keeps its owner. */
  upsert(fields: SessionFields, owner: string = HOST.subject): AgentSession {
    const now = new Date(this.now()).toISOString();
    const found = this.find(fields.sessionId);
    const { sessionId, userId, chatId, currentStage, scenario, stageData } = fields;
    const session: AgentSession = {
      ...jsonCopy({ sessionId, userId, chatId, currentStage, scenario }),
      isActive: true,
      createdAt: found?.session.createdAt ?? now,
      updatedAt: now,
    };
    for (const name of optionalTexts) {
      const value = fields[name];
      if (value !== undefined) session[name] = wellFormed(value);
    }
    if (stageData !== undefined) session.stageData = jsonCopy(stageData);
    const entry = found ?? { touched: 0, owner: wellFormed(owner), session, turns: new Map(), summaries: [], spent: nothingSpent() };
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
    const after = filter.after === undefined ? undefined : this.get(filter.after);
    if (after !== undefined && filter.owner !== undefined && after.owner !== wellFormed(filter.owner))
      throw fail("session_not_found", { sessionId: filter.after });
    const page: AgentSession[] = [];
    for (const found of this.found(filter, after?.touched ?? Number.POSITIVE_INFINITY)) {
      if (page.length === filter.limit) break;
      page.push(publicSession(found));
    }
    return page;
  }

  count(filter: Pick<SessionFilter, "owner" | "scenario" | "activeOnly">): number {
    let count = 0;
    for (const _ of this.found(filter, Number.POSITIVE_INFINITY)) count++;
    return count;
  }

  /** Gives back what it was. */
  delete(sessionId: string): Session {
    const entry = this.get(sessionId);
    for (const key of listsOf(entry)) this.leave(key, entry);
    this.sessions.delete(entry.session.sessionId);
    return entry;
  }

  touch(entry: Session): void {
    this.use(entry, { ...entry.session, updatedAt: new Date(this.now()).toISOString() });
  }

  /** Those used before `before`, latest first. */
  private *found(filter: Omit<SessionFilter, "limit">, before: number): Generator<Session, undefined> {
    const asked = columnsOf(filter);
    const list = (isActive: boolean): Generator<Session, undefined> => (this.lists.get(listKey(isActive, asked)) ?? new Recency<Session>()).before(before);
    const listed = filter.activeOnly === true ? list(true) : merge(list(true), list(false));
    for (const entry of listed) {
      const has = { ...entry.session, owner: entry.owner };
      if (columns.every((column) => asked[column] === undefined || asked[column] === has[column])) yield entry;
    }
  }

  /** Gives an entry its new state, and its place as the one used last. */
  private use(entry: Session, session: AgentSession): void {
    for (const key of listsOf(entry)) this.leave(key, entry);
    entry.session = session;
    entry.touched = ++this.lastTouched;
    for (const key of listsOf(entry)) {
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

const optionalTexts = ["projectId", "nextStage", "alias", "provider", "model", "baseUrl"] as const;

/** What the list can be filtered by. */
const columns = ["owner", "scenario", "userId", "chatId"] as const;
type Columns = { [C in (typeof columns)[number]]?: string | undefined };

function columnsOf(filter: Columns): Columns {
  return Object.fromEntries(columns.map((column) => [column, filter[column] === undefined ? undefined : wellFormed(filter[column])]));
}

/** The keys of all lists that the session is in: one for each combination of user and chat, for its owner, and for its scenario. */
function listsOf({ owner, session: { isActive, scenario, userId, chatId } }: Session): string[] {
  const lists: Columns[] = [{}, { userId }, { chatId }, { userId, chatId }, { owner }, { scenario }];
  return lists.map((list) => listKey(isActive, list));
}

/** The list in which everything is that these values ask for. Where an owner or a scenario is named, other sessions are in it as well. */
function listKey(isActive: boolean, { owner, scenario, userId, chatId }: Columns): string {
  const values = owner !== undefined ? { owner } : scenario !== undefined ? { scenario } : { userId, chatId };
  return JSON.stringify([isActive, values]);
}
