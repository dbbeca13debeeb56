/** The door that is opened on request: the methods of the catalog over HTTP. */
import { randomBytes, randomUUID } from "node:crypto";
import type { IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from "fastify";
import type { RawRoute } from "../../contract/http/define.ts";
import { rawRoutes } from "../../contract/http/index.ts";
import { fail, type WireError } from "../../errors.ts";
import type { Log } from "../../log.ts";
import type { Levels, Meter } from "../../runtime/meter.ts";
import { sendError, sendJson, wireErrorOf } from "./answers.ts";
import { readBody, receiveRest } from "./body.ts";
import { mountDocs } from "./docs.ts";
import { EventWriter } from "./events/event-writer.ts";
import { KeptStreams } from "./events/kept-streams.ts";
import { nextAfter, sendEvents } from "./events/read-events.ts";
import { currentRequest, Exchange } from "./exchange.ts";
import { type Gatekeeper, mountGate } from "./gate.ts";
import { createMetrics, type Metrics } from "./metrics/metrics.ts";
import { answerRpc } from "./rpc.ts";
import { routerPath } from "./router.ts";
import { headersOf, mountRoutes, type RouteApp } from "./routes.ts";
import type { HttpSettings } from "./settings.ts";

export interface HttpListener {
  /** `http://127.0.0.1:41234` */
  readonly url: string;
  /** Made for this run when neither keys nor a token were given. Secret. */
  readonly token: string | undefined;
  /** Why no more requests fit in; undefined while they do. */
  capacity(): string | undefined;
  /** No new connections; new requests on open ones are answered with 503. Resolves when none is running, or after `graceMs`, when the rest was told to end. */
  drain(graceMs: number): Promise<void>;
  /** Ends everything at once. */
  closeNow(): void;
}

/** The listener cannot be opened. The message is one line for stderr. */
export class ListenError extends Error {
  override name = "ListenError";
}

/** What the listener needs of the app. */
export interface HttpApp extends RouteApp {
  readonly levels: Levels;
}

export interface HttpParts {
  settings: HttpSettings;
  /** Loads with the first request that needs it. */
  app(): Promise<HttpApp>;
  /** Called once, with what takes everything that is measured. */
  onMeter(meter: Meter): void;
  limits: { depth: number; inFlight: number };
  log: Log;
}

/** Milliseconds. A client gets this long for its head, and for all of a request. */
const HEADERS_TIMEOUT_MS = 10_000;
const REQUEST_TIMEOUT_MS = 60_000;
/** How long a connection without a request is kept. */
const KEEP_ALIVE_MS = 30_000;
/** How often the two above are looked at. */
const TIMEOUT_CHECK_MS = 1_000;
const MOST_CONNECTIONS = 10_000;
/** What is left of the responses when the rest was told to end. */
const LAST_WORDS_MS = 500;

/** Binds, then serves. Rejects with `ListenError`. */
export async function openHttp(parts: HttpParts): Promise<HttpListener> {
  const { settings, log } = parts;
  const { auth } = settings;
  const made = auth.mode === "StaticKeys" && auth.keys.length === 0 && auth.token === undefined ? randomBytes(32).toString("base64url") : undefined;
  const server = createServer();
  const live = new Set<Exchange>();
  const exchanges = new WeakMap<FastifyRequest, Exchange>();
  const exchangeOf = (request: FastifyRequest): Exchange => {
    const known = exchanges.get(request);
    if (known === undefined) throw new Error("The request has not come through the gate");
    return known;
  };
  let loaded: HttpApp | undefined;
  // It is loaded when the listener is open: the first request need not wait for it.
  const app = async () => {
    loaded ??= await parts.app();
    return loaded;
  };
  const metrics = createMetrics({ sources: { levels: () => loaded?.levels } });
  const streams = new KeptStreams();
  log.setContext(currentRequest);
  const onFault = (error: unknown, method: string) => log.error({ error, method }, "a request failed inside the sidecar");

  server.addHook("onRequest", async (request, reply) => {
    const exchange = new Exchange(request.id, reply.raw);
    exchanges.set(request, exchange);
    live.add(exchange);
    exchange.hold(() => {
      live.delete(exchange);
      record(parts.log, metrics, request, reply, exchange);
    });
    reply.headers(commonHeaders(exchange.requestId));
  });
  // Read as bytes, because a route may take something else than JSON objects.
  server.removeAllContentTypeParsers();
  server.addContentTypeParser("application/json", (request: FastifyRequest, payload: IncomingMessage) =>
    readBody(payload, { most: settings.limits.maxBodyBytes, signal: exchangeOf(request).signal }),
  );
  const gate: Gatekeeper = await mountGate(server, { settings, token: made ?? auth.token, exchangeOf, log });
  server.setErrorHandler(async (error, request, reply) => {
    const exchange = exchangeOf(request);
    const told = known(error) ?? internal(error, exchange, log);
    if (!(await receiveRest(request.raw))) reply.header("connection", "close");
    return exchange.isGone ? reply : sendError(reply, told, exchange.requestId);
  });
  server.setNotFoundHandler((request, reply) => sendError(reply, fail("not_found"), exchangeOf(request).requestId));

  raw(server, rawRoutes.health, (_, reply) => sendJson(reply, 200, { status: "ok" }));
  raw(server, rawRoutes.metrics, async (_, reply) => {
    const { contentType, body } = await metrics.text();
    return reply.header("content-type", contentType).send(body);
  });
  raw(server, rawRoutes.rpc, (request, reply) => {
    const exchange = exchangeOf(request);
    const body = Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0);
    const limits = { ...parts.limits, frameBytes: settings.limits.maxBodyBytes };
    return answerRpc({ app, limits, streams, permit: gate.permit, onFault }, body, exchange, exchange.caller, reply);
  });
  raw(server, rawRoutes.streamEvents, async (request, reply) => {
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
  mountDocs((route, handler) => raw(server, route, handler));
  mountRoutes(server, { app, exchangeOf, streams, depth: parts.limits.depth, maxSessions: settings.maxSessions });

  const url = await listen(server, settings);
  parts.onMeter(metrics.meter);
  log.info({ url }, "the HTTP listener is open");
  setImmediate(() => {
    app().catch((error: unknown) => log.error({ error }, "the app could not be loaded; the next request tries again"));
  });

  return {
    url,
    token: made,
    capacity: () => gate.capacity(),
    async drain(graceMs) {
      gate.close();
      server.server.close();
      server.server.closeIdleConnections();
      await within(graceMs, allOver(live));
      for (const exchange of live) exchange.end(fail("shutting_down"));
      await within(LAST_WORDS_MS, allOver(live));
    },
    closeNow() {
      gate.close();
      for (const exchange of live) exchange.end(fail("shutting_down"));
      metrics.close();
      streams.close();
      server.server.close();
      server.server.closeAllConnections();
    },
  };
}

type Handler = (request: FastifyRequest, reply: FastifyReply) => unknown;

function raw(server: FastifyInstance, entry: RawRoute, handler: Handler): void {
  server.route({ method: entry.verb, url: routerPath(entry.path), config: { entry }, exposeHeadRoute: entry.open === true, handler });
}

function createServer(): FastifyInstance {
  const server = fastify({
    logger: false,
    genReqId: () => randomUUID(),
    exposeHeadRoutes: false,
    routerOptions: { maxParamLength: 512, ignoreTrailingSlash: false },
    keepAliveTimeout: KEEP_ALIVE_MS,
    requestTimeout: REQUEST_TIMEOUT_MS,
    http: { headersTimeout: HEADERS_TIMEOUT_MS, connectionsCheckingInterval: TIMEOUT_CHECK_MS },
    forceCloseConnections: "idle",
    return503OnClosing: false,
    frameworkErrors: (_error, request, reply) => {
      // The path cannot be read, so no hook has seen the request.
      reply.headers(commonHeaders(request.id));
      void sendError(reply as FastifyReply, fail("invalid_request", undefined, "The address of the request is malformed"), request.id);
    },
    clientErrorHandler: (error, socket) => {
      if (socket.writable) socket.end(refusalOf((error as NodeJS.ErrnoException).code ?? ""));
      else socket.destroy();
    },
  });
  server.server.maxConnections = MOST_CONNECTIONS;
  return server;
}

function commonHeaders(requestId: string): Record<string, string> {
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

async function listen(server: FastifyInstance, { host, port }: HttpSettings): Promise<string> {
  try {
    await server.listen({ host, port });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const why = bindFaults[code ?? ""] ?? `cannot listen (${code ?? "unknown reason"})`;
    throw new ListenError(`the HTTP listener cannot be opened on ${hostInUrl(host)}:${port}: ${why}`);
  }
  return `http://${hostInUrl(host)}:${(server.server.address() as AddressInfo).port}`;
}

const bindFaults: Record<string, string> = {
  EADDRINUSE: "the port is taken",
  EACCES: "no permission for this port",
  EADDRNOTAVAIL: "this machine has no such address",
  ENOTFOUND: "the name of the host cannot be resolved",
  EAI_AGAIN: "the name of the host cannot be resolved",
};

function hostInUrl(host: string): string {
  return host.includes(":") ? `[${host}]` : host;
}

/** What Fastify itself refuses, in our words. */
function known(error: unknown): WireError | undefined {
  const wire = wireErrorOf(error);
  if (wire !== undefined) return wire;
  const { code, statusCode } = error as { code?: string; statusCode?: number };
  if (code === "FST_ERR_CTP_INVALID_MEDIA_TYPE") return fail("unsupported_media", undefined, "Send the body as application/json");
  if (statusCode !== undefined && statusCode >= 400 && statusCode < 500) return fail("invalid_request", undefined, "The request is malformed");
  return undefined;
}

function internal(error: unknown, { requestId }: Exchange, log: Log): WireError {
  log.error({ error, requestId }, "a request failed inside the sidecar");
  return fail("internal");
}

/** One line and one sample for each request. */
function record(log: Log, metrics: Metrics, request: FastifyRequest, reply: FastifyReply, exchange: Exchange): void {
  const { entry } = request.routeOptions.config;
  const route = entry === undefined ? "unknown" : `${entry.verb} ${entry.path}`;
  const isCutOff = !reply.raw.writableFinished;
  const status = isCutOff && exchange.reason?.errorName === "cancelled" ? 499 : reply.raw.statusCode;
  const ms = performance.now() - exchange.startedAt;
  metrics.meter.httpRequest(route, status, ms / 1000);
  const fields = { requestId: exchange.requestId, route, status, ms: Math.round(ms), ...(exchange.subject === undefined ? {} : { subject: exchange.subject }) };
  if (entry?.open === true) log.debug(fields, "request");
  else log.info(fields, "request");
}

async function allOver(live: ReadonlySet<Exchange>): Promise<void> {
  while (live.size > 0) await Promise.all([...live].map((exchange) => new Promise<void>((resolve) => exchange.hold(resolve))));
}

async function within(ms: number, promise: Promise<unknown>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const deadline = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, ms);
  });
  await Promise.race([promise, deadline]);
  clearTimeout(timer);
}
