import type { AgentSession, ChatMessage } from "../../contract/model.ts";
import { fail } from "../../errors.ts";
import { noSuchMessage, sessionExists } from "../failures.ts";
import { placeOf } from "../messages.ts";
import type { Fork, History } from "../store.ts";
import { fromColumn, toColumn } from "../text.ts";
import { type Connection, number, object, text } from "./connection.ts";
import type { Messages } from "./messages.ts";
import type { Sessions } from "./sessions.ts";
import type { SummaryRow } from "./snapshots.ts";
import type { Turns } from "./turns.ts";

export interface HistoryTables {
  connection: Connection;
  sessions: Sessions;
  turns: Turns;
  messages: Messages;
}

/** What a session remembers: its turns, or the summaries that stand for them; and copies of that. Changes belong into a transaction. */
export class Histories {
  private readonly tables: HistoryTables;

  constructor(tables: HistoryTables) {
    this.tables = tables;
  }

  read(sessionId: string, turnId: string | undefined): History {
    const { connection, sessions, turns, messages } = this.tables;
    const sessionKey = sessions.key(sessionId);
    const turn =
      turnId === undefined
        ? connection.get("SELECT turn_key FROM turns WHERE session_key = ? AND status = 'running' ORDER BY turn_key LIMIT 1", sessionKey)
        : turns.find(turnId);
    const before = turn === undefined ? Number.MAX_SAFE_INTEGER : number(turn, "turn_key");
    const summary = connection.get(
      `SELECT turn_key, position, summarized, body, system FROM summaries WHERE session_key = ? AND turn_key < ?
       ORDER BY turn_key DESC, position DESC LIMIT 1`,
      sessionKey,
      before,
    );
    if (summary === undefined)
      return { summary: undefined, summarized: 0, system: undefined, messages: messages.between(sessionKey, { turnKey: 0, position: 0 }, before) };
    const behind = { turnKey: number(summary, "turn_key"), position: number(summary, "position") };
    return {
      summary: fromColumn(text(summary, "body")),
      summarized: number(summary, "summarized"),
      // `toJson` of a ChatMessage is the only thing that is ever written to this column.
      system: summary["system"] === null ? undefined : (object(summary, "system") as unknown as ChatMessage),
      messages: messages.between(sessionKey, behind, before),
    };
  }

  /** Throws `session_not_found`, or `invalid_params` when the session has no message `through`. */
  saveSummary(sessionId: string, summary: SummaryRow): void {
    const { connection, sessions, turns, messages } = this.tables;
    const sessionKey = sessions.key(sessionId);
    const place = placeOf(summary.through);
    const turn = place === undefined ? undefined : turns.find(place.turnId);
    if (place === undefined || turn?.["session_key"] !== sessionKey) throw noSuchMessage();
    const turnKey = number(turn, "turn_key");
    if (!messages.has({ turnKey, position: place.position })) throw noSuchMessage();
    connection.run(
      "INSERT OR REPLACE INTO summaries (session_key, turn_key, position, summarized, body, system) VALUES (?, ?, ?, ?, ?, ?)",
      sessionKey,
      turnKey,
      place.position,
      summary.summarized,
      toColumn(summary.text),
      summary.system,
    );
  }

  /** Throws `session_not_found`, `turn_not_found`, or `invalid_params` when the new session exists. */
  fork({ from, throughTurnId, fields, newTurnId }: Fork, owner?: string): AgentSession {
    const { connection, sessions, turns } = this.tables;
    const source = sessions.key(from);
    if (sessions.has(fields.sessionId)) throw sessionExists();
    const last = throughTurnId === undefined ? undefined : turns.find(throughTurnId);
    if (throughTurnId !== undefined && last?.["session_key"] !== source) throw fail("turn_not_found", { turnId: throughTurnId });
    const session = sessions.upsert(fields, owner);
    const sessionKey = sessions.key(fields.sessionId);
    const ended = connection.all(
      "SELECT turn_key FROM turns WHERE session_key = ? AND turn_key <= ? AND status <> 'running' ORDER BY turn_key",
      source,
      last === undefined ? Number.MAX_SAFE_INTEGER : number(last, "turn_key"),
    );
    const copies = new Map<number, number>();
    for (const row of ended) copies.set(number(row, "turn_key"), turns.copy(number(row, "turn_key"), newTurnId(), sessionKey));
    for (const row of connection.all("SELECT DISTINCT turn_key FROM summaries WHERE session_key = ?", source)) {
      const fromTurn = number(row, "turn_key");
      const toTurn = copies.get(fromTurn);
      if (toTurn === undefined) continue;
      connection.run(
        `INSERT INTO summaries (session_key, turn_key, position, summarized, body, system)
         SELECT ?, ?, position, summarized, body, system FROM summaries WHERE session_key = ? AND turn_key = ?`,
        sessionKey,
        toTurn,
        source,
        fromTurn,
      );
    }
    return session;
  }
}
