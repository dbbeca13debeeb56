import { storageFailure } from "../failures.ts";
import type { Database, Row, Statement, Value } from "./driver.ts";

/** A database whose statements are prepared once. Synchronous; throws what SQLite throws. */
export class Connection {
  private readonly database: Database;
  private readonly statements = new Map<string, Statement>();
  isOpen = true;

  constructor(database: Database) {
    this.database = database;
  }

  get(sql: string, ...values: Value[]): Row | undefined {
    return this.statement(sql).get(...values);
  }

  all(sql: string, ...values: Value[]): Row[] {
    return this.statement(sql).all(...values);
  }

  /** How many rows changed. */
  run(sql: string, ...values: Value[]): number {
    return Number(this.statement(sql).run(...values).changes);
  }

  /** Statements without parameters or result. */
  exec(sql: string): void {
    this.database.exec(sql);
  }

  /**
   * The package cannot finalize statements: its files stay open until they are collected as garbage,
   * and an empty log may stay behind. That is as harmless as a process that was killed.
   */
  close(): void {
    if (!this.isOpen) return;
    this.isOpen = false;
    this.statements.clear();
    this.database.close();
  }

  private statement(sql: string): Statement {
    if (!this.isOpen) throw storageFailure("closed");
    let statement = this.statements.get(sql);
    if (statement === undefined) {
      statement = this.database.prepare(sql);
      this.statements.set(sql, statement);
    }
    return statement;
  }
}

/** A column that must hold text. Throws `storage`, reason `corrupt`, when it does not. */
export function text(row: Row, column: string): string {
  const value = row[column];
  if (typeof value !== "string") throw storageFailure("corrupt");
  return value;
}

/** A column that must hold a number. */
export function number(row: Row, column: string): number {
  const value = row[column];
  if (typeof value !== "number") throw storageFailure("corrupt");
  return value;
}

/** A column that holds a JSON object. */
export function object(row: Row, column: string): Record<string, unknown> {
  const value = parse(text(row, column));
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw storageFailure("corrupt");
  return value as Record<string, unknown>;
}

/** A column that holds a JSON array. */
export function array(row: Row, column: string): unknown[] {
  const value = parse(text(row, column));
  if (!Array.isArray(value)) throw storageFailure("corrupt");
  return value;
}

function parse(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch {
    throw storageFailure("corrupt");
  }
}
