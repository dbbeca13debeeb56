/** The sidecar that was built, as a host sees it. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Peer } from "./peer.js";

const root = join(import.meta.dirname, "..");
const program = join(root, "bin/steerable-sidecar.js");
export const bundle = join(root, "dist/sidecar.js");

/** Databases of this run. */
const folder = mkdtempSync(join(tmpdir(), "sidecar-bench-"));
process.on("exit", () => rmSync(folder, { recursive: true, force: true }));
let databases = 0;

/** Spawns a sidecar with a database file of its own. */
export function spawnSidecar(flags = []) {
  return new Peer([program, "--storage-path", join(folder, `${++databases}.db`), ...flags]);
}

/** A sidecar with a configuration, and a folder for what that needs; `write` gives the text. It is ready, and `ready` is what it said. */
export async function configuredSidecar(write, flags = []) {
  const own = join(folder, `config-${++databases}`);
  mkdirSync(own);
  writeFileSync(join(own, "config.yaml"), write(own));
  const sidecar = new Peer([program, "--storage-path", join(own, "sidecar.db"), "--config", join(own, "config.yaml"), ...flags]);
  const [line] = await sidecar.lines(1);
  return Object.assign(sidecar, { folder: own, ready: JSON.parse(line) });
}

/** The same, once it has said that it is ready. */
export async function readySidecar() {
  const sidecar = spawnSidecar();
  await sidecar.lines(1);
  return sidecar;
}

/** The first run of a build leaves its code cache at its end. */
export async function warmCodeCache(flags) {
  const sidecar = spawnSidecar(flags);
  const ended = sidecar.ended();
  await sidecar.write([request(1, "system.ping"), request(2, "system.shutdown")]);
  await ended;
}

/** A request as a line. */
export function request(id, method, params) {
  return `${JSON.stringify({ jsonrpc: "2.0", id, method, params })}\n`;
}

/** Sends one request to a sidecar that has nothing else to say; resolves with its result. */
export async function call(sidecar, method, params) {
  const answered = sidecar.lines(1);
  await sidecar.write([request(1, method, params)]);
  const reply = JSON.parse((await answered)[0]);
  if (reply.id !== 1 || !("result" in reply)) throw new Error(`${method} was answered with ${JSON.stringify(reply)}`);
  return reply.result;
}
