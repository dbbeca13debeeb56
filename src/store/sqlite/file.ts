import { accessSync, chmodSync, closeSync, constants, existsSync, fstatSync, lstatSync, openSync, readSync, realpathSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { storageFailure } from "../failures.ts";
import { retryWhileBusy } from "./commits.ts";
import { Connection } from "./connection.ts";
import type { Driver } from "./driver.ts";
import { asWireError } from "./failures.ts";
import { makeFolder } from "./folder.ts";
import { APPLICATION_ID, migrations, versionOf } from "./migrations.ts";

/**
 * Makes the file and its folder when they are missing, readable by their owner only, and refuses what
 * is neither empty nor a database of ours that we understand: `storage` with reason `corrupt`, `foreign`
 * (devices, pipes and folders too) or `newer`. What is refused is at most read, and never changed.
 * Resolves with where the file really is: there, behind all links, SQLite keeps its companions.
 */
export async function prepareFile(named: string, driver: Driver, busyDeadlineMs: number): Promise<string> {
  let path = named;
  try {
    makeFolder(dirname(named));
    makeFile(named);
    path = realpathSync(named);
    await inspect(path);
    // Said now: SQLite would open what may not be written for reading, and fail much later.
    accessSync(path, constants.R_OK | constants.W_OK);
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
  return path;
}

/**
 * Remembers which file this is, and which log it has. Gives what throws `storage`, reason `gone`, when one of the paths leads
 * to another file or to none, or the file was emptied: SQLite goes on writing to a file that was deleted, and nobody finds it
 * again. To be asked in a transaction: the log is there from the first one on until the last process closes the file.
 */
export function keepTrackOf(path: string): () => void {
  const opened = identityOf(path);
  let log: string | undefined;
  return () => {
    const found = identityOf(`${path}-wal`);
    // Stays unknown on a file system on which SQLite writes none.
    log ??= found;
    if (identityOf(path) !== opened || found !== log || sizeOf(path) === 0) throw storageFailure("gone");
  };
}

function identityOf(path: string): string | undefined {
  const found = statSync(path, { bigint: true, throwIfNoEntry: false });
  return found === undefined ? undefined : `${found.dev}:${found.ino}`;
}

/**
 * Takes the file and its companions away from everybody but their owner. Only for a file that holds our
 * tables by now, and only where it belongs to our own user: of other files, whoever made them has decided.
 * Never throws.
 */
export function makePrivate(path: string): void {
  for (const file of [path, `${path}-wal`, `${path}-shm`]) {
    try {
      const found = lstatSync(file);
      if (found.isFile() && found.uid === process.geteuid?.() && (found.mode & 0o077) !== 0) chmodSync(file, 0o600);
    } catch {
      // Missing, or on a file system that keeps no modes.
    }
  }
}

/** Throws unless the header is that of a database of ours, or the file is empty. */
async function inspect(path: string): Promise<void> {
  for (let tries = 0; ; tries++) {
    const { header, size } = readHeader(path);
    // Files of the kernel say that they are empty, and are not.
    if (size === 0 && header.length === 0) return;
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

/** Neither opening nor reading must wait for somebody at the other end. Windows knows no such flag. */
const NONBLOCK = constants.O_NONBLOCK ?? 0;

/** Makes the file if it is missing. What is there is not even opened unless it is a file: that may do something. */
function makeFile(path: string): void {
  const found = statSync(path, { throwIfNoEntry: false });
  if (found === undefined) closeSync(openSync(path, constants.O_WRONLY | constants.O_CREAT | NONBLOCK, 0o600));
  else if (!found.isFile()) throw storageFailure("foreign");
}

function readHeader(path: string): { header: Buffer; size: number } {
  const file = openSync(path, constants.O_RDONLY | NONBLOCK);
  try {
    const found = fstatSync(file);
    if (!found.isFile()) throw storageFailure("foreign");
    // The size comes first: a file that another process fills in between must not look like a short one.
    const { size } = found;
    const header = Buffer.alloc(HEADER_BYTES);
    return { header: header.subarray(0, readSync(file, header, 0, HEADER_BYTES, 0)), size };
  } finally {
    closeSync(file);
  }
}

function sizeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0;
}
