import type { FastifyReply } from "fastify";
import type { Caller } from "../../contract/caller.ts";
import { fail } from "../../errors.ts";
import { Connection, type ConnectionLimits } from "../../rpc/connection.ts";
import type { Call } from "../../rpc/request.ts";
import { FrameWriter } from "../../rpc/writer.ts";
import type { Door } from "../../runtime/door.ts";
import type { KeptStreams } from "./events/kept-streams.ts";
import type { Answerer, Exchange } from "./exchange.ts";

export interface RpcParts {
  app(): Promise<Answerer>;
  limits: ConnectionLimits;
  streams: KeptStreams;
  /** A place for a stream; see `Gatekeeper.permit`. */
  permit(): () => void;
  onFault(error: unknown, method: string): void;
}

/**
 * Answers a body with one frame or batch of JSON-RPC, by the same rules as stdin. Streams that it starts are
 * kept for those who ask for their events.
 */
export async function answerRpc(parts: RpcParts, body: Buffer, exchange: Exchange, caller: Caller, reply: FastifyReply): Promise<FastifyReply> {
  if (body.every(isBlank)) throw fail("parse", undefined, "The body is empty");
  const app = await parts.app();
  const answer = (call: Call): unknown =>
    call.method === "agent.chat.stream"
      ? startStream(call)
      : app.answer(
          call,
          door(() => undefined),
        );
  const door = (onOver: () => void): Door => ({
    caller,
    // One that is asked for again in another request is where it was.
    outlet: parts.streams,
    keeps: (streamId: string, traceId: string) => parts.streams.keeps(streamId, traceId, caller),
    openSink: (streamId) => parts.streams.open(streamId, caller, onOver),
    // Whoever wants the events asks for them when it has the reply.
    release: () => undefined,
    tellsStatus: () => false,
  });
  /** A stream outlives the request, and takes a place until it has ended. */
  const startStream = async (call: Call): Promise<unknown> => {
    const release = exchange.takePermit() ?? parts.permit();
    let isOpen = false;
    const own = door(release);
    const openSink = (streamId: string) => {
      isOpen = true;
      return own.openSink(streamId);
    };
    try {
      return await app.answer(call, { ...own, openSink });
    } finally {
      // It was refused, or is one that an earlier call has started.
      if (!isOpen) release();
    }
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
