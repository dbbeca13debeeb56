import { DatabaseSync } from "@photostructure/sqlite";

/** Takes the write lock of a database, as another process would; the function returned gives it back. */
export function lockDatabase(file: string): () => void {
  const database = new DatabaseSync(file);
  // Its owner may be writing at this very moment.
  database.exec("PRAGMA busy_timeout = 10000");
  database.exec("BEGIN IMMEDIATE");
  return () => {
    database.exec("ROLLBACK");
    database.close();
  };
}
