import type { StoredMessage, TurnStatus } from "../../contract/model.ts";
import { decodeCursor, encodeCursor } from "../cursor.ts";
import { hasContent, messageId, pageLength, toChatMessage } from "../messages.ts";
import type { History, MessageBody, Page } from "../store.ts";
import { fromColumn } from "../text.ts";
import { type Connection, number, object, text } from "./connection.ts";
import type { Row } from "./driver.ts";

/** Where a message stands in its session. Turns are numbered from 1. */
export interface Place {
  turnKey: number;
  position: number;
}

/** The messages of turns. Changes belong into a transaction. */
export class Messages {
  private readonly connection: Connection;

  constructor(connection: Connection) {
    this.connection = connection;
  }

  /** `body` is JSON of a MessageBody. */
  put({ turnKey, position }: Place, body: string, partial: boolean, createdAt: number): void {
    this.connection.run(
      "INSERT INTO messages (turn_key, position, partial, created_at, body) VALUES (?, ?, ?, ?, ?)",
      turnKey,
      position,
      partial ? 1 : 0,
      createdAt,
      body,
    );
  }

  /** Deletes the messages of a turn from a place on. */
  cut({ turnKey, position }: Place): void {
    this.connection.run("DELETE FROM messages WHERE turn_key = ? AND position >= ?", turnKey, position);
  }

  has({ turnKey, position }: Place): boolean {
    return this.connection.get("SELECT 1 FROM messages WHERE turn_key = ? AND position = ?", turnKey, position) !== undefined;
  }

  copy(fromTurn: number, toTurn: number): void {
    this.connection.run(
      `INSERT INTO messages (turn_key, position, partial, created_at, body)
       SELECT ?, position, partial, created_at, body FROM messages WHERE turn_key = ? ORDER BY position`,
      toTurn,
      fromTurn,
    );
  }

  page(sessionKey: number, page: { limit: number; cursor?: string | undefined }): Page<StoredMessage> {
    const [turnKey, position] = page.cursor === undefined ? [0, 0] : decodeCursor("m", page.cursor);
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

  /** Those of one turn from a place on. */
  from({ turnKey, position }: Place): StoredMessage[] {
    return this.connection
      .all(
        `SELECT turn_id, status, messages.* FROM turns CROSS JOIN messages ON messages.turn_key = turns.turn_key
         WHERE turns.turn_key = ? AND position >= ? ORDER BY position`,
        turnKey,
        position,
      )
      .map(toStoredMessage);
  }

  /** What is sent to a model of the messages behind a place and before a turn. */
  between(sessionKey: number, behind: Place, before: number): History["messages"] {
    return this.connection
      .all(
        `SELECT turn_id, position, body FROM turns CROSS JOIN messages ON messages.turn_key = turns.turn_key
         WHERE session_key = ? AND turns.turn_key >= ? AND turns.turn_key < ? AND (turns.turn_key > ? OR position > ?)
         ORDER BY turns.turn_key, position`,
        sessionKey,
        behind.turnKey,
        before,
        behind.turnKey,
        behind.position,
      )
      .flatMap((row) => {
        const body = toBody(row);
        if (!hasContent(body)) return [];
        const turnId = fromColumn(text(row, "turn_id"));
        return [{ messageId: messageId(turnId, number(row, "position")), turnId, message: toChatMessage(body) }];
      });
  }
}

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
