import { type Readable, type Transform, Writable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createBrotliDecompress, createGunzip, createInflate } from "node:zlib";
import { bodyFailure } from "../../../providers/faults.ts";
import { ToolFailure } from "../../tool.ts";

export interface Body {
  /** Decompressed. */
  bytes: Buffer;
  /** There was more. */
  truncated: boolean;
}

/**
 * The first bytes of a body, `most` of them after decompression; then nothing more is read, so that
 * what is small on the wire cannot become large here. `encoding` is the Content-Encoding. Throws a
 * `ToolFailure`, or the reason of the signal.
 */
export async function readBody(body: Readable, encoding: string, most: number, signal: AbortSignal): Promise<Body> {
  const chunks: Buffer[] = [];
  let size = 0;
  const collect = new Writable({
    write(chunk: Buffer, _encoding, done) {
      chunks.push(chunk);
      size += chunk.length;
      done(size > most ? new Error("There is enough") : null);
    },
  });
  const decoders = decodersFor(encoding);
  // An error of one stream ends the others with the same error: who was first tells whose it was.
  let first: "body" | "decoder" | undefined;
  body.once("error", () => (first ??= "body"));
  for (const decoder of decoders) decoder.once("error", () => (first ??= "decoder"));
  try {
    await pipeline([body, ...decoders, collect], { signal });
  } catch (error) {
    signal.throwIfAborted();
    // With enough read, the rest was cut off by ourselves.
    if (size <= most) throw new ToolFailure(first === "decoder" ? "The body could not be decompressed" : bodyFailure(error).message);
  }
  return { bytes: Buffer.concat(chunks).subarray(0, most), truncated: size > most };
}

/** What is read back, in the order in which it has to be undone. */
function decodersFor(encoding: string): Transform[] {
  const names = encoding
    .toLowerCase()
    .split(",")
    .map((name) => name.trim())
    .filter((name) => name !== "" && name !== "identity");
  if (names.length > MOST_ENCODINGS) throw new ToolFailure("The body is compressed too many times");
  return names.toReversed().map((name) => {
    const make = makers.get(name);
    if (make === undefined) throw new ToolFailure("The body is compressed in a way that is not understood");
    return make();
  });
}

/** Nobody sends two; who sends more wants to do harm. */
const MOST_ENCODINGS = 2;

const makers = new Map<string, () => Transform>([
  ["gzip", createGunzip],
  ["x-gzip", createGunzip],
  ["deflate", createInflate],
  ["br", createBrotliDecompress],
]);
