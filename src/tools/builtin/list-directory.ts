import { constants, type Dirent } from "node:fs";
import { lstat, opendir, realpath } from "node:fs/promises";
import nodePath from "node:path";
import { type Tool, ToolFailure } from "../tool.ts";
import { failureOf, outside, quoted } from "./failures.ts";
import { lastingPath, openInside } from "./opened.ts";
import { isInside, locate, openRoots, type Root } from "./roots.ts";

/** Entries that one call returns at most. */
export const MOST_ENTRIES = 10_000;

export interface DirectoryEntry {
  /** With U+FFFD for bytes that are not UTF-8; such a file can be seen, but not asked for. */
  name: string;
  type: "file" | "directory" | "symlink" | "other";
  /** Bytes; files only. */
  size?: number;
}

/** What `list_directory` returns: entries by name, in code unit order. */
export interface DirectoryListing {
  entries: DirectoryEntry[];
  /** There are more than 10,000; these are the first by name. */
  truncated: boolean;
}

/** `list_directory {path}`: what is in a folder under one of the roots. */
export function listDirectory(roots: readonly string[]): Tool {
  return {
    name: "list_directory",
    description: "Lists a directory: name, type and, for files, size in bytes of each entry, sorted by name; at most 10,000.",
    mode: "read",
    parameters: {
      type: "object",
      properties: { path: { type: "string", minLength: 1, description: "Path relative to the workspace; `.` for the workspace itself." } },
      required: ["path"],
      additionalProperties: false,
    },
    async run(args, { signal }): Promise<DirectoryListing> {
      const { path } = args as { path: string };
      const places = await openRoots(roots);
      const place = await locate(path, places);
      try {
        if (!(await lstat(place)).isDirectory()) throw new ToolFailure(`This is not a directory: ${quoted(path)}`);
        return await (process.platform === "linux" ? listOpened(place, path, places, signal) : listNamed(place, path, places, signal));
      } catch (error) {
        throw failureOf(error, path);
      }
    },
  };
}

/** Through the open folder, so that it cannot be swapped for another while it is read. */
async function listOpened(place: string, given: string, roots: readonly Root[], signal: AbortSignal): Promise<DirectoryListing> {
  const folder = await openInside(place, given, roots, constants.O_DIRECTORY);
  try {
    const lasting = await lastingPath(folder);
    return await (lasting === undefined ? listNamed(place, given, roots, signal) : entriesOf(lasting, signal));
  } finally {
    await folder.close();
  }
}

/** By name, and what was read counts only if the name still leads to the same place. */
async function listNamed(place: string, given: string, roots: readonly Root[], signal: AbortSignal): Promise<DirectoryListing> {
  const listing = await entriesOf(place, signal);
  if (!isInside(await realpath(place), roots)) throw outside(given);
  return listing;
}

async function entriesOf(place: string, signal: AbortSignal): Promise<DirectoryListing> {
  const { first, truncated } = await firstByName(place, signal);
  return { entries: await measured(place, first, signal), truncated };
}

/** The first entries by name. Memory stays bounded, however many there are. */
async function firstByName(place: string, signal: AbortSignal): Promise<{ first: Dirent[]; truncated: boolean }> {
  let kept: Dirent[] = [];
  let seen = 0;
  const keepFirst = () => {
    kept = kept.toSorted((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0)).slice(0, MOST_ENTRIES);
  };
  for await (const entry of await opendir(place, { bufferSize: 256 })) {
    signal.throwIfAborted();
    seen += 1;
    kept.push(entry);
    if (kept.length >= 2 * MOST_ENTRIES) keepFirst();
  }
  keepFirst();
  return { first: kept, truncated: seen > MOST_ENTRIES };
}

/** A few at a time: each look-up occupies a thread that other calls need too. */
const AT_ONCE = 32;

async function measured(place: string, entries: readonly Dirent[], signal: AbortSignal): Promise<DirectoryEntry[]> {
  const out: DirectoryEntry[] = [];
  for (let index = 0; index < entries.length; index += AT_ONCE) {
    signal.throwIfAborted();
    out.push(...(await Promise.all(entries.slice(index, index + AT_ONCE).map((entry) => describeEntry(place, entry)))));
  }
  return out;
}

async function describeEntry(place: string, entry: Dirent): Promise<DirectoryEntry> {
  const { name } = entry;
  if (entry.isSymbolicLink()) return { name, type: "symlink" };
  if (entry.isDirectory()) return { name, type: "directory" };
  if (!entry.isFile()) return { name, type: "other" };
  // Gone since, or a name that is not UTF-8: listed without its size.
  const stats = await lstat(nodePath.join(place, name)).catch(() => undefined);
  return stats?.isFile() === true ? { name, type: "file", size: stats.size } : { name, type: "file" };
}
