/**
 * Builds what is shipped: dist/sidecar.js, one minified file that bin/steerable-sidecar.js runs from
 * a V8 code cache, and the client for Node hosts.
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
    input: join(root, "src/main.ts"),
    platform: "node",
    external: ["@photostructure/sqlite"],
    plugins: [loadBuiltinsOnFirstUse()],
    transform: { target: "node20" },
    logLevel: "warn",
  });
  const { output } = await bundle.generate({ format: "cjs", minify: true, codeSplitting: false, comments: false });
  const [chunk, ...more] = output;
  if (more.length > 0) throw new Error(`expected one file, got ${output.map((file) => file.fileName).join(", ")}`);
  const code = toAscii(chunk.code);
  // The loader names its code cache by this hash: a cache must never serve another version.
  const hash = createHash("sha256").update(code).digest("hex").slice(0, 16);
  await writeFile(join(dist, "sidecar.js"), `/*${hash}*/(function(exports,require,module,__filename,__dirname){${code}\n})`);
  await bundle.close();
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
