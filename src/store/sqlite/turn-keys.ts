import { turnKeyExists } from "../failures.ts";
import { KEY_KEPT_MS } from "../idempotency.ts";
import type { TurnStart } from "../store.ts";
import { toColumn } from "../text.ts";
import { type Connection, number } from "./connection.ts";
import type { Row } from "./driver.ts";

/** The idempotency keys of turns, and how those turns ended. */
export class TurnKeys {
  private readonly connection: Connection;
  private readonly now: () => number;

  constructor(connection: Connection, now: () => number) {
    this.connection = connection;
    this.now = now;
  }

  /** Throws when a turn has the key. */
  free(key: string): void {
    const known = this.connection.get("SELECT turn_key, began_at FROM turn_keys WHERE idempotency_key = ?", toColumn(key));
    if (known === undefined) return;
    if (number(known, "began_at") > this.oldest()) throw turnKeyExists();
    this.drop(number(known, "turn_key"));
  }

  add(turnKey: number, { key, digest, streamId }: NonNullable<TurnStart["idempotency"]>): void {
    this.connection.run(
      "INSERT INTO turn_keys (idempotency_key, turn_key, digest, stream_id, began_at) VALUES (?, ?, ?, ?, ?)",
      toColumn(key),
      turnKey,
      toColumn(digest),
      toColumn(streamId),
      this.now(),
    );
  }

  /** Whether a turn has a key. */
  has(turnKey: number): boolean {
    return this.connection.get("SELECT 1 FROM turn_keys WHERE turn_key = ?", turnKey) !== undefined;
  }

  /** `ending` is JSON. Nothing happens when the turn has no key. */
  setEnding(turnKey: number, ending: string): void {
    this.connection.run("UPDATE turn_keys SET ending = ? WHERE turn_key = ?", ending, turnKey);
  }

  /** The turn with the key, its session, and what was stored here. */
  find(key: string): Row | undefined {
    return this.connection.get(
      `SELECT turns.*, session_id, digest, stream_id, ending FROM turn_keys
       CROSS JOIN turns ON turns.turn_key = turn_keys.turn_key LEFT JOIN sessions ON sessions.session_key = turns.session_key
       WHERE idempotency_key = ? AND began_at > ?`,
      toColumn(key),
      this.oldest(),
    );
  }

  /** Deletes keys that have been kept for long enough, at most `most` of them. How many. */
  prune(most: number): number {
    const old = this.connection.all("SELECT turn_key FROM turn_keys WHERE began_at <= ? LIMIT ?", this.oldest(), most);
    for (const row of old) this.drop(number(row, "turn_key"));
    return old.length;
  }

  /** A turn outside a session that has ended was kept for its key only. */
  private drop(turnKey: number): void {
    this.connection.run("DELETE FROM turn_keys WHERE turn_key = ?", turnKey);
    this.connection.run("DELETE FROM turns WHERE turn_key = ? AND session_key IS NULL AND status <> 'running'", turnKey);
  }

  private oldest(): number {
    return this.now() - KEY_KEPT_MS;
  }
}
