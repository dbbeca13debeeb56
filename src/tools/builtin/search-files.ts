import nodePath from "node:path";
import { type Tool, ToolFailure } from "../tool.ts";
import { failureOf } from "./failures.ts";
import { locate, openRoots } from "./roots.ts";
import { type Excerpt, excerpt } from "./search/excerpt.ts";
import { compileGlob, type Glob } from "./search/glob.ts";
import { escaped, type Matcher, plainMatcher, regexMatcher } from "./search/matcher.ts";
import { type FoundFile, filesBelow, MOST_ENTRIES, type Search, textOf } from "./search/walk.ts";

export interface Match extends Excerpt {
  path: string;
}

/** What `search_files` returns: matches by path and line; at most one for a line. */
export interface SearchResult {
  matches: Match[];
  /** The files that fit `glob`, when no pattern was given. */
  files?: string[];
  /** There may be more. */
  truncated: boolean;
  /** Files that fit `glob` and were searched. */
  searchedFiles: number;
  /** Files and folders that were not: not text, above 8 MiB, or not to be read. */
  skippedFiles: number;
}

interface Arguments {
  pattern?: string;
  path?: string;
  glob?: string;
  regex?: boolean;
  caseSensitive?: boolean;
  maxResults?: number;
  context?: number;
}

/** `search_files {pattern?, path?, glob?, regex?, caseSensitive?, maxResults?, context?}`: lines in the files under one of the roots. */
export function searchFiles(roots: readonly string[]): Tool {
  return {
    name: "search_files",
    description:
      "Searches text files line by line, or, without a pattern, lists files by glob. Folders named .git and node_modules are left out unless path names them; links are not followed.",
    mode: "read",
    parameters: {
      type: "object",
      properties: {
        pattern: { type: "string", maxLength: 1000, description: "What a line must hold. Left out or empty: files are listed." },
        path: { type: "string", minLength: 1, description: "Folder or file to search, relative to the workspace; the workspace itself when left out." },
        glob: {
          type: "string",
          minLength: 1,
          maxLength: 1000,
          description: "Only files that fit it, below path: *.ts, src/**/*.{js,ts}. Without a slash it is about the name, in any folder.",
        },
        regex: { type: "boolean", description: "The pattern is a JavaScript regular expression; false when left out: it is plain text." },
        caseSensitive: { type: "boolean", description: "Upper and lower case differ; true when left out." },
        maxResults: { type: "integer", minimum: 1, maximum: 1000, description: "Matches, or files, to return at most; 100 when left out." },
        context: { type: "integer", minimum: 0, maximum: 5, description: "Lines to show before and after a match; 0 when left out." },
      },
      additionalProperties: false,
    },
    async run(given, { signal }): Promise<SearchResult> {
      const args = given as Arguments;
      const { pattern = "", path = "." } = args;
      const glob = args.glob === undefined ? undefined : compileGlob(args.glob);
      const places = await openRoots(roots);
      const place = await locate(path, places);
      const search: Search = { given: path, roots: places, without: leftOut(path), signal, entries: 0, searched: 0, skipped: 0 };
      try {
        const files = fitting(filesBelow(place, search), glob);
        return await (pattern === "" ? list(files, search, args) : find(files, search, matcherFor(pattern, args, signal), args));
      } catch (error) {
        throw failureOf(error, path);
      }
    },
  };
}

/** Bytes of JSON that a result has at most, roughly. */
const MOST_RESULT = 240 * 1024;
/** Files that are read at the same time. */
const AT_ONCE = 4;

async function list(files: AsyncIterable<FoundFile>, search: Search, { maxResults = 100 }: Arguments): Promise<SearchResult> {
  const found: string[] = [];
  let bytes = 0;
  let truncated = false;
  for await (const { shown } of files) {
    search.searched += 1;
    bytes += jsonSize(shown);
    truncated = found.length === maxResults || bytes > MOST_RESULT;
    if (truncated) break;
    found.push(shown);
  }
  return { matches: [], files: found, ...seen(search, truncated) };
}

async function find(files: AsyncIterable<FoundFile>, search: Search, matcher: Matcher, { maxResults = 100, context = 0 }: Arguments): Promise<SearchResult> {
  const matches: Match[] = [];
  let bytes = 0;
  try {
    for await (const batch of batches(files)) {
      const texts = await Promise.all(batch.map(({ place }) => textOf(place, search)));
      for (const [index, { shown }] of batch.entries()) {
        const text = texts[index];
        if (text === undefined) {
          search.skipped += 1;
          continue;
        }
        search.searched += 1;
        // One more than wanted tells that there are more.
        for (const hit of await matcher.hits(text, maxResults - matches.length + 1, shown)) {
          const match = { path: shown, ...excerpt(text, hit, context) };
          bytes += jsonSize(match);
          if (matches.length === maxResults || bytes > MOST_RESULT) return { matches, ...seen(search, true) };
          matches.push(match);
        }
      }
      search.signal.throwIfAborted();
    }
    return { matches, ...seen(search, false) };
  } finally {
    await matcher.close();
  }
}

function seen({ entries, searched, skipped }: Search, isFull: boolean): Omit<SearchResult, "matches"> {
  return { truncated: isFull || entries >= MOST_ENTRIES, searchedFiles: searched, skippedFiles: skipped };
}

function matcherFor(pattern: string, { regex = false, caseSensitive = true }: Arguments, signal: AbortSignal): Matcher {
  if (regex) return regexMatcher(pattern, caseSensitive, signal);
  if (/[\r\n]/.test(pattern)) throw new ToolFailure("The pattern holds a line break, but the search goes line by line", "invalid_params");
  return caseSensitive ? plainMatcher(pattern) : regexMatcher(escaped(pattern), false, signal);
}

/** What nobody wrote, unless it is asked for. */
function leftOut(path: string): ReadonlySet<string> {
  const named = path.split(nodePath.sep === "/" ? "/" : /[\\/]/);
  return new Set([".git", "node_modules"].filter((name) => !named.includes(name)));
}

async function* fitting(files: AsyncIterable<FoundFile>, glob: Glob | undefined): AsyncGenerator<FoundFile, void, undefined> {
  for await (const file of files) if (glob === undefined || glob(file.path)) yield file;
}

async function* batches(files: AsyncIterable<FoundFile>): AsyncGenerator<FoundFile[], void, undefined> {
  let batch: FoundFile[] = [];
  for await (const file of files) {
    batch.push(file);
    if (batch.length < AT_ONCE) continue;
    yield batch;
    batch = [];
  }
  if (batch.length > 0) yield batch;
}

function jsonSize(value: unknown): number {
  return Buffer.byteLength(JSON.stringify(value)) + 1;
}
