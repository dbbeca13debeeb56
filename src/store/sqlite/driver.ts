/**
 * Which SQLite we run on: the one inside Node where it is new enough, else the prebuilt package of the
 * same interface. Only the part of that interface that we use is written down here.
 */
import { storageFailure } from "../failures.ts";

/** What a column holds. `undefined` is not among them: the two drivers bind it differently. */
export type Value = string | number | null;
export type Row = Record<string, unknown>;

export interface Statement {
  run(...values: Value[]): { changes: number | bigint };
  get(...values: Value[]): Row | undefined;
  all(...values: Value[]): Row[];
}

export interface Database {
  exec(sql: string): void;
  prepare(sql: string): Statement;
  close(): void;
}

export interface Driver {
  open(path: string, options: { readOnly: boolean }): Database;
  /** `node` or the name of the package. */
  name: string;
}

/**
 * Older releases can corrupt a database in WAL mode when two connections checkpoint and write at the
 * same moment (https://sqlite.org/wal.html, "The WAL-Reset Bug").
 */
const OLDEST = [3, 51, 3] as const;

const PACKAGE = "@photostructure/sqlite";

let loaded: Driver | undefined;

/** Throws `storage` with reason `unavailable`, and what to install, when there is no usable SQLite. */
export function loadDriver(): Driver {
  loaded ??= usable("node", nodeSqlite) ?? usable(PACKAGE, () => nativeRequire(PACKAGE));
  if (loaded === undefined) throw storageFailure("unavailable");
  return loaded;
}

function usable(name: string, load: () => unknown): Driver | undefined {
  try {
    const module = load();
    if (!hasDatabase(module)) return undefined;
    const { DatabaseSync } = module;
    const driver: Driver = {
      name,
      // `timeout: 0`: a busy handler would sleep with the event loop; we wait in `commits.ts` instead.
      open: (path, { readOnly }) => new DatabaseSync(path, { readOnly, timeout: 0, enableForeignKeyConstraints: true }),
    };
    return isRecent(driver) ? driver : undefined;
  } catch {
    // Not installed, or without a prebuilt binary for this platform.
    return undefined;
  }
}

function isRecent(driver: Driver): boolean {
  const probe = driver.open(":memory:", { readOnly: false });
  const version = String(probe.prepare("SELECT sqlite_version() AS version").get()?.["version"]).split(".").map(Number);
  probe.close();
  for (const [index, least] of OLDEST.entries()) {
    const part = version[index] ?? 0;
    if (part !== least) return part > least;
  }
  return true;
}

/** Node 22 and 24 warn that the module is experimental; the host shall not read that on every start. */
function nodeSqlite(): unknown {
  const emitWarning = process.emitWarning;
  const quiet = (warning: string | Error, ...rest: unknown[]): void => {
    if (rest[0] === "ExperimentalWarning" && String(warning).startsWith("SQLite is an experimental feature")) return;
    Reflect.apply(emitWarning, process, [warning, ...rest]);
  };
  process.emitWarning = quiet;
  try {
    return process.getBuiltinModule("node:sqlite");
  } finally {
    process.emitWarning = emitWarning;
  }
}

/**
 * `require` where there is one (the shipped bundle is CommonJS), else one made for this file (tests run
 * the sources as ES modules). The bundler does not see through the alias, so the package stays outside
 * the bundle, where its native binary can be found.
 */
function nativeRequire(name: string): unknown {
  const require_ = typeof require === "function" ? require : process.getBuiltinModule("node:module").createRequire(import.meta.url);
  return require_(name);
}

function hasDatabase(module: unknown): module is { DatabaseSync: new (path: string, options: object) => Database } {
  return typeof module === "object" && module !== null && "DatabaseSync" in module && typeof module.DatabaseSync === "function";
}
