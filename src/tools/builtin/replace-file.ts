import { randomBytes } from "node:crypto";
import { type BigIntStats, constants } from "node:fs";
import { access, type FileHandle, link, lstat, open, rename, unlink } from "node:fs/promises";
import nodePath from "node:path";
import { ToolFailure } from "../tool.ts";
import { until } from "../waiting.ts";
import { isMissing, quoted } from "./failures.ts";
import type { OpenFolder } from "./folder.ts";

/** Bytes that a file may have after it was written. */
export const MOST_WRITTEN = 16 * 1024 * 1024;

export interface Replacement {
  folder: OpenFolder;
  name: string;
  /** As the caller gave it, for messages. */
  given: string;
  text: string;
  /**
   * What the name stands for now: a regular file, whose mode and, if possible, owner are kept; undefined
   * where there is nothing.
   */
  existing: BigIntStats | undefined;
  /** `new`: nothing may have come to stand there meanwhile; `unchanged`: the file must still be as `existing` says. */
  only?: "new" | "unchanged" | undefined;
  signal: AbortSignal;
}

/**
 * Writes a file as a whole: whoever reads it, also after a crash, finds the old content or the new one.
 * The new content is written beside it, made to last, and put in its place. Resolves to the number of
 * bytes. Throws a `ToolFailure`, the reason of the signal, or the error of the file system; then the
 * file is as it was.
 */
export async function replaceFile({ folder, name, given, text, existing, only, signal }: Replacement): Promise<number> {
  const bytes = encoded(text);
  signal.throwIfAborted();
  const place = nodePath.join(folder.at, name);
  // Replacing it would work without; but who made a file read-only meant it.
  if (existing !== undefined) await access(place, constants.W_OK);
  const beside = nodePath.join(folder.at, `.${randomBytes(9).toString("hex")}.tmp`);
  const file = await open(beside, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW, existing === undefined ? 0o666 : 0o600);
  try {
    try {
      await file.writeFile(bytes);
      if (existing !== undefined) await takeAfter(file, existing);
      await file.sync();
    } finally {
      await file.close();
    }
    await folder.refuseUnlessInside();
    if (only === "unchanged") await refuseIfChanged(place, existing, given);
    signal.throwIfAborted();
    await (only === "new" ? renameToNew(beside, place) : rename(beside, place));
  } catch (error) {
    // Whatever goes wrong here too, the first error says why.
    await unlink(beside).catch(() => undefined);
    throw error;
  }
  await folder.sync();
  return bytes.length;
}

/** The stats of what a path stands for, itself if that is a link; undefined where there is nothing. */
export async function statsOf(place: string): Promise<BigIntStats | undefined> {
  return await lstat(place, { bigint: true }).catch((error: unknown) => {
    if (!isMissing(error)) throw error;
    return undefined;
  });
}

/**
 * Runs `work` after all other work on the same file, so that two edits made at once both count.
 * `place` is the real path of the file.
 */
export async function exclusively<T>(place: string, signal: AbortSignal, work: () => Promise<T>): Promise<T> {
  const before = queues.get(place);
  const mine = (async () => {
    if (before !== undefined) await until(before, signal);
    signal.throwIfAborted();
    return await work();
  })();
  // Who gives up waiting does not let the next one in before its turn.
  const over = Promise.allSettled([before, mine]);
  queues.set(place, over);
  try {
    return await mine;
  } finally {
    if (queues.get(place) === over) queues.delete(place);
  }
}

const queues = new Map<string, Promise<unknown>>();

function encoded(text: string): Buffer {
  if (/\p{Surrogate}/u.test(text)) throw new ToolFailure("The text cannot be written as UTF-8: it holds half of a character (a lone surrogate)");
  const size = Buffer.byteLength(text);
  if (size > MOST_WRITTEN) throw new ToolFailure(`The file would have ${size} bytes; ${MOST_WRITTEN} are the most`);
  return Buffer.from(text);
}

async function takeAfter(file: FileHandle, { uid, gid, mode }: BigIntStats): Promise<void> {
  const ours = await file.stat({ bigint: true });
  // Only the superuser may give a file away; for others the new content is theirs, as with most editors.
  if (ours.uid !== uid || ours.gid !== gid) await file.chown(Number(uid), Number(gid)).catch(() => undefined);
  // Only where it makes a difference: some file systems have no modes and refuse.
  if ((ours.mode & 0o777n) !== (mode & 0o777n)) await file.chmod(Number(mode & 0o777n));
}

async function refuseIfChanged(place: string, existing: BigIntStats | undefined, given: string): Promise<void> {
  const now = await statsOf(place);
  const isSame = (["dev", "ino", "size", "mtimeNs", "ctimeNs"] as const).every((key) => now?.[key] === existing?.[key]);
  if (!isSame) throw new ToolFailure(`The file was changed by someone else meanwhile; read it again: ${quoted(given)}`);
}

/** Unlike a rename, a link never takes the place of something. */
async function renameToNew(from: string, to: string): Promise<void> {
  try {
    await link(from, to);
  } catch (error) {
    // Some file systems have no links: what stood there was looked for at the start, and a rename is all that is left.
    if (!(error instanceof Error && "code" in error && noLinks.has(String(error.code)))) throw error;
    return await rename(from, to);
  }
  await unlink(from);
}

const noLinks = new Set(["EPERM", "ENOTSUP", "EOPNOTSUPP", "ENOSYS", "EMLINK"]);
