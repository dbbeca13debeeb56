/**
 * Builds what is shipped: dist/sidecar.js (all that a start needs) and dist/app.js (all that waits for
 * the first request), which bin/steerable-sidecar.js runs from V8 code caches, and the client for Node hosts.
 */
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdir, rm, writeFile } from "node:fs/promises";
import { isBuiltin } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { rolldown } from "rolldown";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const dist = join(root, "dist");

await rm(dist, { recursive: true, force: true });
await mkdir(dist, { recursive: true });
await buildSidecar();
await buildClient();
await writeClientTypes();

async function buildSidecar() {
  const bundle = await rolldown({
    input: { sidecar: join(root, "src/main.ts") },
    platform: "node",
    external: ["@photostructure/sqlite"],
    plugins: [loadBuiltinsOnFirstUse()],
    transform: { target: "node20" },
    logLevel: "warn",
  });
  const { output } = await bundle.generate({ format: "cjs", minify: true, comments: false, entryFileNames: "[name].js", chunkFileNames: "[name].js" });
  await bundle.close();
  const boot = staticallyReachable("sidecar.js", output);
  const files = { "sidecar.js": pack(output.filter((chunk) => boot.has(chunk))), "app.js": pack(output.filter((chunk) => !boot.has(chunk))) };
  // One hash for both, because they know each other by minified names: the loader runs no two halves of
  // different builds. It also names the code caches, since a cache must never serve another build.
  const hash = createHash("sha256").update(Object.values(files).join("\n")).digest("hex").slice(0, 16);
  for (const [name, code] of Object.entries(files)) await writeFile(join(dist, name), `/*${hash}*/${code}`);
}

/** The chunks that run when the chunk called `name` runs; each other one waits for a dynamic import. */
function staticallyReachable(name, output) {
  const reached = new Set();
  const visit = (fileName) => {
    const chunk = output.find((file) => file.fileName === fileName);
    if (chunk === undefined || reached.has(chunk)) return;
    reached.add(chunk);
    chunk.imports.forEach(visit);
  };
  visit(name);
  return reached;
}

/**
 * One script for several chunks: an object of functions, run one by one as they are required. The bundler
 * alone could write two files only by giving up on chunks that run when they are first needed.
 */
function pack(chunks) {
  if (chunks.length === 0) throw new Error("a file of the sidecar is empty: nothing is imported dynamically any more");
  return `({${chunks.map((chunk) => `${JSON.stringify(`./${chunk.fileName}`)}:${asFunction(chunk)}`).join(",")}})`;
}

function asFunction(chunk) {
  if (chunk.type !== "chunk") throw new Error(`expected nothing but code, got ${chunk.fileName}`);
  // The loader compiles scripts, and a script of vm cannot import.
  if (/\bimport\s*\(/.test(chunk.code)) throw new Error(`${chunk.fileName} imports dynamically what the bundler did not resolve`);
  return `function(exports,require,module,__filename,__dirname){${toAscii(chunk.code)}\n}`;
}

async function buildClient() {
  const bundle = await rolldown({
    input: join(root, "src/client/index.ts"),
    platform: "node",
    external: [/^node:/, /^vscode-jsonrpc/],
    transform: { target: "node20" },
    logLevel: "warn",
  });
  await bundle.write({ file: join(dist, "client.mjs"), format: "esm", codeSplitting: false });
  await bundle.write({ file: join(dist, "client.cjs"), format: "cjs", codeSplitting: false });
  await bundle.close();
}

/** The declarations of the client, and of the contract that its types come from. */
async function writeClientTypes() {
  const tsc = join(root, "node_modules/typescript/bin/tsc");
  await promisify(execFile)(process.execPath, [tsc, "-p", join(root, "build/tsconfig.client.json")]);
}

/**
 * Keeps `require("node:crypto")` and its like where they are first needed. A bundler hoists them to
 * the top of the file, where they cost a third of the start although most runs begin without them.
 */
function loadBuiltinsOnFirstUse() {
  const prefix = "\0builtin:";
  return {
    name: "load-builtins-on-first-use",
    resolveId(source, importer) {
      if (!isBuiltin(source)) return null;
      return importer?.startsWith(prefix) ? { id: source, external: true } : { id: prefix + source };
    },
    load(id) {
      return id.startsWith(prefix) ? `module.exports = require(${JSON.stringify(id.slice(prefix.length))});` : null;
    },
  };
}

/** Latin-1 source is read and compiled without decoding; other characters only stand in string literals. */
function toAscii(code) {
  return code.replace(/[^\x00-\x7f]/g, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`);
}
