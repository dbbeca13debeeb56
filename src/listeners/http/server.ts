/** The door that is opened on request: the methods of the catalog over HTTP. */
import { randomBytes } from "node:crypto";
import type { IncomingMessage } from "node:http";
import type { Socket } from "node:net";
import type { FastifyReply, FastifyRequest } from "fastify";
import { fail, type WireError } from "../../errors.ts";
import type { Log } from "../../log.ts";
import { registerSecret } from "../../redact.ts";
import type { Levels, Meter } from "../../runtime/meter.ts";
import { atMost } from "../../tools/waiting.ts";
import { sendError, wireErrorOf } from "./answers.ts";
import { LINGER_MS, readBody, receiveRest } from "./body.ts";
import { KeptStreams } from "./events/kept-streams.ts";
import { currentRequest, Exchange } from "./exchange.ts";
import { type Gatekeeper, mountGate } from "./gate.ts";
import { listen } from "./listen.ts";
import { createMetrics, type Metrics } from "./metrics/metrics.ts";
import { commonHeaders, createHttpServer, createRouter } from "./router.ts";
import { mountRoutes, type RouteApp } from "./routes.ts";
import type { HttpSettings } from "./settings.ts";
import { mountTransport } from "./transport.ts";

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

/** What is left of the responses when the rest was told to end. */
const LAST_WORDS_MS = 500;

/** Binds, then serves. Rejects with `ListenError`, or with `SettingsError` for names that no request could have. */
export async function openHttp(parts: HttpParts): Promise<HttpListener> {
  const { settings, log } = parts;
  const { auth } = settings;
  const made = auth.mode === "StaticKeys" && auth.keys.length === 0 && auth.token === undefined ? randomBytes(32).toString("base64url") : undefined;
  registerSecret(made, { forGood: true });
  const live = new Set<Exchange>();
  const server = createRouter();
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
  // In front of the gate: the route that it mounts for preflights keeps the handlers that there are by then.
  server.setErrorHandler(async (error, request, reply) => {
    const exchange = exchangeOf(request);
    const told = refusalFor(known(error) ?? internal(error, exchange, log), gate);
    // The process does not wait for long.
    if (!(await receiveRest(request.raw, gate.isClosed ? LAST_WORDS_MS / 2 : LINGER_MS))) reply.header("connection", "close");
    return exchange.isGone ? reply : sendError(reply, told, exchange.requestId);
  });
  server.setNotFoundHandler((request, reply) => sendError(reply, fail("not_found"), exchangeOf(request).requestId));
  const gate: Gatekeeper = await mountGate(server, { settings, token: made ?? auth.token, exchangeOf, log });

  const transport = {
    exchangeOf,
    app,
    streams,
    metrics,
    permit: gate.permit,
    count: gate.count,
    onFault,
    limits: { ...parts.limits, frameBytes: settings.limits.maxBodyBytes },
  };
  mountTransport(server, transport);
  mountRoutes(server, { app, exchangeOf, depth: parts.limits.depth, maxSessions: settings.maxSessions, isClosing: () => gate.isClosed });

  await server.ready();
  const isAnswered = (socket: Socket) => [...live].some((exchange) => exchange.isAnsweredOn(socket));
  const { url, servers } = await listen(() => createHttpServer(server, settings.arrival, isAnswered), settings);
  parts.onMeter(metrics.meter);
  log.info({ url }, "the HTTP listener is open");
  if (settings.cors.allowedOrigins.includes("*")) log.warn({}, "pages of every origin may ask, because api.cors.allowed_origins lists *");
  setImmediate(() => {
    app().catch((error: unknown) => log.error({ error }, "the app could not be loaded; the next request tries again"));
  });

  return {
    url,
    token: made,
    capacity: () => gate.capacity(),
    async drain(graceMs) {
      gate.close();
      for (const each of servers) {
        each.close();
        each.closeIdleConnections();
      }
      await atMost(allOver(live), graceMs);
      for (const exchange of live) exchange.end(fail("shutting_down"));
      await atMost(allOver(live), LAST_WORDS_MS);
    },
    closeNow() {
      gate.close();
      for (const exchange of live) exchange.end(fail("shutting_down"));
      metrics.close();
      streams.close();
      for (const each of servers) {
        each.close();
        each.closeAllConnections();
      }
    },
  };
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

/** A turn that is stopped with the process is one that may be asked for again elsewhere. */
function refusalFor(error: WireError, { isClosed }: Gatekeeper): WireError {
  return error.errorName === "cancelled" && isClosed ? fail("shutting_down") : error;
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
