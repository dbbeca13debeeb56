import type { Connection } from "./connection.ts";

/** A change for the sake of changing: it fails where others would. Belongs into a transaction. */
export class Probe {
  private readonly connection: Connection;

  constructor(connection: Connection) {
    this.connection = connection;
  }

  /**
   * Takes room for more than a page, as a file that cannot grow would still take what fits into a page that it has, and
   * gives it back. `SELECT` instead of `VALUES`: where the disk is full, SQLite takes back only such a statement, and else
   * the whole transaction with the changes of others.
   */
  run(): void {
    this.connection.run("INSERT INTO probe (filler) SELECT ?", FILLER);
    this.connection.run("DELETE FROM probe");
  }
}

/** Longer than a page of 4 KiB. */
const FILLER = "x".repeat(8192);
