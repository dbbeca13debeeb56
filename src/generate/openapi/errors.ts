/** What can go wrong on a route, as responses. */
import { type ErrorName, errorTable } from "../../errors.ts";
import type { ErrorFacts, Header, Reference, Response } from "./document.ts";
import { JSON_TYPE, type OperationFacts } from "./facts.ts";
import { component } from "./schemas.ts";

/** Errors that say how long to wait. */
const waiting = new Set<ErrorName>(["rate_limited", "overloaded", "too_many_sessions"]);

/** Of errors that mean something else, or more, where there are no frames. */
const messages: Partial<Record<ErrorName, string>> = {
  parse: "The body is not valid JSON",
  invalid_request: "The request is malformed",
  invalid_params: "The path, the query or the body does not fit",
  forbidden: "Not allowed with this key, under this host name, or from a page of this origin",
};

/** Headers that responses refer to. */
export const headers = {
  RequestId: { description: "Names the request in logs and errors.", schema: { type: "string" } },
  RetryAfter: { description: "Seconds to wait.", schema: { type: "integer", minimum: 0 } },
  Authenticate: { description: 'The challenge: `Bearer realm="…"`.', schema: { type: "string" } },
} satisfies Record<string, Header>;

/** The responses that most routes share, by name. */
export const sharedResponses: Record<string, Response> = Object.fromEntries(
  Object.entries({
    Malformed: ["invalid_request"],
    BadRequest: ["invalid_request", "invalid_params"],
    BadBody: ["parse", "invalid_request", "invalid_params"],
    Unauthorized: ["unauthorized"],
    Forbidden: ["forbidden"],
    TooLarge: ["too_large"],
    UnsupportedMedia: ["unsupported_media"],
    RateLimited: ["rate_limited"],
    Internal: ["internal"],
    Unavailable: ["overloaded", "shutting_down"],
    Timeout: ["timeout"],
  } satisfies Record<string, ErrorName[]>).map(([name, codes]) => [name, response(codes)]),
);

/** Every error of a route by status: those that any request can meet, and its own. */
export function errorsByStatus(facts: OperationFacts): Map<number, ErrorName[]> {
  const byStatus = new Map<number, ErrorName[]>();
  // In the order of the table, so that equal sets look equal.
  const possible = new Set([...universal(facts), ...facts.errors]);
  for (const name of namesOf(errorTable)) {
    if (!possible.has(name)) continue;
    for (const status of statusesOf(name)) byStatus.set(status, [...(byStatus.get(status) ?? []), name]);
  }
  return byStatus;
}

/** By reference, where it is one that most routes share. */
export function errorResponse(codes: readonly ErrorName[]): Response | Reference {
  const shared = Object.entries(sharedResponses).find(([, { "x-codes": those = [] }]) => those.join() === codes.join());
  return shared === undefined ? response(codes) : { $ref: `#/components/responses/${shared[0]}` };
}

/** A status that a good answer and errors share: the body may be either. */
export function withErrors(good: Response, codes: readonly ErrorName[]): Response {
  const failed = response(codes);
  const json = good.content?.[JSON_TYPE];
  const schema = json === undefined ? component("Error") : { anyOf: [json.schema, component("Error")] };
  return {
    ...failed,
    description: `${good.description}, or an error:\n${failed.description}`,
    headers: { ...good.headers, ...failed.headers },
    content: { ...good.content, [JSON_TYPE]: { ...json, schema } },
  };
}

export function header(name: keyof typeof headers): Reference {
  return { $ref: `#/components/headers/${name}` };
}

/** Every code that an answer can have, for the schema `Error`. */
export function errorFacts(operations: readonly OperationFacts[]): ErrorFacts[] {
  const possible = new Set(operations.flatMap((facts) => [...errorsByStatus(facts).values()].flat()));
  // Of an address that is none of an operation.
  possible.add("not_found");
  return namesOf(errorTable)
    .filter((code) => possible.has(code))
    .map((code) => ({ code, status: errorTable[code].http, retryable: errorTable[code].retryable, message: messageOf(code) }));
}

/** What a request can meet whatever it is about. */
function universal({ verb, surface, isOpen, request }: OperationFacts): ErrorName[] {
  const isWatch = isOpen && surface === "container";
  const isEmpty = request.path === undefined && request.query === undefined && request.body === undefined;
  return [
    "invalid_request",
    "forbidden",
    "internal",
    ...(isWatch ? [] : (["rate_limited", "overloaded", "shutting_down", "timeout"] as const)),
    ...(isOpen ? [] : (["unauthorized"] as const)),
    ...(isEmpty && verb === "GET" ? [] : (["invalid_params"] as const)),
    ...(verb === "GET" ? [] : (["parse", "too_large", "unsupported_media"] as const)),
  ];
}

/** A turn that has failed because of time, or of what it was given, is told as that. */
function statusesOf(name: ErrorName): number[] {
  const of = (each: ErrorName) => errorTable[each].http;
  return name === "turn_failed" ? [of(name), of("invalid_params"), of("timeout")] : [of(name)];
}

function response(codes: readonly ErrorName[]): Response {
  return {
    description: codes.map((code) => `${codes.length > 1 ? "- " : ""}\`${code}\`: ${messageOf(code)}.`).join("\n"),
    headers: {
      "X-Request-Id": header("RequestId"),
      ...(codes.includes("unauthorized") ? { "WWW-Authenticate": header("Authenticate") } : {}),
      ...(codes.some((code) => waiting.has(code)) ? { "Retry-After": header("RetryAfter") } : {}),
    },
    content: { [JSON_TYPE]: { schema: component("Error") } },
    "x-codes": [...codes],
  };
}

function messageOf(name: ErrorName): string {
  return messages[name] ?? errorTable[name].message;
}

function namesOf<T extends object>(entries: T): (keyof T & string)[] {
  return Object.keys(entries) as (keyof T & string)[];
}
