import { constants } from "node:fs";
import { type FileHandle, open, readlink, realpath, stat } from "node:fs/promises";
import { outside } from "./failures.ts";
import { isInside, type Root } from "./roots.ts";

/**
 * Opens what `locate` found, for reading, and makes sure that it is still inside the roots: a folder
 * on the way may have been swapped for a link in between. The caller closes it. Throws a
 * `ToolFailure`, or the error of the file system.
 */
export async function openInside(place: string, given: string, roots: readonly Root[], flags = 0): Promise<FileHandle> {
  // Without O_NONBLOCK a pipe that took the file's place would hang us, without O_NOFOLLOW a link lead us out.
  const file = await open(place, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW | flags);
  try {
    await refuseUnlessInside(file, place, given, roots);
    return file;
  } catch (error) {
    await file.close();
    throw error;
  }
}

/** Throws a `ToolFailure` when what was opened at `place` is no longer there, or no longer inside the roots. */
export async function refuseUnlessInside(file: FileHandle, place: string, given: string, roots: readonly Root[]): Promise<void> {
  if (!(await isStillInside(file, place, roots))) throw outside(given);
}

/** A path that stays with what was opened, whatever happens to its name; undefined where there is none. */
export async function lastingPath(file: FileHandle): Promise<string | undefined> {
  return (await openedPath(file)) === undefined ? undefined : processPath(file);
}

/** The bytes of a file from `start` to before `end`; fewer where it ends sooner. */
export async function readBetween(file: FileHandle, start: number, end: number): Promise<Buffer> {
  const bytes = Buffer.allocUnsafe(end - start);
  let filled = 0;
  while (filled < bytes.length) {
    const { bytesRead } = await file.read(bytes, filled, bytes.length - filled, start + filled);
    if (bytesRead === 0) break;
    filled += bytesRead;
  }
  return bytes.subarray(0, filled);
}

async function isStillInside(file: FileHandle, place: string, roots: readonly Root[]): Promise<boolean> {
  const opened = await openedPath(file);
  if (opened !== undefined) return isInside(opened, roots);
  if (!isInside(await realpath(place), roots)) return false;
  const [ours, current] = await Promise.all([file.stat({ bigint: true }), stat(place, { bigint: true })]);
  return ours.ino === current.ino && ours.dev === current.dev;
}

/** Where the system says that the open file is: Linux only, and only where /proc is mounted. */
async function openedPath(file: FileHandle): Promise<string | undefined> {
  return process.platform === "linux" ? await readlink(processPath(file)).catch(() => undefined) : undefined;
}

function processPath(file: FileHandle): string {
  return `/proc/self/fd/${file.fd}`;
}
