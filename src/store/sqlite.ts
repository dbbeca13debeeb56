import { resolve } from "node:path";
import type { WireError } from "../errors.ts";
import { Commits, retryWhileBusy } from "./sqlite/commits.ts";
import { Connection } from "./sqlite/connection.ts";
import { loadDriver } from "./sqlite/driver.ts";
import { asWireError } from "./sqlite/failures.ts";
import { keepTrackOf, makePrivate, prepareFile } from "./sqlite/file.ts";
import { migrate } from "./sqlite/migrations.ts";
import { snapshotAmounts, snapshotEnd, snapshotFields, snapshotFork, snapshotStep, snapshotSummary, snapshotTrace, snapshotTurn } from "./sqlite/snapshots.ts";
import { openTables } from "./sqlite/tables.ts";
import type { Store, StoreOptions } from "./store.ts";
import { toJson } from "./text.ts";

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
    return await newStore(connection, options, busyDeadlineMs, keepTrackOf(path));
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
/** Rows of one kind that are deleted in one transaction. */
const PRUNE_STEP = 500;
/** Traces stored between two prunings. */
const PRUNE_EVERY = 1_000;

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

async function newStore(connection: Connection, options: StoreOptions, busyDeadlineMs: number, check: () => void): Promise<Store> {
  let health: ReturnType<Store["health"]> = { status: "ok" };
  const observe = (latencyMs: number, failure: WireError | undefined): void => {
    const rounded = Math.round(latencyMs);
    health = failure === undefined ? { status: "ok", latencyMs: rounded } : { status: "error", message: failure.message, latencyMs: rounded };
  };
  const commits = new Commits({ connection, busyDeadlineMs, observe, check });
  const { owners, sessions, turns, turnKeys, messages, histories, calls, spendings, grants, traces, probe } = openTables(connection, options.now);

  const bury = (dead: readonly string[]): void => {
    for (const owner of dead) {
      turns.interrupt(owner);
      calls.interrupt(owner);
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
    while (
      (await commits.write(() => Math.max(traces.prune(options.keepTraces, PRUNE_STEP), turnKeys.prune(PRUNE_STEP), calls.prune(PRUNE_STEP)))) === PRUNE_STEP
    );
  };
  await prune();
  let stored = 0;
  /** A long run must not let traces and keys pile up either: every turn and every call leaves a trace. */
  const withTrace = (change: () => void): Promise<void> => {
    // What is not deleted now is deleted the next time.
    if (++stored % PRUNE_EVERY === 0) prune().catch(() => {});
    return commits.write(change);
  };

  let probing: Promise<void> | undefined;
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
    upsertSession: async (given, owner) => {
      const fields = snapshotFields(given);
      return commits.write(() => sessions.upsert(fields, owner));
    },
    ownerOf: ({ ...what }) => commits.read(() => ("sessionId" in what ? sessions.ownerOf(what.sessionId) : traces.ownerOf(what.traceId))),
    getSession: (sessionId) => commits.read(() => sessions.get(sessionId)),
    setActive: (sessionId, isActive) => commits.write(() => sessions.setActive(sessionId, isActive)),
    listSessions: ({ ...filter }) => commits.read(() => sessions.list(filter)),
    countSessions: ({ ...filter }) => commits.read(() => sessions.count(filter)),
    emptySession: (sessionId) =>
      commits.write(() => {
        turns.empty(sessions.key(sessionId));
        return sessions.get(sessionId);
      }),
    deleteSession: (sessionId) => commits.write(() => sessions.delete(sessionId)),

    listMessages: (sessionId, { ...page }) => readTurns(() => messages.page(sessions.key(sessionId), page)),
    history: (sessionId, turnId) => readTurns(() => histories.read(sessionId, turnId)),
    saveSummary: async (sessionId, given) => {
      const summary = snapshotSummary(given);
      return commits.write(() => histories.saveSummary(sessionId, summary));
    },
    forkSession: async (given, owner) => {
      const fork = snapshotFork(given);
      return commits.write(() => {
        bury(owners.deadWithTurns());
        return histories.fork(fork, owner);
      });
    },

    beginTurn: async (given) => {
      const start = snapshotTurn(given);
      return commits.write(() => {
        bury(owners.deadWithTurns());
        turns.begin(start, owners.self);
      });
    },
    saveStep: async (given) => {
      const step = snapshotStep(given);
      return commits.write(() => turns.step(step), given.durable ? "full" : "relaxed");
    },
    findTurn: (idempotencyKey) => readTurns(() => turns.findByKey(idempotencyKey)),
    appendAnswer: (turnId, { ...part }) => commits.write(() => turns.append(turnId, part), "relaxed"),
    endTurn: async (given) => {
      const end = snapshotEnd(given);
      return withTrace(() => turns.end(end));
    },

    beginCall: ({ ...mark }) =>
      commits.write(() => {
        bury(owners.deadWithCalls());
        return calls.begin(mark, owners.self);
      }),
    endCall: async (key, given) => {
      if (given === undefined) return commits.write(() => calls.forget(key, owners.self));
      const result = toJson(given);
      return commits.write(() => calls.end(key, result, owners.self));
    },

    spend: async (given) => {
      const amounts = snapshotAmounts(given);
      return commits.write(() => {
        for (const { scope, amount } of amounts) spendings.add(scope, amount);
      }, "relaxed");
    },
    spent: ({ ...scope }) => commits.read(() => spendings.get(scope)),
    resetSpending: ({ ...scope }) => commits.write(() => spendings.reset(scope)),

    saveGrant: ({ ...grant }) => commits.write(() => grants.save(grant)),
    listGrants: () => commits.read(() => grants.list()),
    deleteGrants: (tool) => commits.write(() => grants.delete(tool)),

    saveTrace: async (given) => {
      const record = snapshotTrace(given);
      return withTrace(() => traces.save(record));
    },
    getTrace: (traceId) => readTurns(() => traces.get(traceId)),
    listTraces: ({ ...filter }) => readTurns(() => traces.list(filter)),

    probe() {
      probing ??= commits
        .write(() => probe.run())
        .finally(() => {
          probing = undefined;
        });
      return probing;
    },
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
