import type { FastifyReply } from "fastify";
import type { Caller } from "../../contract/caller.ts";
import { fail } from "../../errors.ts";
import { Connection, type ConnectionLimits } from "../../rpc/connection.ts";
import type { Call } from "../../rpc/request.ts";
import { FrameWriter } from "../../rpc/writer.ts";
import type { Door } from "../../runtime/door.ts";
import { doorOf, noSink } from "./door.ts";
import type { KeptStreams } from "./events/kept-streams.ts";
import type { Answerer, Exchange } from "./exchange.ts";

export interface RpcParts {
  app(): Promise<Answerer>;
  limits: ConnectionLimits;
  streams: KeptStreams;
  /** A place for what a call starts; see `Gatekeeper.permit`. */
  permit(): () => void;
  onFault(error: unknown, method: string): void;
}

/** One request to `/rpc`. */
export interface RpcRequest {
  body: Buffer;
  exchange: Exchange;
  caller: Caller;
  /** Counts a call of a batch as a request of the caller; see `Gatekeeper.count`. */
  count(): Promise<void> | undefined;
}

/** Methods that keep a model or a tool busy until they are answered. */
const LONG = new Set(["agent.chat.complete", "agent.session.compress", "tool.invoke"]);

/**
 * Answers a body with one frame or batch of JSON-RPC, by the same rules as stdin. Streams that it starts are
 * kept for those who ask for their events. The limits hold for the calls of a batch as if each were a request.
 */
export async function answerRpc(parts: RpcParts, { body, exchange, caller, count }: RpcRequest, reply: FastifyReply): Promise<FastifyReply> {
  if (body.every(isBlank)) throw fail("parse", undefined, "The body is empty");
  const app = await parts.app();
  /** The place of the request itself, while nothing else in it has taken that. */
  const takePlace = () => exchange.takePermit() ?? parts.permit();
  /** A stream outlives the request, and takes a place until it has ended. */
  const startStream = async (call: Call): Promise<unknown> => {
    const release = takePlace();
    let isOpen = false;
    const openSink = (streamId: string) => {
      isOpen = true;
      return parts.streams.open(streamId, caller, release);
    };
    const door: Door = {
      ...doorOf(caller, openSink),
      // One that is asked for again in another request is where it was.
      outlet: parts.streams,
      keeps: (streamId, traceId) => parts.streams.keeps(streamId, traceId, caller),
    };
    try {
      return await app.answer(call, door);
    } finally {
      // It was refused, or is one that an earlier call has started.
      if (!isOpen) release();
    }
  };
  const runLong = async (call: Call): Promise<unknown> => {
    const release = takePlace();
    try {
      return await app.answer(call, doorOf(caller, noSink));
    } finally {
      release();
    }
  };
  const begin = (call: Call): unknown => {
    if (call.method === "agent.chat.stream") return startStream(call);
    return LONG.has(call.method) ? runLong(call) : app.answer(call, doorOf(caller, noSink));
  };
  let isCounted = true;
  const answer = (call: Call): unknown => {
    // The first one was counted as the request.
    const counted = isCounted ? undefined : count();
    isCounted = false;
    return counted === undefined ? begin(call) : beginAfter(counted, call);
  };
  const beginAfter = async (counted: Promise<void>, call: Call): Promise<unknown> => {
    await counted;
    // Whoever cancelled meanwhile was told that it did not happen.
    if (call.signal.aborted) throw fail("cancelled");
    return begin(call);
  };
  let text = "";
  const writer = new FrameWriter(
    {
      write(chunk, _encoding, done) {
        text += chunk;
        done();
        return true;
      },
    },
    () => undefined,
  );
  const connection = new Connection({
    writer,
    limits: parts.limits,
    answer: (call) => exchange.run(() => answer(call)),
    onFault: parts.onFault,
  });
  const stop = () => connection.cancelAll(exchange.reason ?? fail("cancelled"), []);
  exchange.signal.addEventListener("abort", stop, { once: true });
  connection.message(body);
  if (exchange.signal.aborted) stop();
  await connection.idle();
  await writer.flushed();
  exchange.signal.removeEventListener("abort", stop);
  const ended = exchange.reason;
  if (ended?.errorName === "timeout") throw ended;
  return text === "" ? reply.code(204).send() : reply.code(200).header("content-type", "application/json; charset=utf-8").send(text.trimEnd());
}

/** Whether JSON passes over a byte where nothing is said. */
function isBlank(byte: number): boolean {
  return byte === 0x20 || (byte >= 0x09 && byte <= 0x0d);
}
