import type { BigIntStats } from "node:fs";
import type { FileHandle } from "node:fs/promises";
import nodePath from "node:path";
import { type Tool, ToolFailure } from "../tool.ts";
import { linesAt, nearMiss } from "./edit/hint.ts";
import { failureOf, quoted, refuseUnlessFile } from "./failures.ts";
import { openFolder } from "./folder.ts";
import { openInside, readBetween } from "./opened.ts";
import { exclusively, MOST_WRITTEN, replaceFile, statsOf } from "./replace-file.ts";
import { locate, openRoots, type Root } from "./roots.ts";
import { occurrences } from "./text/occurrences.ts";

/** What `edit_file` returns. */
export interface EditedFile {
  /** As it was given. */
  path: string;
  replacements: number;
  /** Of the whole file. */
  bytes: number;
}

interface Edit {
  path: string;
  oldText: string;
  newText: string;
  replaceAll?: boolean;
}

/** `edit_file {path, oldText, newText, replaceAll?}`: exact replacement in a text file under one of the roots. */
export function editFile(roots: readonly string[]): Tool {
  return {
    name: "edit_file",
    description:
      "Replaces a piece of a text file (UTF-8, at most 16 MiB). oldText must be exactly what is in the file, white space and line ends included, and occur once; with replaceAll every occurrence is replaced.",
    mode: "safe_write",
    parameters: {
      type: "object",
      properties: {
        path: { type: "string", minLength: 1, description: "Path relative to the workspace." },
        oldText: { type: "string", minLength: 1, description: "What to replace, with enough of its surroundings to occur only once." },
        newText: { type: "string", description: "What to put in its place; empty to delete it." },
        replaceAll: { type: "boolean", description: "Replace every occurrence; false when left out." },
      },
      required: ["path", "oldText", "newText"],
      additionalProperties: false,
    },
    async run(args, { signal }): Promise<EditedFile> {
      const edit = args as unknown as Edit;
      const places = await openRoots(roots);
      const place = await locate(edit.path, places);
      return await exclusively(place, signal, async () => {
        try {
          return await editAt(place, edit, places, signal);
        } catch (error) {
          throw failureOf(error, edit.path, "written");
        }
      });
    },
  };
}

/** The most lines that a failure counts up. */
const MOST_LINES = 10;
/** More at once would take the memory of hundreds of such files. */
const MOST_REPLACEMENTS = 1_000_000;

async function editAt(place: string, edit: Edit, roots: readonly Root[], signal: AbortSignal): Promise<EditedFile> {
  const { path } = edit;
  // Opening alone can do harm, so what is no file is not even opened; and above a root nothing is.
  const found = await statsOf(place);
  if (found !== undefined) refuseUnlessFile(found, path);
  const folder = await openFolder(nodePath.dirname(place), path, roots);
  try {
    const name = nodePath.basename(place);
    const file = await openInside(nodePath.join(folder.at, name), path, roots);
    let before: { text: string; stats: BigIntStats };
    try {
      before = await readText(file, path);
    } finally {
      await file.close();
    }
    signal.throwIfAborted();
    const { text, replacements } = edited(before.text, edit);
    const bytes = await replaceFile({ folder, name, given: path, text, existing: before.stats, only: "unchanged", signal });
    return { path, replacements, bytes };
  } finally {
    await folder.close();
  }
}

async function readText(file: FileHandle, given: string): Promise<{ text: string; stats: BigIntStats }> {
  const stats = await file.stat({ bigint: true });
  refuseUnlessFile(stats, given);
  if (stats.size > MOST_WRITTEN) throw new ToolFailure(`The file has ${stats.size} bytes; ${MOST_WRITTEN} are the most that can be edited: ${quoted(given)}`);
  // As many bytes as it had: if it grows meanwhile, that is found out before anything is written.
  const bytes = await readBetween(file, 0, Number(stats.size));
  try {
    // A byte order mark is content like any other, so that it is there afterwards.
    return { text: new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes), stats };
  } catch {
    throw new ToolFailure(`The file is not UTF-8 text, so it cannot be edited: ${quoted(given)}`);
  }
}

function edited(text: string, { path, oldText, newText, replaceAll = false }: Edit): { text: string; replacements: number } {
  if (oldText === newText) throw new ToolFailure("oldText and newText are the same: there is nothing to change", "invalid_params");
  let replacements = 0;
  const starts: number[] = [];
  for (const start of occurrences(text, oldText)) {
    replacements += 1;
    if (replacements > MOST_REPLACEMENTS) throw new ToolFailure(`oldText occurs more than ${MOST_REPLACEMENTS} times in ${quoted(path)}`);
    if (starts.length < MOST_LINES) starts.push(start);
  }
  if (replacements === 0) throw new ToolFailure(`oldText was not found in ${quoted(path)}.${nearMiss(text, oldText)}`);
  if (replacements > 1 && !replaceAll) {
    const numbers = linesAt(text, starts).join(", ");
    const more = replacements > starts.length ? ", …" : "";
    throw new ToolFailure(
      `oldText occurs ${replacements} times in ${quoted(path)}, at lines ${numbers}${more}: give more of its surroundings, or set replaceAll to replace all`,
    );
  }
  // Before it is built: a few kilobytes of newText for every letter of a large file would fill the memory.
  const length = text.length + replacements * (newText.length - oldText.length);
  if (length > MOST_WRITTEN) throw new ToolFailure(`The file would have more than ${MOST_WRITTEN} bytes`);
  return { text: replaced(text, oldText, newText), replacements };
}

function replaced(text: string, oldText: string, newText: string): string {
  const parts: string[] = [];
  let end = 0;
  for (const start of occurrences(text, oldText)) {
    parts.push(text.slice(end, start), newText);
    end = start + oldText.length;
  }
  parts.push(text.slice(end));
  return parts.join("");
}
