/**
 * Builds what is shipped: dist/sidecar.js (all that a start needs), dist/app.js (all that waits for the
 * first request) and a file for each heavy part that most runs do without, all of which
 * bin/steerable-sidecar.js runs from V8 code caches, and the client for Node hosts.
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

/** Parts with a file of their own, by the modules that are their ways in. What others need too is in theirs. */
const apart = { http: /\/src\/listeners\/http\//, mcp: /\/src\/tools\/mcp\.ts$/ };

await rm(dist, { recursive: true, force: true });
await mkdir(dist, { recursive: true });
await buildSidecar();
await buildClient();
await writeClientTypes();

async function buildSidecar() {
  const bundle = await rolldown({
    input: { sidecar: join(root, "src/main.ts") },
    platform: "node",
    // Native code is loaded from where it was installed.
    external: ["@photostructure/sqlite", "@node-rs/argon2"],
    plugins: [loadBuiltinsOnFirstUse()],
    transform: { target: "node20" },
    logLevel: "warn",
  });
  const { output } = await bundle.generate({
    format: "cjs",
    minify: true,
    comments: false,
    entryFileNames: "[name].js",
    chunkFileNames: "[name].js",
    // The loader compiles scripts, and a script of vm cannot import.
    dynamicImportInCjs: false,
  });
  await bundle.close();
  const files = packed(output);
  // One hash for all, because they know each other by minified names: the loader runs no parts of
  // different builds. It also names the code caches, since a cache must never serve another build.
  const hash = createHash("sha256").update(Object.values(files).join("\n")).digest("hex").slice(0, 16);
  for (const [name, code] of Object.entries(files)) await writeFile(join(dist, name), `/*${hash}*/${code}`);
}

/** The scripts, by file. The first says where the chunks are that are neither in it nor in app.js. */
function packed(output) {
  const homes = homesOf(output);
  const inFile = (home) => output.filter((chunk) => homes.get(chunk) === home);
  const elsewhere = Object.keys(apart).flatMap((name) => inFile(name).map((chunk) => [`./${chunk.fileName}`, name]));
  const parts = ["app", ...Object.keys(apart)].map((name) => [`${name}.js`, `({chunks:${pack(name, inFile(name))}})`]);
  return {
    "sidecar.js": `({homes:${JSON.stringify(Object.fromEntries(elsewhere))},chunks:${pack("sidecar", inFile("sidecar"))}})`,
    ...Object.fromEntries(parts),
  };
}

/** Which file each chunk goes to: that of the start, that of the only part that needs it, or app.js. */
function homesOf(output) {
  const boot = reachable(output, { dynamically: false });
  const closed = Object.fromEntries(Object.entries(apart).map(([name, test]) => [name, output.filter(({ facadeModuleId }) => isWayIn(facadeModuleId, test))]));
  const common = reachable(output, { closed: Object.values(closed).flat() });
  const without = Object.entries(closed).map(([name, waysIn]) => ({ name, reached: reachable(output, { closed: waysIn }) }));
  const homeOf = (chunk) => {
    if (boot.has(chunk)) return "sidecar";
    return common.has(chunk) ? "app" : (without.find(({ reached }) => !reached.has(chunk))?.name ?? "app");
  };
  const homes = new Map(output.map((chunk) => [chunk, homeOf(chunk)]));
  for (const chunk of common) {
    const needed = chunk.imports.find((name) => Object.hasOwn(apart, homes.get(output.find(({ fileName }) => fileName === name))));
    if (needed !== undefined) throw new Error(`${chunk.fileName} cannot do without ${needed}, which is to be apart`);
  }
  return homes;
}

function isWayIn(moduleId, test) {
  return moduleId !== null && test.test(moduleId.replaceAll("\\", "/"));
}

/** The chunks that the start comes to, at once or later, without passing one of `closed`. */
function reachable(output, { dynamically = true, closed = [] }) {
  const reached = new Set();
  const visit = (fileName) => {
    const chunk = output.find((file) => file.fileName === fileName);
    if (chunk === undefined || reached.has(chunk) || closed.includes(chunk)) return;
    reached.add(chunk);
    chunk.imports.forEach(visit);
    if (dynamically) chunk.dynamicImports.forEach(visit);
  };
  visit("sidecar.js");
  return reached;
}

/**
 * One script for several chunks: an object of functions, run one by one as they are required. The bundler
 * alone could write a few files only by giving up on chunks that run when they are first needed.
 */
function pack(name, chunks) {
  if (chunks.length === 0) throw new Error(`${name}.js is empty: what should be in it is not imported dynamically any more`);
  return `{${chunks.map((chunk) => `${JSON.stringify(`./${chunk.fileName}`)}:${asFunction(chunk)}`).join(",")}}`;
}

function asFunction(chunk) {
  if (chunk.type !== "chunk") throw new Error(`expected nothing but code, got ${chunk.fileName}`);
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
