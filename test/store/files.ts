import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll } from "vitest";
import { Connection } from "../../src/store/sqlite/connection.ts";
import { loadDriver } from "../../src/store/sqlite/driver.ts";

/** A folder for a whole test file, deleted behind its last test, and paths in it of databases that are not there yet. */
export function storeFolder(): { folder: string; newPath(): string } {
  const folder = mkdtempSync(join(tmpdir(), "store-"));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  let files = 0;
  return { folder, newPath: () => join(folder, `${files++}.db`) };
}

/** Looks into a database, or changes it, as no store would. */
export function raw<T>(path: string, use: (connection: Connection) => T): T {
  const connection = new Connection(loadDriver().open(path, { readOnly: false }));
  try {
    return use(connection);
  } finally {
    connection.close();
  }
}
