import { lstat } from "node:fs/promises";
import type { Tool } from "../tool.ts";
import { failureOf, refuseUnlessFile } from "./failures.ts";
import { openInside, readBetween } from "./opened.ts";
import { locate, openRoots, type Root } from "./roots.ts";

/** Bytes that one call returns at most. */
export const MOST_BYTES = 1024 * 1024;

/** What `read_file` returns. */
export interface FilePart {
  /** Text, or base64 where the bytes of this part are not UTF-8. */
  content: string;
  encoding: "utf8" | "base64";
  /** Bytes of the whole file. */
  size: number;
  /** First byte of this part: at or just before the one asked for, where that was inside a character. */
  offset: number;
  /** More of the file follows. */
  truncated: boolean;
  /** Where to go on, when `truncated`. */
  nextOffset?: number;
}

/** `read_file {path, offset?, limit?}`: part of a regular file under one of the roots. */
export function readFile(roots: readonly string[]): Tool {
  return {
    name: "read_file",
    description:
      "Reads a file, up to 1 MiB per call. Go on with `offset` set to `nextOffset` while `truncated` is true. Content that is not UTF-8 text comes as base64.",
    mode: "read",
    parameters: {
      type: "object",
      properties: {
        path: { type: "string", minLength: 1, description: "Path relative to the workspace." },
        offset: { type: "integer", minimum: 0, maximum: 2 ** 52, description: "First byte to read; 0 when left out." },
        limit: { type: "integer", minimum: 1, description: "Bytes to read at most; 1 MiB when left out." },
      },
      required: ["path"],
      additionalProperties: false,
    },
    async run(args, { signal }) {
      const { path, offset, limit } = args as { path: string; offset?: number; limit?: number };
      const places = await openRoots(roots);
      const place = await locate(path, places);
      signal.throwIfAborted();
      try {
        return await readPart(place, path, places, offset ?? 0, Math.min(limit ?? MOST_BYTES, MOST_BYTES));
      } catch (error) {
        throw failureOf(error, path);
      }
    },
  };
}

async function readPart(place: string, given: string, roots: readonly Root[], offset: number, limit: number): Promise<FilePart> {
  // Opening alone can do harm (a tape rewinds, a watchdog starts), so what is no file is not even opened.
  refuseUnlessFile(await lstat(place), given);
  const file = await openInside(place, given, roots);
  try {
    const stats = await file.stat();
    refuseUnlessFile(stats, given);
    const start = Math.max(0, offset - MARGIN);
    const part = cut({ start, bytes: await readBetween(file, start, offset + limit + MARGIN) }, offset, limit);
    return { ...part, size: stats.size };
  } finally {
    await file.close();
  }
}

/** Bytes of context on both sides of a part: a character has at most four. */
const MARGIN = 4;

interface Bytes {
  /** Position of the first byte in the file. */
  start: number;
  bytes: Buffer;
}

/**
 * The bytes from `offset` on, `limit` at most. Both ends of text move back to where a character
 * begins, so that parts of equal size put together are the file again.
 */
function cut({ start, bytes }: Bytes, offset: number, limit: number): Omit<FilePart, "size"> {
  const from = Math.min(offset - start, bytes.length);
  const to = Math.min(from + limit, bytes.length);
  const textFrom = characterStart(bytes, from);
  let textTo = characterStart(bytes, to);
  // A limit smaller than the character: give the character, so that every call gets ahead.
  if (textTo === textFrom) while (textTo < bytes.length && (textTo < to || characterStart(bytes, textTo) !== textTo)) textTo += 1;
  const text = decoded(bytes.subarray(textFrom, textTo));
  const [first, last] = text === undefined ? [from, to] : [textFrom, textTo];
  return {
    content: text ?? bytes.subarray(first, last).toString("base64"),
    encoding: text === undefined ? "base64" : "utf8",
    // A part past the end is empty, and is where it was asked for.
    offset: first === bytes.length ? offset : start + first,
    truncated: last < bytes.length,
    ...(last < bytes.length ? { nextOffset: start + last } : {}),
  };
}

/** Where the character begins that the byte at `index` belongs to; `index` itself where there is none. */
function characterStart(bytes: Buffer, index: number): number {
  for (let lead = index - 1; lead >= Math.max(0, index - 3); lead -= 1) {
    const byte = bytes[lead];
    if (byte === undefined || byte < 0x80) return index;
    if (byte < 0xc0) continue;
    const length = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2;
    // At the end of the file the character will never be complete: it is not text.
    return index < bytes.length && lead + length > index ? lead : index;
  }
  return index;
}

function decoded(bytes: Buffer): string | undefined {
  try {
    // A byte order mark is content like any other: parts put together give the file.
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return undefined;
  }
}
