/** The router, with what holds for every connection and every route. */
import { randomUUID } from "node:crypto";
import { createServer, type RequestListener, type Server } from "node:http";
import type { Socket } from "node:net";
import fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from "fastify";
import type { RawRoute, RouteEntry } from "../../contract/http/define.ts";
import { fail } from "../../errors.ts";
import { sendError } from "./answers.ts";
import { LINGER_MS } from "./body.ts";
import type { ArrivalLimits } from "./settings.ts";

/** What hooks know a route by. */
export type AnyRoute = RouteEntry | RawRoute;

declare module "fastify" {
  interface FastifyContextConfig {
    /** Absent where nothing of ours is asked for. */
    entry?: AnyRoute;
  }
}

/** `/v1/sessions/{id}` in the words of the router. */
export function routerPath(path: string): string {
  return path.replace(/\{(\w+)\}/g, ":$1");
}

/** How often Node looks whether a head or a request is late. Milliseconds. */
const TIMEOUT_CHECK_MS = 1_000;
const MOST_CONNECTIONS = 10_000;

export function createRouter(): FastifyInstance {
  return fastify({
    logger: false,
    genReqId: () => randomUUID(),
    exposeHeadRoutes: false,
    routerOptions: { maxParamLength: 512, ignoreTrailingSlash: false },
    frameworkErrors: (_error, request, reply) => {
      // The path cannot be read, so no hook has seen the request.
      reply.headers(commonHeaders(request.id));
      void sendError(reply as FastifyReply, fail("invalid_request", undefined, "The address of the request is malformed"), request.id);
    },
  });
}

/**
 * What listens on one address and hands its requests to the router. Not the server that Fastify makes: for the second address of `localhost`
 * it would make one without most of this. `isAnswered`: whether something was sent of an answer that is not over.
 */
export function createHttpServer(router: FastifyInstance, { headMs, requestMs, keepAliveMs }: ArrivalLimits, isAnswered: (socket: Socket) => boolean): Server {
  const route: RequestListener = (request, response) => router.routing(request, response);
  const server = createServer(
    {
      keepAliveTimeout: keepAliveMs,
      requestTimeout: requestMs,
      // Node refuses to give the head more time than all of the request.
      headersTimeout: Math.min(headMs, requestMs),
      connectionsCheckingInterval: TIMEOUT_CHECK_MS,
      // The gate looks at `Host`, so that its absence is told like everything else.
      requireHostHeader: false,
    },
    route,
  );
  server.maxConnections = MOST_CONNECTIONS;
  // What a client expects beside `100-continue` is nothing to us; Node itself would refuse it without a body.
  server.on("checkExpectation", route);
  server.on("clientError", (error: NodeJS.ErrnoException, socket: Socket) => {
    // In the middle of an answer a refusal would be taken for a part of it.
    if (!socket.writable || isAnswered(socket)) {
      socket.destroy();
      return;
    }
    socket.end(refusalOf(error.code ?? ""));
    // The connection is over only when both sides have ended it, and a client may never do so.
    const cut = setTimeout(() => socket.destroy(), LINGER_MS).unref();
    socket.once("close", () => clearTimeout(cut));
  });
  return server;
}

/** Of every answer. */
export function commonHeaders(requestId: string): Record<string, string> {
  return { "x-request-id": requestId, "x-content-type-options": "nosniff", "cache-control": "no-store" };
}

/** The whole response to what is no HTTP, or came too slowly. */
function refusalOf(fault: string): string {
  const [status, code] = clientFaults[fault] ?? ["400 Bad Request", "invalid_request"];
  const requestId = randomUUID();
  const body = JSON.stringify({ error: { code, message: status.slice(4), request_id: requestId } });
  const headers = { ...commonHeaders(requestId), connection: "close", "content-type": "application/json; charset=utf-8", "content-length": body.length };
  const head = Object.entries(headers).map(([name, value]) => `${name}: ${value}`);
  return [`HTTP/1.1 ${status}`, ...head, "", body].join("\r\n");
}

const clientFaults: Record<string, readonly [status: string, code: string]> = {
  HPE_HEADER_OVERFLOW: ["431 Request Header Fields Too Large", "too_large"],
  ERR_HTTP_REQUEST_TIMEOUT: ["408 Request Timeout", "timeout"],
};

export type Handler = (request: FastifyRequest, reply: FastifyReply) => unknown;

/** Mounts a route that has a handler of its own. */
export function mountRaw(server: FastifyInstance, entry: RawRoute, handler: Handler): void {
  server.route({ method: entry.verb, url: routerPath(entry.path), config: { entry }, exposeHeadRoute: entry.open === true, handler });
}
