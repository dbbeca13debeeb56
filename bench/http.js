/** The HTTP listener and the least that could stand in its place, asked by a client in a process of its own. */
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { fullText, parseModel } from "./peers/answers.js";
import { Peer } from "./peer.js";
import { configuredSidecar, spawnSidecar } from "./sidecar.js";

/** What the streams of one run have brought. */
const folder = mkdtempSync(join(tmpdir(), "sidecar-bench-http-"));
process.on("exit", () => rmSync(folder, { recursive: true, force: true }));

/** What the limits are set to where they would stop a bench: they are there, and count. */
const MANY = 1_000_000;

/** A server to be asked. `token` is undefined where none is needed. @typedef {{ peer: Peer, port: number, token?: string }} Server */

/** A sidecar that listens, with the model server configured. @returns {Promise<Server>} */
export async function httpSidecar(baseUrl) {
  const sidecar = await configuredSidecar(
    () => `providers: { openai: { baseUrl: "${baseUrl}", apiKey: none } }\napi: { limits: { max_concurrent_requests: 10000 } }\n`,
    ["--http", "127.0.0.1:0", "--rate-limit", String(MANY)],
  );
  const { url, token } = sidecar.ready.params.listenInfo.http;
  return { peer: sidecar, port: Number(new URL(url).port), token };
}

/** One that serves HTTP alone, as soon as it listens. */
export async function containerSidecar() {
  const peer = spawnSidecar(["--http", "127.0.0.1:0", "--http-only"]);
  for (;;) {
    await once(peer.child.stderr, "data");
    const url = /listening on (\S+)/.exec(peer.stderr)?.[1];
    if (url !== undefined) return { peer, url };
  }
}

/** @returns {Promise<Server>} */
export async function minimalHttp(baseUrl) {
  const peer = new Peer([fileURLToPath(import.meta.resolve("./peers/minimal-http.js")), baseUrl]);
  const [line] = await peer.lines(1);
  const { port } = JSON.parse(line);
  return { peer, port, url: `http://127.0.0.1:${port}` };
}

/** @returns {Peer} For `askMany` and `streamMany`. */
export function httpClient() {
  return new Peer([fileURLToPath(import.meta.resolve("./peers/http-client.js"))]);
}

/** Answers a second over kept connections; `check` looks at one of them. */
export async function askMany(client, server, { verb, path, body, connections, count, check }) {
  const { ms, sample } = await order(client, { port: server.port, request: bytesOf(server, verb, path, body), connections, count });
  check(JSON.parse(sample));
  return count / (ms / 1000);
}

/** So many event streams at a time, all of `model`; milliseconds until the last has ended. Throws unless each has brought everything. */
export async function streamMany(client, server, { model, connections }) {
  const body = { model: `openai:${model}`, prompt: "Go", stream: true };
  const { ms } = await order(client, { port: server.port, request: bytesOf(server, "POST", "/v1/completions", body), connections, streams: true, folder });
  const whole = Array.from({ length: connections }, (_, index) => textOf(readFileSync(join(folder, String(index)), "utf8"))).filter((text) =>
    isAll(text, model),
  );
  if (whole.length !== connections) throw new Error(`${whole.length} of ${connections} streams brought the whole text`);
  return ms;
}

async function order(client, what) {
  const answered = client.lines(1);
  await client.write([`${JSON.stringify(what)}\n`]);
  const answer = JSON.parse((await answered)[0]);
  if (answer.error !== undefined) throw new Error(answer.error);
  return answer;
}

function bytesOf({ port, token }, verb, path, body) {
  const text = body === undefined ? "" : JSON.stringify(body);
  const head = [`${verb} ${path} HTTP/1.1`, `host: 127.0.0.1:${port}`];
  if (token !== undefined) head.push(`authorization: Bearer ${token}`);
  if (body !== undefined) head.push("content-type: application/json", `content-length: ${Buffer.byteLength(text)}`);
  return [...head, "", text].join("\r\n");
}

/** The text of a stream that has finished; undefined for any other. */
function textOf(response) {
  const events = unchunked(response.slice(response.indexOf("\r\n\r\n") + 4))
    .split("\n\n")
    .map((event) => ({ name: /^event: (\w+)$/m.exec(event)?.[1], data: /^data: (.+)$/m.exec(event)?.[1] }));
  if (!response.startsWith("HTTP/1.1 200 ") || !events.some(({ name }) => name === "finished")) return undefined;
  return events.map(({ name, data }) => (name === "assistant_delta" ? JSON.parse(data).text : "")).join("");
}

/** All of it is ASCII, so a length counts characters. */
function unchunked(body) {
  let text = "";
  for (let at = 0; at < body.length; ) {
    const lineEnd = body.indexOf("\r\n", at);
    const length = Number.parseInt(body.slice(at, lineEnd), 16);
    text += body.slice(lineEnd + 2, lineEnd + 2 + length);
    at = lineEnd + 2 + length + 2;
  }
  return text;
}

/** A `ticks` model holds times that nobody knows before, but so many of them. */
function isAll(text, model) {
  const { kind, count } = parseModel(model);
  return kind === "text" ? text === fullText(model) : text?.trim().split(" ").length === count;
}
