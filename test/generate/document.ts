/** protocol.md as a reader takes it apart. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { generatedFiles } from "../../src/generate/files.ts";
import { root } from "../support/root.ts";

/** What the generator makes of the sources as they are now. */
export const generated = generatedFiles(readChapters());
export const protocol = generated.get("protocol.md")!;

/** A line of a transcript: who wrote it, and the line itself. */
export interface TranscriptLine {
  from: "host" | "sidecar" | "stderr";
  text: string;
}

/** The fenced blocks of a language, each as its lines. */
export function blocks(language: string): string[][] {
  return [...protocol.matchAll(/^```(\w*)\n(.*?)^```$/gms)].filter(([, name]) => name === language).map(([, , body]) => body!.trimEnd().split("\n"));
}

const speakers = { "→ ": "host", "← ": "sidecar", "! ": "stderr" } as const;

/** The transcripts: blocks whose lines all start with a mark. */
export const transcripts: TranscriptLine[][] = blocks("text")
  .filter(([first]) => first !== undefined && first.slice(0, 2) in speakers)
  .map((lines) => lines.map((line) => ({ from: speakers[line.slice(0, 2) as keyof typeof speakers], text: line.slice(2) })));

/** Anchors of the headings, numbered where two are equal, as GitHub does it. */
export const anchors = new Set<string>();
const seen = new Map<string, number>();
for (const [, heading] of withoutBlocks().matchAll(/^#{1,6} (.+)$/gm)) {
  const slug = heading!
    .toLowerCase()
    .replace(/[^\w\- ]/g, "")
    .replaceAll(" ", "-");
  const count = seen.get(slug) ?? 0;
  seen.set(slug, count + 1);
  anchors.add(count === 0 ? slug : `${slug}-${count}`);
}

/** Targets of all links. */
export const links = [...withoutBlocks().matchAll(/\]\(([^)]+)\)/g)].map(([, target]) => target!);

function withoutBlocks(): string {
  return protocol.replace(/^```.*?^```$/gms, "");
}

function readChapters(): string[] {
  const folder = join(root, "src/generate/prose");
  return readdirSync(folder)
    .filter((name) => name.endsWith(".md"))
    .toSorted()
    .map((name) => readFileSync(join(folder, name), "utf8"));
}
