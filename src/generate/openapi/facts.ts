/** Both kinds of routes in one form: what the description reads of them. */
import type * as z from "zod";
import type { Scope } from "../../contract/caller.ts";
import type { RawRoute, RawShape, RouteShape, StreamTeller, Surface } from "../../contract/http/define.ts";
import { type MethodName, methods } from "../../contract/index.ts";
import type { ErrorName } from "../../errors.ts";

/** What is read of a route of a method, whatever its schemas are. */
export interface RouteFacts {
  surface: Surface;
  verb: string;
  path: string;
  summary: string;
  method: MethodName;
  scope?: Scope;
  open?: boolean;
  public?: string;
  request: RouteShape;
  status: number | ((result: never) => number);
  statuses?: readonly number[];
  response: z.ZodType;
  stream?: { events: Events; teller(request: never): StreamTeller };
  errors?: readonly ErrorName[];
  example: { request?: unknown; response?: unknown };
}

/** What the data of each event holds, by the name of the event. */
export type Events = Readonly<Record<string, z.ZodType>>;

export interface OperationFacts {
  /** Unique: `getV1SessionsById`. */
  id: string;
  surface: Surface;
  /** In upper case. */
  verb: string;
  path: string;
  summary: string;
  method?: MethodName;
  scope?: Scope;
  isOpen: boolean;
  publicAs?: string;
  request: RawShape;
  /** Every status of an answer that is no error. */
  statuses: readonly number[];
  contentType: string;
  response?: z.ZodType;
  events?: Events;
  /** How a stream of the events is told. */
  teller?: (request: unknown) => StreamTeller;
  /** Beside those that any request can meet. */
  errors: readonly ErrorName[];
  example: { request?: unknown; response?: unknown };
}

export const JSON_TYPE = "application/json";
export const STREAM_TYPE = "text/event-stream";

/** Throws where a status is computed and `statuses` does not say what may come, and for a method that is the host's alone. */
export function factsOf(route: RouteFacts): OperationFacts {
  const { surface, verb, path, summary, method, request, response, stream, example } = route;
  const entry: { scope: Scope | "host"; errors: readonly ErrorName[] } = methods[method];
  if (entry.scope === "host") throw new Error(`${verb} ${path}: ${method} is for the host alone`);
  const statuses = route.statuses ?? (typeof route.status === "number" ? [route.status] : undefined);
  if (statuses === undefined) throw new Error(`${verb} ${path}: say in statuses what may come`);
  return {
    id: operationId(verb, path),
    surface,
    verb,
    path,
    summary,
    method,
    request,
    statuses,
    response,
    example,
    scope: route.scope ?? entry.scope,
    isOpen: route.open === true,
    contentType: JSON_TYPE,
    errors: [...new Set([...entry.errors, ...(route.errors ?? [])])],
    ...(route.public === undefined ? {} : { publicAs: route.public }),
    // What a teller reads of the request is a matter between it and its own example.
    ...(stream === undefined ? {} : { events: stream.events, teller: (sample: unknown) => stream.teller(sample as never) }),
  };
}

export function factsOfRaw(route: RawRoute): OperationFacts {
  const { surface, verb, path, summary, request, contentType, response } = route;
  return {
    id: operationId(verb, path),
    surface,
    verb,
    path,
    summary,
    request,
    contentType,
    example: {},
    isOpen: route.open === true,
    statuses: route.statuses ?? [route.status],
    errors: route.errors ?? [],
    ...(route.scope === undefined ? {} : { scope: route.scope }),
    ...(route.public === undefined ? {} : { publicAs: route.public }),
    ...(response === undefined ? {} : { response }),
  };
}

/** The verb, then the words of the path. */
function operationId(verb: string, path: string): string {
  const words = path.split("/").filter((part) => part !== "");
  const named = words.map((word) => (word.startsWith("{") ? `By${camel(word)}` : camel(word))).join("");
  return verb.toLowerCase() + named;
}

function camel(text: string): string {
  return text
    .split(/[^A-Za-z0-9]+/)
    .map((word) => word.charAt(0).toUpperCase() + word.slice(1))
    .join("");
}
