import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll } from "vitest";
import { openSqliteStore } from "../../src/store/sqlite.ts";
import { describeStore } from "./conformance.ts";

const folder = mkdtempSync(join(tmpdir(), "store-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
let files = 0;

describeStore("SQLite", (options) => openSqliteStore({ path: join(folder, `${files++}.db`), ...options }));
