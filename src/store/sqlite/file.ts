import { chmodSync, closeSync, existsSync, fstatSync, mkdirSync, openSync, readSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { storageFailure } from "../failures.ts";
import { retryWhileBusy } from "./commits.ts";
import { Connection } from "./connection.ts";
import type { Driver } from "./driver.ts";
import { asWireError } from "./failures.ts";
import { APPLICATION_ID, migrations, versionOf } from "./migrations.ts";

/**
 * Makes the file and its folder when they are missing, readable by their owner only, and refuses a file
 * that is not a database of ours that we understand: `storage` with reason `corrupt`, `foreign` or
 * `newer`. A file that is refused is only read, never opened for writing.
 */
export async function prepareFile(path: string, driver: Driver, busyDeadlineMs: number): Promise<void> {
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    closeSync(openSync(path, "a", 0o600));
    await inspect(path);
  } catch (error) {
    throw asWireError(error);
  }
  // The header may be behind a log that a crash has left; read-only, SQLite looks into both and writes neither.
  if (sizeOf(`${path}-wal`) > 0) {
    await retryWhileBusy(busyDeadlineMs, () => {
      const connection = new Connection(driver.open(path, { readOnly: true }));
      try {
        versionOf(connection);
      } finally {
        connection.close();
      }
    });
  }
  makePrivate(path);
}

/** Throws unless the header is that of a database of ours, or the file is empty. */
async function inspect(path: string): Promise<void> {
  for (let tries = 0; ; tries++) {
    const { header, size } = readHeader(path);
    if (size === 0) return;
    if (header.length < HEADER_BYTES || !header.subarray(0, MAGIC.length).equals(MAGIC)) throw storageFailure("corrupt");
    if (header.readUInt32BE(68) !== APPLICATION_ID) throw storageFailure("foreign");
    if (header.readUInt32BE(60) > migrations.length) throw storageFailure("newer");
    if (size >= expectedSize(header) || existsSync(`${path}-journal`) || sizeOf(`${path}-wal`) > 0) return;
    // Shorter than it says: cut off, unless another process is just writing it.
    if (tries === SHORT_FILE_TRIES) throw storageFailure("corrupt");
    await delay(SHORT_FILE_STEP_MS);
  }
}

/** Offsets are those of https://sqlite.org/fileformat2.html#the_database_header. */
const HEADER_BYTES = 100;
const MAGIC = Buffer.from("SQLite format 3\0", "latin1");
const SHORT_FILE_TRIES = 20;
const SHORT_FILE_STEP_MS = 50;

function expectedSize(header: Buffer): number {
  const pageSize = header.readUInt16BE(16);
  // The page count is only valid when it was written by the last change.
  const isValid = header.readUInt32BE(24) === header.readUInt32BE(92);
  return isValid ? (pageSize === 1 ? 65_536 : pageSize) * header.readUInt32BE(28) : 0;
}

function readHeader(path: string): { header: Buffer; size: number } {
  const file = openSync(path, "r");
  try {
    // The size comes first: a file that another process fills in between must not look like a short one.
    const { size } = fstatSync(file);
    const header = Buffer.alloc(HEADER_BYTES);
    return { header: header.subarray(0, readSync(file, header, 0, HEADER_BYTES, 0)), size };
  } finally {
    closeSync(file);
  }
}

function sizeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0;
}

/** A file that was made by somebody else's rules; SQLite gives its companions the mode of the database. */
function makePrivate(path: string): void {
  for (const file of [path, `${path}-wal`, `${path}-shm`]) {
    try {
      if ((statSync(file).mode & 0o077) !== 0) chmodSync(file, 0o600);
    } catch {
      // Missing, or not ours to change: whoever made it has decided.
    }
  }
}
