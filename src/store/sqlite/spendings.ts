import type { Spending } from "../../contract/model.ts";
import { addSpending, nothingSpent } from "../spending.ts";
import type { SpendingScope } from "../store.ts";
import { type Connection, number } from "./connection.ts";
import type { Sessions } from "./sessions.ts";

/** What was used of the budgets: one row for each session, and one without a session for everything. Changes belong into a transaction. */
export class Spendings {
  private readonly connection: Connection;
  private readonly sessions: Sessions;

  constructor(connection: Connection, sessions: Sessions) {
    this.connection = connection;
    this.sessions = sessions;
  }

  /** Nothing happens when the session is gone. */
  add(scope: SpendingScope, amount: Spending): void {
    if (scope.kind === "session" && !this.sessions.has(scope.sessionId)) return;
    this.set(scope, (before) => addSpending(before, amount));
  }

  /** Throws `session_not_found`. */
  get(scope: SpendingScope): Spending {
    const row = this.connection.get("SELECT * FROM spending WHERE spending_key = ?", this.sessionKey(scope) ?? EVERYTHING);
    if (row === undefined) return nothingSpent();
    return {
      tokens: number(row, "tokens"),
      steps: number(row, "steps"),
      toolCalls: number(row, "tool_calls"),
      costUsd: number(row, "cost_usd"),
      wallMs: number(row, "wall_ms"),
    };
  }

  /** Throws `session_not_found`. */
  reset(scope: SpendingScope): void {
    this.set(scope, nothingSpent);
  }

  private set(scope: SpendingScope, change: (before: Spending) => Spending): void {
    const sessionKey = this.sessionKey(scope);
    const { tokens, steps, toolCalls, costUsd, wallMs } = change(this.get(scope));
    this.connection.run(
      "INSERT OR REPLACE INTO spending (spending_key, session_key, tokens, steps, tool_calls, cost_usd, wall_ms) VALUES (?, ?, ?, ?, ?, ?, ?)",
      sessionKey ?? EVERYTHING,
      sessionKey,
      tokens,
      steps,
      toolCalls,
      costUsd,
      wallMs,
    );
  }

  private sessionKey(scope: SpendingScope): number | null {
    return scope.kind === "process" ? null : this.sessions.key(scope.sessionId);
  }
}

/** No session has this key. */
const EVERYTHING = 0;
