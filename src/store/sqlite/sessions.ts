import { HOST } from "../../contract/caller.ts";
import type { AgentSession } from "../../contract/model.ts";
import { fail } from "../../errors.ts";
import type { SessionFields, SessionFilter } from "../store.ts";
import { fromColumn, toColumn, toJson, wellFormed } from "../text.ts";
import { type Connection, number, object, text } from "./connection.ts";
import type { Row, Value } from "./driver.ts";

/** The sessions table. Synchronous; changes belong into a transaction. */
export class Sessions {
  private readonly connection: Connection;
  private readonly now: () => number;

  constructor(connection: Connection, now: () => number) {
    this.connection = connection;
    this.now = now;
  }

  /** One that exists keeps its owner. */
  upsert(fields: SessionFields, owner: string = HOST.subject): AgentSession {
    const now = this.now();
    const row = this.connection.get(
      `INSERT INTO sessions (
         session_id, user_id, chat_id, project_id, current_stage, next_stage, scenario, stage_data, alias, provider, model, base_url,
         subject, is_active, created_at, updated_at, touched
       ) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1, ?, ?, ${NEXT_TOUCHED})
       ON CONFLICT (session_id) DO UPDATE SET
         user_id = excluded.user_id, chat_id = excluded.chat_id, current_stage = excluded.current_stage, scenario = excluded.scenario,
         project_id = excluded.project_id, next_stage = excluded.next_stage, stage_data = excluded.stage_data, alias = excluded.alias,
         provider = excluded.provider, model = excluded.model, base_url = excluded.base_url,
         is_active = 1, updated_at = excluded.updated_at, touched = excluded.touched
       RETURNING *`,
      toColumn(fields.sessionId),
      toColumn(fields.userId),
      toColumn(fields.chatId),
      optional(fields.projectId),
      toColumn(fields.currentStage),
      optional(fields.nextStage),
      toColumn(fields.scenario),
      fields.stageData === undefined ? null : toJson(fields.stageData),
      optional(fields.alias),
      optional(fields.provider),
      optional(fields.model),
      optional(fields.baseUrl),
      toColumn(owner),
      now,
      now,
    );
    return toSession(row ?? {});
  }

  get(sessionId: string): AgentSession {
    return toSession(this.find(sessionId));
  }

  setActive(sessionId: string, isActive: boolean): AgentSession {
    const row = this.connection.get(
      `UPDATE sessions SET is_active = ?, updated_at = ?, touched = ${NEXT_TOUCHED} WHERE session_id = ? RETURNING *`,
      isActive ? 1 : 0,
      this.now(),
      toColumn(sessionId),
    );
    if (row === undefined) throw fail("session_not_found", { sessionId });
    return toSession(row);
  }

  /** Newest use first. */
  list(filter: SessionFilter): AgentSession[] {
    const { conditions, values } = conditionsOf(filter);
    if (filter.after !== undefined) {
      const after = this.find(filter.after);
      if (filter.owner !== undefined && ownerOf(after) !== wellFormed(filter.owner)) throw fail("session_not_found", { sessionId: filter.after });
      conditions.push("touched < ?");
      values.push(number(after, "touched"));
    }
    const scan = (isActive: 0 | 1): string =>
      `SELECT * FROM (SELECT * FROM sessions WHERE ${[...conditions, `is_active = ${isActive}`].join(" AND ")} ORDER BY touched DESC LIMIT ?)`;
    if (filter.activeOnly === true) return this.connection.all(scan(1), ...values, filter.limit).map(toSession);
    return this.connection
      .all(`${scan(1)} UNION ALL ${scan(0)} ORDER BY touched DESC LIMIT ?`, ...values, filter.limit, ...values, filter.limit, filter.limit)
      .map(toSession);
  }

  count(filter: Pick<SessionFilter, "owner" | "scenario" | "activeOnly">): number {
    const { conditions, values } = conditionsOf(filter);
    if (filter.activeOnly === true) conditions.push("is_active = 1");
    const where = conditions.length === 0 ? "" : `WHERE ${conditions.join(" AND ")}`;
    return number(this.connection.get(`SELECT count(*) AS sessions FROM sessions ${where}`, ...values) ?? {}, "sessions");
  }

  ownerOf(sessionId: string): string | undefined {
    const row = this.look(sessionId);
    return row === undefined ? undefined : ownerOf(row);
  }

  /** With its turns and messages. */
  delete(sessionId: string): void {
    if (this.connection.run("DELETE FROM sessions WHERE session_id = ?", toColumn(sessionId)) === 0) throw fail("session_not_found", { sessionId });
  }

  /** The key of a session that takes turns. Throws `session_not_found` or `session_closed`. */
  openKey(sessionId: string): number {
    const row = this.find(sessionId);
    if (number(row, "is_active") === 0) throw fail("session_closed", { sessionId });
    return number(row, "session_key");
  }

  /** Throws `session_not_found`. */
  key(sessionId: string): number {
    return number(this.find(sessionId), "session_key");
  }

  has(sessionId: string): boolean {
    return this.look(sessionId) !== undefined;
  }

  touch(sessionKey: number): void {
    this.connection.run(`UPDATE sessions SET updated_at = ?, touched = ${NEXT_TOUCHED} WHERE session_key = ?`, this.now(), sessionKey);
  }

  private find(sessionId: string): Row {
    const row = this.look(sessionId);
    if (row === undefined) throw fail("session_not_found", { sessionId });
    return row;
  }

  private look(sessionId: string): Row | undefined {
    return this.connection.get("SELECT * FROM sessions WHERE session_id = ?", toColumn(sessionId));
  }
}

/** One more than any session has; each half is a look at the end of an index. */
const NEXT_TOUCHED = `(1 + max(
  coalesce((SELECT max(touched) FROM sessions WHERE is_active = 0), 0),
  coalesce((SELECT max(touched) FROM sessions WHERE is_active = 1), 0)))`;

function conditionsOf({ owner, scenario, userId, chatId }: Omit<SessionFilter, "limit">): { conditions: string[]; values: Value[] } {
  const filters = Object.entries({ subject: owner, scenario, user_id: userId, chat_id: chatId }).filter(([, value]) => value !== undefined);
  return { conditions: filters.map(([column]) => `${column} = ?`), values: filters.map(([, value]) => toColumn(value ?? "")) };
}

function ownerOf(row: Row): string {
  return fromColumn(text(row, "subject"));
}

function toSession(row: Row): AgentSession {
  const session: AgentSession = {
    sessionId: fromColumn(text(row, "session_id")),
    userId: fromColumn(text(row, "user_id")),
    chatId: fromColumn(text(row, "chat_id")),
    currentStage: fromColumn(text(row, "current_stage")),
    scenario: fromColumn(text(row, "scenario")),
    isActive: number(row, "is_active") === 1,
    createdAt: new Date(number(row, "created_at")).toISOString(),
    updatedAt: new Date(number(row, "updated_at")).toISOString(),
  };
  if (row["project_id"] !== null) session.projectId = fromColumn(text(row, "project_id"));
  if (row["next_stage"] !== null) session.nextStage = fromColumn(text(row, "next_stage"));
  if (row["stage_data"] !== null) session.stageData = object(row, "stage_data");
  if (row["alias"] !== null) session.alias = fromColumn(text(row, "alias"));
  if (row["provider"] !== null) session.provider = fromColumn(text(row, "provider"));
  if (row["model"] !== null) session.model = fromColumn(text(row, "model"));
  if (row["base_url"] !== null) session.baseUrl = fromColumn(text(row, "base_url"));
  return session;
}

function optional(value: string | undefined): string | null {
  return value === undefined ? null : toColumn(value);
}
