import { fail, WireError } from "../../errors.ts";
import { type StorageReason, storageFailure } from "../failures.ts";

/** Any error of SQLite or of the file system as a wire error; wire errors stay as they are. */
export function asWireError(error: unknown): WireError {
  if (error instanceof WireError) return error;
  const sqliteCode = sqliteCodeOf(error);
  if (sqliteCode !== undefined) {
    const failure = storageFailure(sqliteReasons.get(sqliteCode & 0xff) ?? "io", { sqliteCode });
    failure.cause = error;
    return failure;
  }
  // A row that is not what we wrote: text that is no JSON, or a time that is none.
  if (error instanceof SyntaxError || error instanceof RangeError) {
    const failure = storageFailure("corrupt");
    failure.cause = error;
    return failure;
  }
  const fileCode = error instanceof Error && "code" in error && "syscall" in error ? error.code : undefined;
  const failure = fileCode === undefined ? fail("internal") : storageFailure(fileReasons.get(String(fileCode)) ?? "io", { errno: fileCode });
  failure.cause = error;
  return failure;
}

/** Whether the same statement may succeed once another process has let go. */
export function isBusy(error: unknown): boolean {
  const code = sqliteCodeOf(error);
  return code !== undefined && sqliteReasons.get(code & 0xff) === "busy";
}

/** Primary result codes; extended ones hold them in their low byte (https://sqlite.org/rescode.html). */
const sqliteReasons: ReadonlyMap<number, StorageReason> = new Map([
  [3, "readonly"], // SQLITE_PERM
  [5, "busy"], // SQLITE_BUSY
  [6, "busy"], // SQLITE_LOCKED
  [8, "readonly"], // SQLITE_READONLY
  [11, "corrupt"], // SQLITE_CORRUPT
  [13, "disk_full"], // SQLITE_FULL
  [15, "busy"], // SQLITE_PROTOCOL: too much competition for the WAL lock
  [26, "corrupt"], // SQLITE_NOTADB
]);

const fileReasons: ReadonlyMap<string, StorageReason> = new Map([
  ["EACCES", "readonly"],
  ["EPERM", "readonly"],
  ["EROFS", "readonly"],
  ["ENOSPC", "disk_full"],
  ["EDQUOT", "disk_full"],
]);

/** SQLite's words for a result code, for errors that one of the drivers throws without it while it steps through rows. */
const sqliteWords: readonly [RegExp, number][] = [
  [/^database disk image is malformed$/, 11],
  [/^file is not a database$/, 26],
  [/^disk I\/O error$/, 10],
  [/^database or disk is full$/, 13],
  [/^database (?:table )?is locked$/, 5],
  [/^attempt to write a readonly database$/, 8],
];

function sqliteCodeOf(error: unknown): number | undefined {
  if (!(error instanceof Error)) return undefined;
  if ("errcode" in error && typeof error.errcode === "number") return error.errcode;
  return sqliteWords.find(([words]) => words.test(error.message))?.[1];
}
