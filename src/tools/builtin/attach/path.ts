import { lstat } from "node:fs/promises";
import nodePath from "node:path";
import { AttachmentRefusal } from "../../attachment.ts";
import { ToolFailure } from "../../tool.ts";
import { openInside, readBetween } from "../opened.ts";
import { locate, openRoots, type Root } from "../roots.ts";
import { refusalOf, shownName, tooLarge } from "./names.ts";

export interface NamedBytes {
  name: string;
  bytes: Buffer;
}

/** The content of a regular file inside the roots. Rejects with an `AttachmentRefusal`, or the reason of the signal. */
export async function readPath(given: string, roots: readonly string[], mostBytes: number, signal: AbortSignal): Promise<NamedBytes> {
  const places = await openRoots(roots).catch((error: unknown) => Promise.reject(refusalOf(error)));
  const place = await unlessHidden(locate(given, places));
  const name = shownName(nodePath.isAbsolute(given) ? relativeName(place, places) : given);
  // Opening alone can do harm (a tape rewinds, a watchdog starts), so what is no file is not even opened.
  refuseUnlessFile(await unlessHidden(lstat(place)), name);
  const file = await unlessHidden(openInside(place, given, places));
  try {
    const stats = await file.stat();
    refuseUnlessFile(stats, name);
    if (stats.size > mostBytes) throw tooLarge(name, mostBytes);
    // What it says of its size may be wrong by now, and is 0 where files are made up as they are read.
    const step = Math.max(stats.size + 1, SMALLEST_STEP);
    const chunks: Buffer[] = [];
    for (let size = 0; ; ) {
      signal.throwIfAborted();
      const chunk = await readBetween(file, size, size + step);
      chunks.push(chunk);
      size += chunk.length;
      if (size > mostBytes) throw tooLarge(name, mostBytes);
      if (chunk.length < step) return { name, bytes: Buffer.concat(chunks) };
    }
  } catch (error) {
    // The system's own message holds the resolved path, so it is never passed on.
    throw isOfSystem(error) ? new AttachmentRefusal("unavailable", `${name} could not be read (${error.code})`) : error;
  } finally {
    await file.close();
  }
}

const SMALLEST_STEP = 64 * 1024;

/** Whatever is wrong with a path, it is refused in the same words: they do not tell what there is. */
async function unlessHidden<T>(looking: Promise<T>): Promise<T> {
  return await looking.catch((error: unknown) => {
    if (!(error instanceof ToolFailure) && !isOfSystem(error)) throw error;
    throw new AttachmentRefusal("unavailable", "No file of this path can be read; it has to be inside one of tools.roots");
  });
}

function refuseUnlessFile(stats: { isFile(): boolean }, name: string): void {
  if (!stats.isFile()) throw new AttachmentRefusal("unavailable", `${name} is not a regular file`);
}

/** As the model can ask a file tool for it, and without telling where on this machine it is. */
function relativeName(place: string, roots: readonly Root[]): string {
  const names = roots.map(({ real }) => nodePath.relative(nodePath.join(...real), place));
  const inside = names.filter((name) => name !== "" && !name.startsWith("..") && !nodePath.isAbsolute(name));
  return inside.toSorted((a, b) => a.length - b.length)[0] ?? nodePath.basename(place);
}

function isOfSystem(error: unknown): error is Error & { code: string } {
  return error instanceof Error && "code" in error && typeof error.code === "string";
}
