import type { ChatMessage, StoredMessage, TurnStatus } from "../../contract/model.ts";
import { decodeCursor, encodeCursor } from "../cursor.ts";
import { storageFailure, turnExists } from "../failures.ts";
import type { MessageBody } from "../messages.ts";
import { answerMessage, hasContent, INTERRUPTED_MESSAGE, messageId, pageLength, toChatMessage } from "../messages.ts";
import type { Page, TurnEnd, TurnStart } from "../store.ts";
import { fromColumn, toColumn, toJson } from "../text.ts";
import { array, type Connection, number, object, text } from "./connection.ts";
import type { Row } from "./driver.ts";
import type { Sessions } from "./sessions.ts";
import type { Traces } from "./traces.ts";

/** Turns, their messages, and the fragments of answers that are still coming. Changes belong into a transaction. */
export class Turns {
  private readonly connection: Connection;
  private readonly sessions: Sessions;
  private readonly traces: Traces;
  private readonly now: () => number;

  constructor(connection: Connection, sessions: Sessions, traces: Traces, now: () => number) {
    this.connection = connection;
    this.sessions = sessions;
    this.traces = traces;
    this.now = now;
  }

  begin(start: TurnStart, owner: string): void {
    const sessionKey = start.sessionId === undefined ? null : this.sessions.openKey(start.sessionId);
    if (this.find(start.turnId) !== undefined) throw turnExists();
    const turn = this.connection.get(
      "INSERT INTO turns (turn_id, session_key, status, owner, trace_id, given) VALUES (?, ?, 'running', ?, ?, ?) RETURNING turn_key",
      toColumn(start.turnId),
      sessionKey,
      owner,
      toColumn(start.traceId),
      start.messages.length,
    );
    this.traces.save({ trace: start.trace, spans: [], events: [] });
    if (sessionKey === null) return;
    const turnKey = number(turn ?? {}, "turn_key");
    for (const [position, message] of start.messages.entries()) this.put(turnKey, position, message, false, this.now());
    this.sessions.touch(sessionKey);
  }

  /** Nothing happens when the turn has ended, or has no session that it would be kept for. */
  append(turnId: string, part: { text: string; reasoning: string }): void {
    this.connection.run(
      `INSERT INTO fragments (turn_key, created_at, body)
       SELECT turn_key, ?, ? FROM turns WHERE turn_id = ? AND status = 'running' AND session_key IS NOT NULL`,
      this.now(),
      // Plain JSON: a surrogate pair that came in two parts is whole again once they are joined.
      JSON.stringify([part.text, part.reasoning]),
      toColumn(turnId),
    );
  }

  /** Nothing happens when the turn was ended before; one that `interrupt` has ended takes what its owner has to say. */
  end(end: TurnEnd): void {
    const turn = this.find(end.turnId);
    if (turn === undefined) {
      this.traces.end(end.trace);
      return;
    }
    const turnKey = number(turn, "turn_key");
    if (turn["session_key"] === null) {
      this.connection.run("DELETE FROM turns WHERE turn_key = ?", turnKey);
      this.traces.end(end.trace);
      return;
    }
    if (text(turn, "owner") === NOBODY) return;
    const position = number(turn, "given");
    if (end.answer !== undefined) this.put(turnKey, position, answerMessage(end.answer), end.status !== "completed", this.now());
    this.finish(turnKey, end.status);
    this.connection.run("UPDATE turns SET owner = ? WHERE turn_key = ?", NOBODY, turnKey);
    const trace = end.answer === undefined ? end.trace.trace : { ...end.trace.trace, assistantMessageId: messageId(end.turnId, position) };
    this.traces.save({ ...end.trace, trace });
    this.sessions.touch(number(turn, "session_key"));
  }

  /** Ends what an owner that is gone has left running. What its models said so far becomes partial answers. */
  interrupt(owner: string): void {
    for (const turn of this.connection.all("SELECT * FROM turns WHERE status = 'running' AND owner = ?", owner)) {
      const turnKey = number(turn, "turn_key");
      const said = this.fragments(turnKey);
      const position = number(turn, "given");
      if (said !== undefined) this.put(turnKey, position, answerMessage({ ...said, toolCalls: [] }), true, said.createdAt);
      this.traces.amend(fromColumn(text(turn, "trace_id")), {
        status: "error",
        hadError: true,
        errorMessage: INTERRUPTED_MESSAGE,
        updatedAt: new Date(this.now()).toISOString(),
        ...(said === undefined ? {} : { assistantMessageId: messageId(fromColumn(text(turn, "turn_id")), position) }),
      });
      if (turn["session_key"] === null) this.connection.run("DELETE FROM turns WHERE turn_key = ?", turnKey);
      else this.finish(turnKey, "interrupted");
    }
  }

  messages(sessionId: string, page: { limit: number; cursor?: string | undefined }): Page<StoredMessage> {
    const [turnKey, position] = page.cursor === undefined ? [0, 0] : decodeCursor("m", page.cursor);
    const sessionKey = this.sessions.key(sessionId);
    const select = (columns: string, limit: number): Row[] =>
      this.connection.all(
        `SELECT ${columns} FROM turns CROSS JOIN messages ON messages.turn_key = turns.turn_key
         WHERE session_key = ? AND turns.turn_key >= ? AND (turns.turn_key > ? OR position > ?)
         ORDER BY turns.turn_key, position LIMIT ?`,
        sessionKey,
        turnKey ?? 0,
        turnKey ?? 0,
        position ?? 0,
        limit,
      );
    // Sizes first: SQLite knows them without reading the texts.
    const sizes = select("octet_length(body) AS size", page.limit + 1).map((row) => number(row, "size"));
    const items = select("turn_id, status, messages.*", pageLength(sizes.slice(0, page.limit)));
    const last = items.at(-1);
    return {
      items: items.map(toStoredMessage),
      nextCursor: sizes.length > items.length && last !== undefined ? encodeCursor("m", [number(last, "turn_key"), number(last, "position")]) : undefined,
    };
  }

  history(sessionId: string, turnId: string): ChatMessage[] {
    const sessionKey = this.sessions.key(sessionId);
    const turn = this.find(turnId);
    return this.connection
      .all(
        `SELECT body FROM turns CROSS JOIN messages ON messages.turn_key = turns.turn_key
         WHERE session_key = ? AND turns.turn_key < ? ORDER BY turns.turn_key, position`,
        sessionKey,
        turn === undefined ? Number.MAX_SAFE_INTEGER : number(turn, "turn_key"),
      )
      .map(toBody)
      .filter(hasContent)
      .map(toChatMessage);
  }

  private find(turnId: string): Row | undefined {
    return this.connection.get("SELECT * FROM turns WHERE turn_id = ?", toColumn(turnId));
  }

  private put(turnKey: number, position: number, message: MessageBody, partial: boolean, createdAt: number): void {
    this.connection.run(
      "INSERT OR REPLACE INTO messages (turn_key, position, partial, created_at, body) VALUES (?, ?, ?, ?, ?)",
      turnKey,
      position,
      partial ? 1 : 0,
      createdAt,
      toJson(message),
    );
  }

  private finish(turnKey: number, status: TurnStatus): void {
    this.connection.run("DELETE FROM fragments WHERE turn_key = ?", turnKey);
    this.connection.run("UPDATE turns SET status = ? WHERE turn_key = ?", status, turnKey);
  }

  /** Undefined when nothing was said. */
  private fragments(turnKey: number): { text: string; reasoning: string; createdAt: number } | undefined {
    const said = { text: "", reasoning: "", createdAt: 0 };
    for (const row of this.connection.all("SELECT created_at, body FROM fragments WHERE turn_key = ? ORDER BY fragment_key", turnKey)) {
      const [text, reasoning] = array(row, "body");
      if (typeof text !== "string" || typeof reasoning !== "string") throw storageFailure("corrupt");
      said.text += text;
      said.reasoning += reasoning;
      said.createdAt = number(row, "created_at");
    }
    return said.text === "" && said.reasoning === "" ? undefined : said;
  }
}

/** Owner of a turn that its process has ended. */
const NOBODY = "";

function toBody(row: Row): MessageBody {
  const body = object(row, "body");
  text(body, "role");
  // `toJson` of a MessageBody is the only thing that is ever written to this column.
  return body as unknown as MessageBody;
}

function toStoredMessage(row: Row): StoredMessage {
  const turnId = fromColumn(text(row, "turn_id"));
  return {
    messageId: messageId(turnId, number(row, "position")),
    turnId,
    // Only statuses are ever written to this column.
    turnStatus: text(row, "status") as TurnStatus,
    ...toBody(row),
    partial: number(row, "partial") === 1,
    createdAt: new Date(number(row, "created_at")).toISOString(),
  };
}
