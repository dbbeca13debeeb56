import { mkdirSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { fail, type WireError } from "../../errors.ts";
import { asWireError } from "./failures.ts";

/**
 * Makes a folder and those above it that are missing, for their owner only; `folder` is absolute.
 * Throws `storage`: `readonly`, `disk_full` or `io`. Level by level, because Node's recursive `mkdirSync`
 * never returns where the level above exists but takes no entries, as in `/proc`.
 */
export function makeFolder(folder: string): void {
  try {
    makeLevels(folder);
  } catch (error) {
    throw inOurWords(error);
  }
}

function makeLevels(folder: string): void {
  if (isFolder(folder)) return;
  const above = dirname(folder);
  if (above !== folder) makeLevels(above);
  try {
    mkdirSync(folder, { mode: 0o700 });
  } catch (error) {
    // Another process may have been faster.
    if (!isFolder(folder)) throw error;
  }
}

function isFolder(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false;
}

function inOurWords(error: unknown): WireError {
  const failure = asWireError(error);
  if (failure.data?.["reason"] !== "io") return failure;
  const told = fail("storage", failure.data, "The folder of the session store could not be made");
  told.cause = error;
  return told;
}
