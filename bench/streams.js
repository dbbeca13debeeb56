/** Several answers of the model server at once, through the sidecar or the minimal relay, which speak alike. */
import { fileURLToPath } from "node:url";
import { fullText } from "./peers/answers.js";
import { Peer } from "./peer.js";
import { request } from "./sidecar.js";

/** Starts the relay that does the least. */
export async function startMinimalRelay(baseUrl) {
  const relay = new Peer([fileURLToPath(import.meta.resolve("./peers/minimal-relay.js")), baseUrl]);
  await relay.lines(1);
  return relay;
}

/** What makes the sidecar stream `count` answers. */
export function sidecarCalls(baseUrl, model, count) {
  const params = (index) => ({ provider: "openai", baseUrl, apiKey: "none", model, streamId: `s${index}`, messages: [{ role: "user", content: "Go" }] });
  return Array.from({ length: count }, (_, index) => request(index, "agent.chat.stream", params(index)));
}

/** The same for the minimal relay. */
export function relayCalls(model, count) {
  return Array.from({ length: count }, (_, index) => `${JSON.stringify({ streamId: `s${index}`, model })}\n`);
}

/** Sends the calls and takes what comes until `count` streams have ended; milliseconds and the pieces. */
export async function stream(peer, calls) {
  const collected = peer.collect(terminals(calls.length));
  const started = performance.now();
  await peer.write(calls);
  const pieces = await collected;
  return { ms: performance.now() - started, pieces };
}

/** Returns true with the piece in which the last of `count` streams ends, well or not; a call that is refused counts as well. */
export function terminals(count) {
  const ends = ['"method":"stream.done"', '"method":"stream.error"', '"error":{"code":'].map(occurrences);
  let left = count;
  return (piece) => {
    for (const found of ends) left -= found(piece);
    return left <= 0;
  };
}

/** Throws unless every stream has brought the whole text of `model`, in order, and ended well. Returns the number of chunks. */
export function checkStreams(pieces, model, count) {
  const texts = new Map();
  let chunks = 0;
  let done = 0;
  for (const frame of frames(pieces)) {
    if (frame.error !== undefined) throw new Error(`a call was refused: ${JSON.stringify(frame.error)}`);
    if (frame.method === "stream.error") throw new Error(`a stream failed: ${JSON.stringify(frame.params)}`);
    if (frame.method === "stream.done") done++;
    if (frame.method !== "stream.chunk" || frame.params.delta === undefined) continue;
    chunks++;
    const { streamId, delta } = frame.params;
    texts.set(streamId, (texts.get(streamId) ?? "") + delta);
  }
  const expected = fullText(model);
  const whole = [...texts.values()].filter((text) => text === expected).length;
  if (whole !== count || done !== count) throw new Error(`${whole} of ${count} streams brought the whole text, ${done} ended well`);
  return chunks;
}

/** The frames in what was collected. */
export function frames(pieces) {
  return Buffer.concat(pieces)
    .toString("utf8")
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line));
}

/** Counts `pattern` in bytes that come in pieces, also where it is cut. */
function occurrences(pattern) {
  const wanted = Buffer.from(pattern);
  let tail = Buffer.alloc(0);
  return (piece) => {
    const bytes = Buffer.concat([tail, piece]);
    // One byte short of the pattern: it is never found twice.
    tail = bytes.subarray(Math.max(0, bytes.length - wanted.length + 1));
    let found = 0;
    for (let at = bytes.indexOf(wanted); at !== -1; at = bytes.indexOf(wanted, at + wanted.length)) found++;
    return found;
  };
}
