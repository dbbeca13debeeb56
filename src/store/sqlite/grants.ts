import type { StoredGrant } from "../store.ts";
import { fromColumn, toColumn } from "../text.ts";
import { type Connection, text } from "./connection.ts";
import type { Row } from "./driver.ts";

/** What was allowed for good. Changes belong into a transaction. */
export class Grants {
  private readonly connection: Connection;

  constructor(connection: Connection) {
    this.connection = connection;
  }

  save({ tool, call, createdAt }: StoredGrant): void {
    this.connection.run(
      "INSERT INTO grants (tool, call, created_at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
      toColumn(tool),
      call === undefined ? EVERY_CALL : toColumn(call),
      toColumn(createdAt),
    );
  }

  /** Oldest first. */
  list(): StoredGrant[] {
    return this.connection.all("SELECT tool, call, created_at FROM grants ORDER BY grant_key").map(toGrant);
  }

  /** All of them when no tool is named. */
  delete(tool: string | undefined): void {
    if (tool === undefined) this.connection.run("DELETE FROM grants");
    else this.connection.run("DELETE FROM grants WHERE tool = ?", toColumn(tool));
  }
}

/** No JSON is empty. */
const EVERY_CALL = "";

function toGrant(row: Row): StoredGrant {
  const call = text(row, "call");
  return {
    tool: fromColumn(text(row, "tool")),
    call: call === EVERY_CALL ? undefined : fromColumn(call),
    createdAt: fromColumn(text(row, "created_at")),
  };
}
