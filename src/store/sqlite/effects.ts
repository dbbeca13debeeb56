import { fromColumn, toColumn } from "../text.ts";
import { type Connection, text } from "./connection.ts";

/** The calls of running turns that have side effects and have begun, but not ended. */
export class Effects {
  private readonly connection: Connection;

  constructor(connection: Connection) {
    this.connection = connection;
  }

  begin(turnKey: number, callId: string): void {
    this.connection.run("INSERT INTO effects (turn_key, call_id) VALUES (?, ?) ON CONFLICT DO NOTHING", turnKey, toColumn(callId));
  }

  end(turnKey: number, callId: string): void {
    this.connection.run("DELETE FROM effects WHERE turn_key = ? AND call_id = ?", turnKey, toColumn(callId));
  }

  /** In the order in which they began. */
  of(turnKey: number): string[] {
    return this.connection
      .all("SELECT effect_key, call_id FROM effects WHERE turn_key = ?", turnKey)
      .toSorted((a, b) => Number(a["effect_key"]) - Number(b["effect_key"]))
      .map((row) => fromColumn(text(row, "call_id")));
  }

  forget(turnKey: number): void {
    this.connection.run("DELETE FROM effects WHERE turn_key = ?", turnKey);
  }
}
