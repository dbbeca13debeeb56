/** What every request goes through before it is looked at: where it comes from, who asks, how much, and whether there is room. */
import cors from "@fastify/cors";
import rateLimit from "@fastify/rate-limit";
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import type { Caller } from "../../contract/caller.ts";
import { fail } from "../../errors.ts";
import type { Log } from "../../log.ts";
import type { Exchange } from "./exchange.ts";
import { addressGroup } from "./guards/addresses.ts";
import { createAuthenticator, type Verdict } from "./guards/keys.ts";
import { createOriginGuard } from "./guards/origins.ts";
import { Permits } from "./guards/permits.ts";
import { createRateStore } from "./guards/rate-store.ts";
import type { AnyRoute } from "./router.ts";
import type { HttpSettings } from "./settings.ts";

export interface GateParts {
  settings: HttpSettings;
  /** A plain token that is good. */
  token: string | undefined;
  exchangeOf(request: FastifyRequest): Exchange;
  log: Log;
}

export interface Gatekeeper {
  /** A place for something more than the request that asks for it. Throws `overloaded`. */
  permit(): () => void;
  /** Counts what a request asks for beside itself as one more. Rejects with `rate_limited`. Undefined where nothing is limited. */
  count(request: FastifyRequest): Promise<void> | undefined;
  /** Why no more requests fit in; undefined while they do. */
  capacity(): string | undefined;
  /** From now on every request is turned away. */
  close(): void;
  readonly isClosed: boolean;
}

const MINUTE_MS = 60_000;
/** Places beside the others, so that turns can be cancelled and figures be read when those are taken. */
const SPARE_PLACES = 8;
const SATURATED = "All places for requests are taken";
/** Asks for what is open to everybody. */
const NOBODY: Caller = { subject: "", scopes: new Set(["read"]) };

export async function mountGate(server: FastifyInstance, { settings, token, exchangeOf, log }: GateParts): Promise<Gatekeeper> {
  const now = () => performance.now();
  const { auth, limits, cors: pages } = settings;
  const authenticator = createAuthenticator({ mode: auth.mode, keys: auth.keys, token, now, log });
  const origins = createOriginGuard({ boundHost: settings.host, allowedHosts: settings.allowedHosts, allowedOrigins: pages.allowedOrigins });
  const permits = new Permits(limits.maxConcurrentRequests);
  const spare = new Permits(SPARE_PLACES);
  const permit = () => {
    const release = permits.take();
    if (release === undefined) throw fail("overloaded", { retryAfterMs: 1000 }, SATURATED);
    return release;
  };
  let isClosed = false;

  server.addHook("onRequest", async (request) => {
    // A connection that was reset has no address any more, and nobody to answer.
    if ((request.ip as string | undefined) === undefined) throw fail("cancelled");
    if (request.headers.host === undefined && request.raw.httpVersion !== "1.0") throw fail("invalid_request", undefined, "The header Host is missing");
    const refused = origins.check({ host: request.raw.headersDistinct.host, origin: request.headers.origin });
    if (refused !== undefined) throw fail("forbidden", { reason: refused }, refusals[refused]);
  });
  if (pages.allowedOrigins.length > 0) {
    await server.register(cors, {
      origin: (origin, tell) => tell(null, origin !== undefined && origins.isListed(origin)),
      credentials: pages.allowCredentials,
      methods: ["GET", "POST", "DELETE"],
      // A request that is no preflight is none that has to be explained to a browser.
      strictPreflight: false,
      allowedHeaders: ["authorization", "content-type", "accept", "last-event-id"],
      exposedHeaders: ["x-request-id", "retry-after"],
      maxAge: 600,
    });
  }
  await server.register(rateLimit, { global: false, store: createRateStore({ now }) });
  const limiterOf = (max: number | undefined) =>
    max === undefined
      ? undefined
      : server.createRateLimit({ max, timeWindow: MINUTE_MS, keyGenerator: (request) => nameOf(request, exchangeOf(request).caller, auth.mode) });
  const general = limiterOf(limits.requestsPerMinute);
  const dispatches = limiterOf(limits.dispatchesPerMinute);
  const takeOne = async (take: NonNullable<typeof general>, request: FastifyRequest): Promise<void> => {
    const taken = await take(request);
    if (!taken.isAllowed && taken.isExceeded) throw fail("rate_limited", { retryAfterMs: taken.ttl });
  };

  server.addHook("onRequest", async (request, reply) => {
    const exchange = exchangeOf(request);
    const route = routeOf(request);
    if (isClosed && !isWatch(route)) throw fail("shutting_down");
    const isOpen = route?.open === true || (route?.public !== undefined && settings.isPublic[route.public]);
    exchange.caller = isOpen ? NOBODY : admitted(await authenticator.authenticate(keyHeaderOf(request), request.ip), reply);
    if (isWatch(route)) return;
    if (route?.scope !== undefined && !exchange.caller.scopes.has(route.scope)) throw fail("forbidden");
    if (general !== undefined) await takeOne(general, request);
    if (dispatches !== undefined && isDispatch(route)) await takeOne(dispatches, request);
    const spared = route?.isSpared === true && permits.isUsedUp ? spare.take() : undefined;
    // It is for the request alone: a turn that is started by it needs a place like any other.
    if (spared !== undefined) exchange.hold(spared);
    else exchange.setPermit(permit());
    exchange.endAfter(settings.requestTimeoutMs);
  });

  return {
    permit,
    count: (request) => (general === undefined ? undefined : takeOne(general, request)),
    capacity: () => (permits.isUsedUp ? SATURATED : undefined),
    close: () => {
      isClosed = true;
    },
    get isClosed() {
      return isClosed;
    },
  };
}

const refusals = {
  forbidden_host: "This host name is not one that is served here",
  forbidden_origin: "Pages of this origin may not ask",
} as const;

function routeOf(request: FastifyRequest): AnyRoute | undefined {
  return request.routeOptions.config.entry;
}

/** Undefined also where there are several: which one counts is not for us to choose, a proxy in front may have looked at the other. */
function keyHeaderOf({ raw }: FastifyRequest): string | undefined {
  const { authorization = [] } = raw.headersDistinct;
  return authorization.length === 1 ? authorization[0] : undefined;
}

/** What a supervisor asks, often and in the worst moment: never limited, and answered to the end. */
function isWatch(route: AnyRoute | undefined): boolean {
  return route?.open === true && route.surface === "container";
}

function isDispatch(route: AnyRoute | undefined): boolean {
  return route !== undefined && "isDispatch" in route && route.isDispatch === true;
}

function admitted(verdict: Verdict, reply: FastifyReply): Caller {
  // A copy: only the host at stdin is the host itself.
  if ("caller" in verdict) return { ...verdict.caller };
  if (verdict.challenge !== undefined) reply.header("www-authenticate", verdict.challenge);
  throw fail(verdict.refused, verdict.retryAfterMs === undefined ? undefined : { retryAfterMs: verdict.retryAfterMs });
}

/** Whom a request counts for: a subject, or an address where nobody has said who asks. */
function nameOf(request: FastifyRequest, { subject }: Caller, mode: "StaticKeys" | "Disabled"): string {
  return subject === "" || mode === "Disabled" ? `address ${addressGroup(request.ip)}` : `subject ${subject}`;
}
