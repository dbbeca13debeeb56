import { resolve } from "node:path";
import type { WireError } from "../errors.ts";
import { Commits, retryWhileBusy } from "./sqlite/commits.ts";
import { Connection } from "./sqlite/connection.ts";
import { loadDriver } from "./sqlite/driver.ts";
import { asWireError } from "./sqlite/failures.ts";
import { makePrivate, prepareFile } from "./sqlite/file.ts";
import { migrate } from "./sqlite/migrations.ts";
import { Owners } from "./sqlite/owners.ts";
import { Sessions } from "./sqlite/sessions.ts";
import { Traces } from "./sqlite/traces.ts";
import { Turns } from "./sqlite/turns.ts";
import type { Store, StoreOptions, TraceRecord } from "./store.ts";

/**
 * Opens a file, or makes it. Several processes may have it open. Turns that dead processes have left
 * running are marked `interrupted`, and traces beyond `keepTraces` deleted, before it resolves.
 * Rejects with `storage`; a file that is refused (`corrupt`, `foreign`, `newer`) is left as it is.
 */
export async function openSqliteStore(options: StoreOptions): Promise<Store> {
  const busyDeadlineMs = options.busyDeadlineMs ?? BUSY_DEADLINE_MS;
  const driver = loadDriver();
  // An absolute path is never taken for one of SQLite's `file:` addresses.
  const path = await prepareFile(resolve(options.path), driver, busyDeadlineMs);
  const connection = await connect(() => new Connection(driver.open(path, { readOnly: false })), options, busyDeadlineMs);
  try {
    // SQLite gives the companions that it makes the mode of the database, so they come into it as well.
    makePrivate(path);
    return await newStore(connection, options, busyDeadlineMs);
  } catch (error) {
    connection.close();
    throw asWireError(error);
  }
}

/** Milliseconds. */
const BUSY_DEADLINE_MS = 5_000;
/** Longest wait for another process when the process is about to end, in milliseconds. */
const LAST_CALL_MS = 250;
/**
 * `fullfsync`: on macOS an ordinary flush may stay in the cache of the drive. `trusted_schema`: what
 * somebody else has written into the file runs no functions. The limits are 4 MiB of log left after a
 * checkpoint and 8 MiB of pages in memory.
 */
const SETTINGS = `
  PRAGMA busy_timeout = 0;
  PRAGMA foreign_keys = ON;
  PRAGMA trusted_schema = OFF;
  PRAGMA fullfsync = ON;
  PRAGMA journal_size_limit = 4194304;
  PRAGMA cache_size = -8000;
`;
/** Traces deleted in one transaction. */
const PRUNE_STEP = 500;
/** Traces stored between two prunings. */
const PRUNE_EVERY = 1_000;

/** A trace as it is now; spans and events are not changed once they are in the lists of a record. */
function snapshot(record: TraceRecord): TraceRecord {
  return { trace: { ...record.trace }, spans: [...record.spans], events: [...record.events] };
}

async function connect(open: () => Connection, options: StoreOptions, busyDeadlineMs: number): Promise<Connection> {
  const connection = await retryWhileBusy(busyDeadlineMs, open);
  try {
    const patiently = (access: () => void): Promise<void> => retryWhileBusy(busyDeadlineMs, access);
    await patiently(() => connection.exec(SETTINGS));
    const { maxPages } = options;
    if (maxPages !== undefined) await patiently(() => connection.exec(`PRAGMA max_page_count = ${Math.trunc(maxPages)}`));
    // The tables come before the log: whoever reads only the header of the file sees from its first byte on whose it is.
    await patiently(() => migrate(connection));
    await patiently(() => connection.exec("PRAGMA journal_mode = WAL"));
    return connection;
  } catch (error) {
    connection.close();
    throw asWireError(error);
  }
}

async function newStore(connection: Connection, options: StoreOptions, busyDeadlineMs: number): Promise<Store> {
  let health: ReturnType<Store["health"]> = { status: "ok" };
  const observe = (latencyMs: number, failure: WireError | undefined): void => {
    const rounded = Math.round(latencyMs);
    health = failure === undefined ? { status: "ok", latencyMs: rounded } : { status: "error", message: failure.message, latencyMs: rounded };
  };
  const commits = new Commits({ connection, busyDeadlineMs, observe });
  const sessions = new Sessions(connection, options.now);
  const traces = new Traces(connection);
  const turns = new Turns(connection, sessions, traces, options.now);
  const owners = new Owners(connection);

  const bury = (dead: readonly string[]): void => {
    for (const owner of dead) {
      turns.interrupt(owner);
      owners.remove(owner);
    }
  };
  /** Reads what turns have come to, once those of dead processes have come to an end. */
  const readTurns = async <T>(query: () => T): Promise<T> => {
    const seen = await commits.read(() => {
      const dead = owners.deadWithTurns();
      return dead.length === 0 ? { value: query() } : { dead };
    });
    if (seen.dead === undefined) return seen.value;
    await commits.write(() => bury(seen.dead));
    return commits.read(query);
  };

  await commits.write(() => {
    owners.register();
    bury(owners.dead());
  });
  const prune = async (): Promise<void> => {
    while ((await commits.write(() => traces.prune(options.keepTraces, PRUNE_STEP))) === PRUNE_STEP);
  };
  await prune();
  let stored = 0;
  /** A long run must not let traces pile up either. */
  const withTrace = (change: () => void): Promise<void> => {
    // What is not deleted now is deleted the next time.
    if (++stored % PRUNE_EVERY === 0) prune().catch(() => {});
    return commits.write(change);
  };

  let closing: Promise<void> | undefined;
  /** The last change: turns of ours that are still running will not go on. */
  const sayGoodbye = (): void => {
    commits.write(() => bury([owners.self])).catch(() => {});
  };
  const shut = (): void => {
    owners.forgetSelf();
    if (!connection.isOpen) return;
    try {
      // Nothing is waited for: with other processes about this does what it can at once; the log stays valid in any case.
      connection.all("PRAGMA wal_checkpoint(TRUNCATE)");
    } catch {
      // The next one to open the file goes on with the log.
    }
    try {
      connection.close();
    } catch {
      // Nothing more can be done, and all that was acknowledged is on disk.
    }
  };

  return {
    // Changes run a moment after they were asked for: what they are given is what the caller had then.
    upsertSession: ({ ...fields }) => commits.write(() => sessions.upsert(fields)),
    getSession: (sessionId) => commits.read(() => sessions.get(sessionId)),
    setActive: (sessionId, isActive) => commits.write(() => sessions.setActive(sessionId, isActive)),
    listSessions: (filter) => commits.read(() => sessions.list(filter)),
    deleteSession: (sessionId) => commits.write(() => sessions.delete(sessionId)),

    listMessages: (sessionId, page) => readTurns(() => turns.messages(sessionId, page)),
    history: (sessionId, turnId) => readTurns(() => turns.history(sessionId, turnId)),

    beginTurn: (given) => {
      const start = { ...given, messages: [...given.messages], trace: { ...given.trace } };
      return commits.write(() => {
        bury(owners.deadWithTurns());
        turns.begin(start, owners.self);
      });
    },
    appendAnswer: (turnId, { ...part }) => commits.write(() => turns.append(turnId, part), "relaxed"),
    endTurn: (given) => {
      const end = { ...given, trace: snapshot(given.trace) };
      return withTrace(() => turns.end(end));
    },

    saveTrace: (given) => {
      const record = snapshot(given);
      return withTrace(() => traces.save(record));
    },
    getTrace: (traceId) => readTurns(() => traces.get(traceId)),
    listTraces: (filter) => readTurns(() => traces.list(filter)),

    health: () => health,
    close() {
      closing ??= (async () => {
        sayGoodbye();
        await commits.drain();
        shut();
      })();
      return closing;
    },
    closeSync() {
      if (closing === undefined) sayGoodbye();
      closing ??= Promise.resolve();
      if (connection.isOpen) {
        try {
          commits.drainSync(LAST_CALL_MS);
        } catch {
          // What could not be run has been rejected.
        }
      }
      shut();
    },
  };
}
