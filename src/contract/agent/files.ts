/** Files that are given along with a turn. */
import * as z from "zod";

export const FileRef = z
  .union([
    z.strictObject({ path: z.string().min(1).max(4096).describe("Of a regular file inside one of `tools.roots`; relative to it, or absolute.") }),
    z.strictObject({
      url: z.string().min(1).max(8192).describe("`http:` or `https:`, without a password in it; public addresses only, unless `tools.fetch.allowPrivate`."),
    }),
  ])
  .describe("A file, by its path or its address: text in UTF-8, a web page, or an image (PNG, JPEG, GIF or WebP), as its content tells.");
export type FileRef = z.output<typeof FileRef>;

/** Of one turn. */
export const FileRefs = z
  .array(FileRef)
  .max(32)
  .describe(
    "Attached to the last user message, in order: images as they are, text between fences below a line that names it. At most 8 MiB each, 16 MiB in all; read before the turn is acknowledged, within 30 seconds.",
  );
