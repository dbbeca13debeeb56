/** The routes of the contract on the router: what is the same for all of them. */
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import type * as z from "zod";
import type { Caller } from "../../contract/caller.ts";
import type { RouteEntry, RouteRequest, RouteShape, RouteStream } from "../../contract/http/define.ts";
import { routes } from "../../contract/http/index.ts";
import { fail, type WireError } from "../../errors.ts";
import { KeyedQueue } from "../../runtime/queue.ts";
import { errorBody, misfit, sendJson } from "./answers.ts";
import { parseBody } from "./body.ts";
import { doorOf, noSink } from "./door.ts";
import { EventWriter } from "./events/event-writer.ts";
import { ToldStream } from "./events/told-stream.ts";
import type { Answerer, Exchange } from "./exchange.ts";
import { routerPath } from "./router.ts";

export interface RouteApp extends Answerer {
  /** Throws `forbidden` for a caller without the scope that the method needs. */
  admit(caller: Caller, method: RouteEntry["method"]): void;
  /** Sessions that count against `maxSessions`. */
  countContextSessions(): Promise<number>;
}

export interface RouteParts {
  app(): Promise<RouteApp>;
  exchangeOf(request: FastifyRequest): Exchange;
  /** Deepest nesting of a body. */
  depth: number;
  maxSessions: number;
  /** Whether what is stopped now is stopped with the process. */
  isClosing(): boolean;
}

export function mountRoutes(server: FastifyInstance, parts: RouteParts): void {
  const newSessions = new KeyedQueue();
  for (const entry of routes) {
    const handle = async (request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> => {
      const exchange = parts.exchangeOf(request);
      const app = await parts.app();
      // Whoever may not ask is not told what is wrong with the question.
      if (entry.scope === undefined) app.admit(exchange.caller, entry.method);
      const asked = parse(entry, request, exchange.requestId, parts.depth);
      if (entry.stream !== undefined && wantsStream(entry.stream, asked, request)) return tell(entry.stream, asked, { app, exchange, reply }, parts);
      const answer = () => answerOnce(entry, asked, { app, exchange, reply });
      if (entry.makesSession !== true) return answer();
      // One at a time, or many would find the same place free.
      return newSessions.run("new", async () => {
        if ((await app.countContextSessions()) >= parts.maxSessions) {
          throw fail("too_many_sessions", { limit: parts.maxSessions, retryAfterMs: 1000 }, `${parts.maxSessions} sessions are open; close one first`);
        }
        return answer();
      });
    };
    server.route({
      method: entry.verb,
      url: routerPath(entry.path),
      config: { entry },
      // What only asks whether we are there often asks like this.
      exposeHeadRoute: entry.verb === "GET" && entry.open === true,
      handler: handle,
    });
  }
}

interface Answering {
  app: Answerer;
  exchange: Exchange;
  reply: FastifyReply;
}

async function answerOnce(entry: RouteEntry, asked: RouteRequest, { app, exchange, reply }: Answering): Promise<FastifyReply> {
  const door = doorOf(callerFor(entry, exchange.caller), noSink);
  const { result, whenTold } = await exchange.ask(app, entry.method, paramsOf(entry, asked), door);
  // The contract pairs each method with its own result, which TypeScript cannot follow through a variable.
  const fitting = result as never;
  const body = entry.reply(fitting, asked);
  const status = typeof entry.status === "number" ? entry.status : entry.status(fitting);
  whenTold();
  return sendJson(reply, status, body);
}

/** A route with a scope of its own, which the gate has asked for, needs none of its method. */
function callerFor({ scope }: RouteEntry, caller: Caller): Caller {
  return scope === undefined ? caller : { ...caller, scopes: new Set([...caller.scopes, "read", "write"]) };
}

/** Runs the turn as a stream and tells it on the response. A client that leaves, and time that is up, stop the turn. */
async function tell(stream: RouteStream, asked: RouteRequest, { app, exchange, reply }: Answering, { isClosing }: RouteParts): Promise<FastifyReply> {
  const writer = new EventWriter(reply.raw);
  const errorEvent = (error: WireError) => ({ event: "error", data: errorBody(error, asked.requestId) });
  const sink = new ToldStream(stream.teller(asked), writer, () => (isClosing() ? errorEvent(fail("shutting_down")) : undefined));
  const door = doorOf(exchange.caller, () => sink);
  const { result, whenTold } = await exchange.ask(app, "agent.chat.stream", stream.params(asked), door);
  const { streamId } = result as { streamId: string };
  const stop = () => {
    // The response of a stream that is over is closed as well.
    if (sink.isOver) return;
    const reason = exchange.reason;
    // Before the turn tells of its end itself.
    if (reason?.errorName === "timeout") sink.endWith(errorEvent(reason));
    void exchange.askOnce(app, "agent.chat.cancel", { streamId }, door);
  };
  reply.hijack();
  writer.open(headersOf(reply));
  sink.release();
  whenTold();
  exchange.signal.addEventListener("abort", stop, { once: true });
  if (exchange.signal.aborted) stop();
  await writer.closed;
  exchange.signal.removeEventListener("abort", stop);
  return reply;
}

/** What hooks have put on the reply: a response that is taken over is written without them otherwise. */
export function headersOf(reply: FastifyReply): Record<string, string | string[] | number> {
  return Object.fromEntries(Object.entries(reply.getHeaders()).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])));
}

function wantsStream(stream: RouteStream, asked: RouteRequest, request: FastifyRequest): boolean {
  return stream.wanted(asked) ?? ACCEPTS_EVENTS.test(request.headers.accept ?? "");
}

/** Whoever names them wants them, how much it likes other types: except with `q=0`, which says never. */
const ACCEPTS_EVENTS = /(^|,)\s*text\/event-stream\s*(;(?!\s*q=0(\.0*)?\s*(;|,|$))[^,;]*)*(,|$)/i;

function paramsOf(entry: RouteEntry, asked: RouteRequest): object {
  return entry.params(asked) as object;
}

function parse({ request: shape }: RouteEntry, request: FastifyRequest, requestId: string, depth: number): RouteRequest {
  return {
    path: part(shape, "path", request.params),
    query: part(shape, "query", request.query),
    // Read also where nothing is made of it: a body that is no JSON is a mistake of the client.
    body: part(shape, "body", parseBody(request.body, depth)),
    requestId,
  } as RouteRequest;
}

function part(shape: RouteShape, name: keyof RouteShape, value: unknown): unknown {
  const schema: z.ZodType | undefined = shape[name];
  if (schema === undefined) return undefined;
  const parsed = schema.safeParse(value);
  if (!parsed.success) throw misfit(name, parsed.error);
  return parsed.data;
}
