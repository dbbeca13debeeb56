import { lstat, opendir } from "node:fs/promises";
import nodePath from "node:path";
import { refuseUnlessFile } from "../failures.ts";
import { openFolder } from "../folder.ts";
import { openInside, readBetween } from "../opened.ts";
import type { Root } from "../roots.ts";

/** Entries of folders that one search looks at. */
export const MOST_ENTRIES = 200_000;
/** Bytes of a file that is still searched. */
export const MOST_BYTES = 8 * 1024 * 1024;

export interface FoundFile {
  /** Real path. */
  place: string;
  /** Below the folder where the search began, with `/` between names; the name of the file, where it began at one. */
  path: string;
  /** As other tools find it. */
  shown: string;
}

/** What a search may see, and what it has seen. */
export interface Search {
  /** The path that was asked for. */
  given: string;
  roots: readonly Root[];
  /** Folders of these names are left out. */
  without: ReadonlySet<string>;
  signal: AbortSignal;
  /** Entries of folders so far. */
  entries: number;
  /** Files that were searched so far. */
  searched: number;
  /** Files and folders that could not be, so far. */
  skipped: number;
}

/**
 * The files at or below a real path, by name, until `MOST_ENTRIES` entries were seen. Links are not
 * followed. Throws only when the path itself cannot be read.
 */
export async function* filesBelow(place: string, search: Search): AsyncGenerator<FoundFile, void, undefined> {
  const stats = await lstat(place);
  if (!stats.isDirectory()) {
    refuseUnlessFile(stats, search.given);
    yield { place, path: nodePath.basename(place), shown: search.given };
    return;
  }
  // What is still to be visited, the next one last.
  const ahead = (await entriesOf({ place, path: "", shown: search.given === "." ? "" : search.given }, search)).toReversed();
  for (let next = ahead.pop(); next !== undefined; next = ahead.pop()) {
    if (!next.isFolder) {
      yield next;
      continue;
    }
    const entries = await entriesOf(next, search).catch((error: unknown) => {
      search.signal.throwIfAborted();
      // Not ours to read, or gone since. What an error means here is in the count; anything else is a bug.
      if (!(error instanceof Error)) throw error;
      search.skipped += 1;
      return [];
    });
    for (const entry of entries.toReversed()) ahead.push(entry);
  }
}

/** The text of a file; undefined where it is none, or too large, or cannot be read. */
export async function textOf(place: string, search: Search): Promise<string | undefined> {
  try {
    const file = await openInside(place, search.given, search.roots);
    try {
      const stats = await file.stat();
      if (!stats.isFile() || stats.size > MOST_BYTES) return undefined;
      const bytes = await readBetween(file, 0, stats.size);
      return bytes.subarray(0, BINARY_START).includes(0) ? undefined : new TextDecoder().decode(bytes);
    } finally {
      await file.close();
    }
  } catch (error) {
    // Counted as skipped, like everything else that cannot be searched.
    if (error instanceof Error) return undefined;
    throw error;
  }
}

/** Where a NUL tells that a file is not text. */
const BINARY_START = 8 * 1024;

interface Entry extends FoundFile {
  isFolder: boolean;
}

async function entriesOf(folder: FoundFile, search: Search): Promise<Entry[]> {
  const open = await openFolder(folder.place, search.given, search.roots);
  const out: Entry[] = [];
  try {
    for await (const entry of await opendir(open.at, { bufferSize: 256 })) {
      search.signal.throwIfAborted();
      if (search.entries >= MOST_ENTRIES) break;
      search.entries += 1;
      const isFolder = entry.isDirectory();
      if (isFolder ? search.without.has(entry.name) : !entry.isFile()) continue;
      out.push({ place: nodePath.join(folder.place, entry.name), path: below(folder.path, entry.name), shown: below(folder.shown, entry.name), isFolder });
    }
    // Where a folder is known by its name only, what was read counts if that still leads to the same place.
    await open.refuseUnlessInside();
  } finally {
    await open.close();
  }
  return out.toSorted((a, b) => (a.path < b.path ? -1 : 1));
}

function below(folder: string, name: string): string {
  return folder === "" || folder.endsWith("/") || folder.endsWith(nodePath.sep) ? folder + name : `${folder}/${name}`;
}
