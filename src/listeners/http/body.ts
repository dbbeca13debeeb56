/** The body of a request, from the bytes on the socket to its value. */
import { isUtf8 } from "node:buffer";
import type { IncomingMessage } from "node:http";
import { fail, type WireError } from "../../errors.ts";
import { deeperThan } from "../../rpc/json.ts";

/** Longest silence in the middle of a body. Milliseconds. */
const SILENCE_MS = 10_000;
/** How long a client that was refused may go on sending what nobody reads. Milliseconds. */
export const LINGER_MS = 1_000;

/**
 * The bytes of a body. Rejects with `unsupported_media` where they are compressed, with `too_large` as soon as more than `most` are announced or have come, with
 * `timeout` when nothing comes for ten seconds, and with the reason of `signal`, a `WireError`.
 */
export function readBody(request: IncomingMessage, { most, signal }: { most: number; signal: AbortSignal }): Promise<Buffer> {
  if (!/^(identity)?$/i.test(request.headers["content-encoding"] ?? ""))
    return Promise.reject(fail("unsupported_media", undefined, "Send the body without compression"));
  if (Number(request.headers["content-length"]) > most) return Promise.reject(fail("too_large"));
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let size = 0;
    const settle = (finish: () => void) => {
      clearTimeout(silence);
      request.off("data", take).off("end", end).off("error", lose);
      signal.removeEventListener("abort", stop);
      finish();
    };
    const refuse = (error: WireError) => settle(() => reject(error));
    const take = (chunk: Buffer) => {
      silence.refresh();
      size += chunk.length;
      if (size > most) refuse(fail("too_large"));
      else chunks.push(chunk);
    };
    const end = () => settle(() => resolve(Buffer.concat(chunks, size)));
    const lose = () => refuse(fail("cancelled", undefined, "The client has closed the connection"));
    const stop = () => settle(() => reject(signal.reason));
    const silence = setTimeout(() => refuse(fail("timeout", undefined, "The body came too slowly")), SILENCE_MS);
    request.on("data", take).once("end", end).once("error", lose);
    signal.addEventListener("abort", stop, { once: true });
    if (signal.aborted) stop();
  });
}

/**
 * Lets a client finish what it is sending, without keeping it: many look for an answer only then, and a
 * connection that ends before would take the answer with it. False where it does not come to an end.
 */
export function receiveRest(request: IncomingMessage, lingerMs: number): Promise<boolean> {
  if (request.complete) return Promise.resolve(true);
  return new Promise((resolve) => {
    const settle = () => {
      clearTimeout(timer);
      request.off("end", settle).off("close", settle);
      resolve(request.complete);
    };
    const timer = setTimeout(settle, lingerMs);
    request.once("end", settle).once("close", settle).resume();
  });
}

/** The JSON value of a body; undefined for an empty one. Throws `parse` or `invalid_request`. */
export function parseBody(body: unknown, depth: number): unknown {
  if (!Buffer.isBuffer(body) || body.length === 0) return undefined;
  if (!isUtf8(body)) throw fail("parse", undefined, "The body is not valid UTF-8");
  let text = body.toString("utf8");
  if (text.charCodeAt(0) === 0xfeff) text = text.slice(1);
  if (deeperThan(text, depth)) throw fail("invalid_request", { reason: "too_deep", limit: depth }, `The body nests deeper than ${depth} levels`);
  try {
    return JSON.parse(text);
  } catch {
    // What V8 says of it quotes the text, which may hold secrets.
    throw fail("parse", undefined, "The body is not valid JSON");
  }
}
