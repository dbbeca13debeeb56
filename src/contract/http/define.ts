/**
 * What the HTTP listener offers: each route is a method of the catalog under a verb and a path, with the
 * shapes of its surface and the mapping between the two. Router, validation, OpenAPI and docs grow from it.
 */
import type * as z from "zod";
import type { ErrorName } from "../../errors.ts";
import type { Scope } from "../caller.ts";
import type { CallParams, MethodName, NotificationParams, Result } from "../index.ts";

/** Groups routes in the documentation. */
export type Surface = "own" | "completions" | "context" | "container";

export interface RouteShape {
  /** Parameters of the path, `{name}` in it. */
  path?: z.ZodObject;
  query?: z.ZodObject;
  body?: z.ZodType;
}

export interface RawShape extends RouteShape {
  /** That mean something here, by their names as they are usually written. */
  headers?: z.ZodObject;
}

type Part<S> = S extends z.ZodType ? z.output<S> : undefined;

/** A request after validation. */
export interface RouteRequest<S extends RouteShape = RouteShape> {
  path: Part<S["path"]>;
  query: Part<S["query"]>;
  body: Part<S["body"]>;
  /** Of the response header `X-Request-Id`. */
  requestId: string;
}

/** One event of a server-sent stream. */
export interface ServerEvent {
  event: string;
  /** Becomes JSON. */
  data: unknown;
}

/** What happens in a stream, as the notifications tell it. */
export type StreamNotice = {
  [N in "stream.chunk" | "stream.done" | "stream.error"]: { method: N; params: Omit<NotificationParams<N>, "streamId" | "seq"> };
}["stream.chunk" | "stream.done" | "stream.error"];

/** How one stream is told in the words of a surface. Made anew for each stream. */
export interface StreamTeller {
  /** Events in front of all others. */
  begin(): ServerEvent[];
  /** In the order of the notifications; the last one is `stream.done` or `stream.error`. */
  tell(notice: StreamNotice): ServerEvent[];
}

/** Instead of one answer, the events of `agent.chat.stream`: where the body says `stream: true` or the request accepts `text/event-stream`. */
export interface RouteStream<S extends RouteShape = RouteShape> {
  /** By the body; undefined leaves it to the Accept header. */
  wanted(request: RouteRequest<S>): boolean | undefined;
  params(request: RouteRequest<S>): CallParams<"agent.chat.stream">;
  teller(request: RouteRequest<S>): StreamTeller;
  /** Names of the events, with what their data holds. */
  events: Readonly<Record<string, z.ZodType>>;
}

export interface RouteEntry<M extends MethodName = MethodName, S extends RouteShape = RouteShape, R extends z.ZodType = z.ZodType> {
  surface: Surface;
  verb: "GET" | "POST" | "DELETE";
  /** `/v1/sessions/{id}` */
  path: string;
  /** One sentence, printed in the documentation. */
  summary: string;
  /** What it comes down to. Who may ask is said there. */
  method: M;
  /** Where the route needs another scope than its method. */
  scope?: Scope;
  /** Needs no key. What is about the container is never limited either; the rest is, by address. */
  open?: boolean;
  /** Needs no key where `api.public` names it. */
  public?: "status" | "metrics";
  /** Let in by a spare place when the others are taken: it frees places, or tells about them. */
  isSpared?: boolean;
  /** Counts against the limit of dispatches as well. */
  isDispatch?: boolean;
  /** Makes a session of the kind whose number is limited. */
  makesSession?: boolean;
  request: S;
  /** Of the answer when it went well; a function where the answer decides. 204 has no body. */
  status: number | ((result: Result<M>) => number);
  /** Every status that `status` may give, for the documentation. Needed where it is a function. */
  statuses?: readonly number[];
  response: R;
  params(request: RouteRequest<S>): CallParams<M>;
  reply(result: Result<M>, request: RouteRequest<S>): z.input<R>;
  stream?: RouteStream<S>;
  /** Beside those of the method. */
  errors?: readonly ErrorName[];
  example: { request?: unknown; response?: z.input<R> };
}

export function route<const M extends MethodName, const S extends RouteShape, R extends z.ZodType>(entry: RouteEntry<M, S, R>): RouteEntry<M, S, R> {
  return entry;
}

/** A route that is no method: it is about the transport itself, and the listener has a handler of its own for it. */
export interface RawRoute {
  surface: Surface;
  verb: "GET" | "POST";
  path: string;
  summary: string;
  open?: boolean;
  public?: "status" | "metrics";
  /** As in `RouteEntry`. */
  isSpared?: boolean;
  /** What a caller needs; whoever is known may ask when left out. */
  scope?: "read" | "write";
  request: RawShape;
  status: number;
  /** Every status of an answer that is no error, where there is another beside `status`. */
  statuses?: readonly number[];
  /** Of the body of the answer. */
  contentType: string;
  /** Of the body, where it is JSON; of the data of an event, where it is a stream. */
  response?: z.ZodType;
  errors?: readonly ErrorName[];
}

export function rawRoute<const R extends RawRoute>(entry: R): R {
  return entry;
}
