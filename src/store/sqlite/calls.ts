import type { ToolResult } from "../../contract/model.ts";
import { KEY_KEPT_MS } from "../idempotency.ts";
import { unknownOutcome } from "../messages.ts";
import type { IdempotencyMark } from "../store.ts";
import { fromColumn, toColumn, toJson } from "../text.ts";
import { type Connection, number, object, text } from "./connection.ts";

/** The journal of calls that hosts make with a key. Changes belong into a transaction. */
export class Calls {
  private readonly connection: Connection;
  private readonly now: () => number;

  constructor(connection: Connection, now: () => number) {
    this.connection = connection;
    this.now = now;
  }

  /** "begun" when the key is new. */
  begin({ key, digest }: IdempotencyMark, owner: string): "begun" | { digest: string; result: ToolResult | undefined } {
    const known = this.connection.get("SELECT * FROM calls WHERE idempotency_key = ?", toColumn(key));
    if (known !== undefined && number(known, "began_at") > this.oldest()) {
      // `toJson` of a ToolResult is the only thing that is ever written to this column.
      return { digest: fromColumn(text(known, "digest")), result: known["result"] === null ? undefined : (object(known, "result") as ToolResult) };
    }
    this.connection.run(
      "INSERT OR REPLACE INTO calls (idempotency_key, digest, owner, began_at) VALUES (?, ?, ?, ?)",
      toColumn(key),
      toColumn(digest),
      owner,
      this.now(),
    );
    return "begun";
  }

  /** `result` is JSON. Nothing happens unless the call is the owner's and was not ended before; one that `interrupt` has ended takes the result. */
  end(key: string, result: string, owner: string): void {
    this.connection.run("UPDATE calls SET result = ?, owner = '' WHERE idempotency_key = ? AND owner = ?", result, toColumn(key), owner);
  }

  /** It was not run. */
  forget(key: string, owner: string): void {
    this.connection.run("DELETE FROM calls WHERE idempotency_key = ? AND owner = ?", toColumn(key), owner);
  }

  /** Ends what an owner that is gone has left running. */
  interrupt(owner: string): void {
    this.connection.run("UPDATE calls SET result = ? WHERE owner = ? AND result IS NULL", toJson(unknownOutcome()), owner);
  }

  /** Deletes what has been kept for long enough, at most `most` calls. How many. */
  prune(most: number): number {
    return this.connection.run(
      "DELETE FROM calls WHERE idempotency_key IN (SELECT idempotency_key FROM calls WHERE began_at <= ? LIMIT ?)",
      this.oldest(),
      most,
    );
  }

  private oldest(): number {
    return this.now() - KEY_KEPT_MS;
  }
}
