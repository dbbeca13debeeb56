/**
 * Writes what is generated from the contract: protocol.md and schema/. With --check nothing is
 * written, and the process exits with 1 when a file is stale. --out DIR takes the place of the
 * package's own folder.
 */
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { rolldown } from "rolldown";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const { values: flags } = parseArgs({ options: { check: { type: "boolean", default: false }, out: { type: "string", default: root } } });

const { generatedFiles } = await loadGenerator();
const stale = [];
for (const [name, text] of generatedFiles(await readChapters())) {
  const file = join(flags.out, name);
  if ((await readFile(file, "utf8").catch(() => undefined)) === text) continue;
  stale.push(name);
  if (flags.check) continue;
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, text);
}

if (!flags.check) console.log(stale.length === 0 ? "everything is up to date" : `written: ${stale.join(", ")}`);
else if (stale.length > 0) {
  console.error(`stale: ${stale.join(", ")}\nrun this and commit the result: npm run generate`);
  process.exitCode = 1;
}

/** Node 20 reads no TypeScript, so the generator is bundled into a file that lives as long as the import. */
async function loadGenerator() {
  const bundle = await rolldown({ input: join(root, "src/generate/files.ts"), platform: "node", logLevel: "warn" });
  const folder = await mkdtemp(join(tmpdir(), "steerable-generate-"));
  try {
    const file = join(folder, "generator.mjs");
    await bundle.write({ file, format: "esm", codeSplitting: false });
    return await import(pathToFileURL(file).href);
  } finally {
    await bundle.close();
    await rm(folder, { recursive: true });
  }
}

/** The hand-written chapters, in the order of their names. */
async function readChapters() {
  const folder = join(root, "src/generate/prose");
  const names = (await readdir(folder)).filter((name) => name.endsWith(".md")).toSorted();
  return Promise.all(names.map((name) => readFile(join(folder, name), "utf8")));
}
