/** The routes that are about the door itself. */
import type { FastifyInstance, FastifyRequest } from "fastify";
import { rawRoutes } from "../../contract/http/index.ts";
import { sendJson } from "./answers.ts";
import { mountDocs } from "./docs.ts";
import { EventWriter } from "./events/event-writer.ts";
import { nextAfter, sendEvents } from "./events/read-events.ts";
import type { Exchange } from "./exchange.ts";
import type { Metrics } from "./metrics/metrics.ts";
import { mountRaw } from "./router.ts";
import { headersOf } from "./routes.ts";
import { answerRpc, type RpcParts } from "./rpc.ts";

export interface TransportParts extends RpcParts {
  exchangeOf(request: FastifyRequest): Exchange;
  /** See `Gatekeeper.count`. */
  count(request: FastifyRequest): Promise<void> | undefined;
  metrics: Metrics;
}

export function mountTransport(server: FastifyInstance, parts: TransportParts): void {
  const { exchangeOf, metrics, streams } = parts;
  mountRaw(server, rawRoutes.health, (_, reply) => sendJson(reply, 200, { status: "ok" }));
  mountRaw(server, rawRoutes.metrics, async (_, reply) => {
    const { contentType, body } = await metrics.text();
    return reply.header("content-type", contentType).send(body);
  });
  mountRaw(server, rawRoutes.rpc, (request, reply) => {
    const exchange = exchangeOf(request);
    const body = Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0);
    return answerRpc(parts, { body, exchange, caller: exchange.caller, count: () => parts.count(request) }, reply);
  });
  mountRaw(server, rawRoutes.streamEvents, async (request, reply) => {
    const exchange = exchangeOf(request);
    const stream = streams.find((request.params as { streamId: string }).streamId, exchange.caller);
    const next = nextAfter(request.headers["last-event-id"]);
    // 204 is what makes an EventSource stop to connect again.
    if (stream.isReadTo(next)) return reply.code(204).send();
    const reader = stream.read(next);
    reply.hijack();
    const writer = new EventWriter(reply.raw);
    writer.open(headersOf(reply));
    await sendEvents(stream, reader, writer, exchange.signal);
    return reply;
  });
  mountDocs((route, handler) => mountRaw(server, route, handler));
}
