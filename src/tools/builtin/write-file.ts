import nodePath from "node:path";
import { type Tool, ToolFailure } from "../tool.ts";
import { failureOf, quoted, refuseUnlessFile } from "./failures.ts";
import { makeFolder, openFolder } from "./folder.ts";
import { exclusively, replaceFile, statsOf } from "./replace-file.ts";
import { locateForWriting, openRoots } from "./roots.ts";

/** What `write_file` returns. */
export interface WrittenFile {
  /** As it was given. */
  path: string;
  /** Of the whole file. */
  bytes: number;
  /** False when a file of that name was there before. */
  created: boolean;
}

interface Arguments {
  path: string;
  content: string;
  createFolders?: boolean;
  overwrite?: boolean;
}

/** `write_file {path, content, createFolders?, overwrite?}`: a text file under one of the roots, written as a whole. */
export function writeFile(roots: readonly string[]): Tool {
  return {
    name: "write_file",
    description: "Writes a text file as a whole (UTF-8, at most 16 MiB); what was in it before is gone. To change a part of a file, use edit_file.",
    mode: "safe_write",
    parameters: {
      type: "object",
      properties: {
        path: { type: "string", minLength: 1, description: "Path relative to the workspace." },
        content: { type: "string", description: "The whole text, exactly as it is to be in the file." },
        createFolders: { type: "boolean", description: "Make folders of the path that are missing; false when left out." },
        overwrite: { type: "boolean", description: "Replace a file that exists; true when left out." },
      },
      required: ["path", "content"],
      additionalProperties: false,
    },
    async run(args, { signal }): Promise<WrittenFile> {
      const { path, content, createFolders = false, overwrite = true } = args as unknown as Arguments;
      const places = await openRoots(roots);
      const found = await locateForWriting(path, places);
      const { folder: parent, names } = typeof found === "string" ? await existing(found, path) : found;
      if (names.length > 1 && !createFolders) throw new ToolFailure(`The folder is missing; createFolders makes it: ${quoted(path)}`);
      return await exclusively(nodePath.join(parent, ...names), signal, async () => {
        try {
          const folder = await (names.length > 1 ? makeFolder({ folder: parent, names }, path, places) : openFolder(parent, path, places));
          try {
            const name = names.at(-1) ?? "";
            const before = await statsOf(nodePath.join(folder.at, name));
            if (before !== undefined) refuseUnlessFile(before, path);
            if (before !== undefined && !overwrite) throw new ToolFailure(`The file exists already: ${quoted(path)}`);
            const bytes = await replaceFile({ folder, name, given: path, text: content, existing: before, only: overwrite ? undefined : "new", signal });
            return { path, bytes, created: before === undefined };
          } finally {
            await folder.close();
          }
        } catch (error) {
          throw failureOf(error, path, "written");
        }
      });
    },
  };
}

async function existing(place: string, given: string): Promise<{ folder: string; names: [string] }> {
  const stats = await statsOf(place);
  // A folder may be a root, and above a root nothing is opened.
  if (stats !== undefined) refuseUnlessFile(stats, given);
  return { folder: nodePath.dirname(place), names: [nodePath.basename(place)] };
}
