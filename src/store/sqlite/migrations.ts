import { storageFailure } from "../failures.ts";
import type { Connection } from "./connection.ts";
import { number } from "./connection.ts";

/** "SCAR" in the header of the file: that it is ours. */
export const APPLICATION_ID = 0x53434152;

/**
 * How a database came to be what it is: the n-th entry leads from version n-1 to n. Entries that were
 * released are never changed; a new version is a new entry.
 */
export const migrations: readonly string[] = [
  // `touched` rises with every use of a session. It is in four indexes together with `is_active`, so
  // that each combination of filters is one range scan (two where closed sessions count as well).
  `
  CREATE TABLE owners (
    owner_id TEXT NOT NULL PRIMARY KEY,
    pid INTEGER NOT NULL,
    started TEXT NOT NULL,
    host TEXT NOT NULL
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE sessions (
    session_key INTEGER PRIMARY KEY,
    session_id TEXT NOT NULL UNIQUE,
    user_id TEXT NOT NULL,
    chat_id TEXT NOT NULL,
    project_id TEXT,
    current_stage TEXT NOT NULL,
    next_stage TEXT,
    scenario TEXT NOT NULL,
    is_active INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    touched INTEGER NOT NULL,
    stage_data TEXT
  ) STRICT;
  CREATE INDEX sessions_by_use ON sessions (is_active, touched);
  CREATE INDEX sessions_by_user ON sessions (user_id, is_active, touched);
  CREATE INDEX sessions_by_chat ON sessions (chat_id, is_active, touched);
  CREATE INDEX sessions_by_user_and_chat ON sessions (user_id, chat_id, is_active, touched);

  CREATE TABLE turns (
    turn_key INTEGER PRIMARY KEY,
    turn_id TEXT NOT NULL UNIQUE,
    session_key INTEGER REFERENCES sessions ON DELETE CASCADE,
    status TEXT NOT NULL,
    owner TEXT NOT NULL,
    trace_id TEXT NOT NULL,
    given INTEGER NOT NULL
  ) STRICT;
  CREATE INDEX turns_by_session ON turns (session_key);
  CREATE INDEX turns_running ON turns (owner) WHERE status = 'running';

  CREATE TABLE messages (
    message_key INTEGER PRIMARY KEY,
    turn_key INTEGER NOT NULL REFERENCES turns ON DELETE CASCADE,
    position INTEGER NOT NULL,
    partial INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    body TEXT NOT NULL,
    UNIQUE (turn_key, position)
  ) STRICT;

  CREATE TABLE fragments (
    fragment_key INTEGER PRIMARY KEY,
    turn_key INTEGER NOT NULL REFERENCES turns ON DELETE CASCADE,
    created_at INTEGER NOT NULL,
    body TEXT NOT NULL
  ) STRICT;
  CREATE INDEX fragments_by_turn ON fragments (turn_key);

  CREATE TABLE traces (
    trace_key INTEGER PRIMARY KEY,
    trace_id TEXT NOT NULL UNIQUE,
    session_id TEXT,
    status TEXT NOT NULL,
    trace TEXT NOT NULL,
    detail TEXT NOT NULL
  ) STRICT;
  CREATE INDEX traces_by_session ON traces (session_id, status);
  CREATE INDEX traces_by_session_only ON traces (session_id);
  CREATE INDEX traces_by_status ON traces (status);
  `,
  // `added` counts the messages that steps have put behind those given. It has a default, as have all later
  // columns of old tables: a process of the version before may go on writing to the file that it has open.
  `
  ALTER TABLE turns ADD COLUMN added INTEGER NOT NULL DEFAULT 0;

  CREATE TABLE effects (
    effect_key INTEGER PRIMARY KEY,
    turn_key INTEGER NOT NULL REFERENCES turns ON DELETE CASCADE,
    call_id TEXT NOT NULL,
    UNIQUE (turn_key, call_id)
  ) STRICT;

  CREATE TABLE turn_keys (
    idempotency_key TEXT NOT NULL PRIMARY KEY,
    turn_key INTEGER NOT NULL UNIQUE REFERENCES turns ON DELETE CASCADE,
    digest TEXT NOT NULL,
    stream_id TEXT NOT NULL,
    began_at INTEGER NOT NULL,
    ending TEXT
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX turn_keys_by_age ON turn_keys (began_at);

  CREATE TABLE calls (
    idempotency_key TEXT NOT NULL PRIMARY KEY,
    digest TEXT NOT NULL,
    owner TEXT NOT NULL,
    began_at INTEGER NOT NULL,
    result TEXT
  ) STRICT;
  CREATE INDEX calls_by_age ON calls (began_at);
  CREATE INDEX calls_running ON calls (owner) WHERE result IS NULL;

  -- The key is that of the session, and 0 for what is used of everything.
  CREATE TABLE spending (
    spending_key INTEGER PRIMARY KEY,
    session_key INTEGER UNIQUE REFERENCES sessions ON DELETE CASCADE,
    tokens INTEGER NOT NULL,
    steps INTEGER NOT NULL,
    tool_calls INTEGER NOT NULL,
    cost_usd REAL NOT NULL,
    wall_ms INTEGER NOT NULL
  ) STRICT;

  CREATE TABLE grants (
    grant_key INTEGER PRIMARY KEY,
    tool TEXT NOT NULL,
    call TEXT NOT NULL,
    created_at TEXT NOT NULL,
    UNIQUE (tool, call)
  ) STRICT;

  CREATE TABLE summaries (
    session_key INTEGER NOT NULL REFERENCES sessions ON DELETE CASCADE,
    turn_key INTEGER NOT NULL REFERENCES turns ON DELETE CASCADE,
    position INTEGER NOT NULL,
    summarized INTEGER NOT NULL,
    body TEXT NOT NULL,
    system TEXT,
    PRIMARY KEY (session_key, turn_key, position)
  ) STRICT;
  CREATE INDEX summaries_by_turn ON summaries (turn_key);
  `,
  // Whom something belongs to is its `subject` here: an `owner` is a process. Nothing stays in `probe`, see there.
  `
  ALTER TABLE sessions ADD COLUMN subject TEXT NOT NULL DEFAULT 'local';
  ALTER TABLE sessions ADD COLUMN alias TEXT;
  ALTER TABLE sessions ADD COLUMN provider TEXT;
  ALTER TABLE sessions ADD COLUMN model TEXT;
  ALTER TABLE sessions ADD COLUMN base_url TEXT;
  CREATE INDEX sessions_by_subject ON sessions (subject, is_active, touched);
  CREATE INDEX sessions_by_scenario ON sessions (scenario, is_active, touched);

  ALTER TABLE traces ADD COLUMN subject TEXT NOT NULL DEFAULT 'local';
  CREATE INDEX traces_by_subject ON traces (subject);

  CREATE TABLE probe (
    probe_key INTEGER PRIMARY KEY,
    filler TEXT NOT NULL
  ) STRICT;
  `,
];

/**
 * Brings a database to the newest version, in one transaction; nothing happens when it is there.
 * Throws `storage` with reason `newer` or `foreign`, and what SQLite throws (busy, for one).
 */
export function migrate(connection: Connection, steps: readonly string[] = migrations): void {
  if (versionOf(connection, steps.length) === steps.length) return;
  connection.exec("BEGIN IMMEDIATE");
  try {
    // Another process may have been faster: what counts is what holds now that we hold the lock.
    for (const step of steps.slice(versionOf(connection, steps.length))) connection.exec(step);
    connection.exec(`PRAGMA application_id = ${APPLICATION_ID}`);
    connection.exec(`PRAGMA user_version = ${steps.length}`);
    connection.exec("COMMIT");
  } catch (error) {
    try {
      connection.exec("ROLLBACK");
    } catch {
      // SQLite has done it already.
    }
    throw error;
  }
}

/** The version that a database has reached: 0 for an empty one. Throws when it is newer, or not ours. */
export function versionOf(connection: Connection, newest: number = migrations.length): number {
  const pragma = (name: string): number => number(connection.get(`PRAGMA ${name}`) ?? {}, name);
  const applicationId = pragma("application_id");
  const version = pragma("user_version");
  if (applicationId === 0 && version === 0) {
    const tables = number(connection.get("SELECT count(*) AS tables FROM sqlite_schema") ?? {}, "tables");
    if (tables === 0) return 0;
  }
  if (applicationId !== APPLICATION_ID) throw storageFailure("foreign");
  if (version > newest) throw storageFailure("newer");
  return version;
}
