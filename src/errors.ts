import { redactText } from "./redact.ts";

/**
 * Every error that may cross the wire, in one table.
 *
 * `code` and `kind` are what a host switches on: the codes are those of JSON-RPC 2.0, of the seed
 * (-32001 to -32005) and, for a cancelled request, of the language server protocol (-32800).
 * `http` is the status that the HTTP listener answers with; `retryable` says whether the same call
 * may succeed later without a change.
 */
export const errorTable = {
  parse: entry(-32700, "parse", 400, false, "The line is not valid JSON"),
  invalid_request: entry(-32600, "invalid_request", 400, false, "The frame is not a JSON-RPC 2.0 request"),
  method_not_found: entry(-32601, "method_not_found", 404, false, "Method not found"),
  invalid_params: entry(-32602, "invalid_params", 400, false, "The params do not fit the method"),
  internal: entry(-32603, "internal", 500, false, "Something went wrong inside the sidecar"),
  budget_exhausted: entry(-32001, "budget_exhausted", 402, false, "A budget is used up"),
  policy_denied: entry(-32002, "policy_denied", 403, false, "The policy does not allow this call"),
  tool_failed: entry(-32003, "tool_failed", 500, false, "The tool could not be run"),
  storage: entry(-32004, "storage", 503, true, "The session store failed"),
  session_not_found: entry(-32004, "invalid_request", 404, false, "No such session"),
  session_closed: entry(-32004, "invalid_request", 409, false, "The session is closed; resume it first"),
  not_found: entry(-32004, "invalid_request", 404, false, "There is nothing here"),
  role_not_found: entry(-32004, "invalid_request", 404, false, "No such role"),
  agent_not_found: entry(-32004, "invalid_request", 404, false, "No such agent"),
  rag_not_found: entry(-32004, "invalid_request", 404, false, "No such knowledge base"),
  not_enabled: entry(-32004, "invalid_request", 404, false, "This is not enabled here"),
  trace_not_found: entry(-32004, "invalid_request", 404, false, "No such trace"),
  stream_not_found: entry(-32004, "invalid_request", 404, false, "No such stream is open"),
  events_gone: entry(-32004, "invalid_request", 410, false, "These events are no longer kept"),
  turn_not_found: entry(-32004, "invalid_request", 404, false, "No such turn"),
  unauthorized: entry(-32002, "policy_denied", 401, false, "A valid key is needed"),
  forbidden: entry(-32002, "policy_denied", 403, false, "The key does not allow this"),
  too_large: entry(-32600, "invalid_request", 413, false, "The body is too large"),
  unsupported_media: entry(-32602, "invalid_params", 415, false, "Nothing can be done with content of this type"),
  rate_limited: entry(-32005, "overloaded", 429, true, "Too many requests; try again later"),
  too_many_sessions: entry(-32005, "overloaded", 503, true, "Too many sessions are open"),
  turn_failed: entry(-32005, "turn_failed", 502, false, "The turn failed"),
  overloaded: entry(-32005, "overloaded", 503, true, "Too many requests are in flight"),
  shutting_down: entry(-32005, "transport_closed", 503, false, "The sidecar is shutting down"),
  transport_closed: entry(-32005, "transport_closed", 503, false, "The connection is closed"),
  timeout: entry(-32005, "timeout", 504, true, "The deadline has passed"),
  cancelled: entry(-32800, "cancelled", 499, false, "The request was cancelled"),
} as const;

export type ErrorName = keyof typeof errorTable;

/** Names whose `data.code` is filled in, because several errors share one code and kind. */
const named = new Set<ErrorName>([
  "storage",
  "session_not_found",
  "session_closed",
  "not_found",
  "role_not_found",
  "agent_not_found",
  "rag_not_found",
  "not_enabled",
  "trace_not_found",
  "stream_not_found",
  "events_gone",
  "turn_not_found",
  "unauthorized",
  "forbidden",
  "too_large",
  "unsupported_media",
  "rate_limited",
  "too_many_sessions",
]);

/** What `error` holds in a response frame. */
export interface WireErrorObject {
  code: number;
  message: string;
  kind: string;
  data?: Record<string, unknown>;
}

/** The one error class that crosses the wire; anything else becomes `internal`. */
export class WireError extends Error {
  readonly errorName: ErrorName;
  readonly data: Record<string, unknown> | undefined;

  constructor(errorName: ErrorName, data?: Record<string, unknown>, message?: string) {
    super(message ?? errorTable[errorName].message);
    this.name = "WireError";
    this.errorName = errorName;
    this.data = data;
  }

  toWire(): WireErrorObject {
    const { code, kind } = errorTable[this.errorName];
    const data = named.has(this.errorName) ? { code: this.errorName, ...this.data } : this.data;
    // It may quote what a caller has sent, who may have put a key into the wrong field.
    const text = redactText(this.message);
    // 1,024 characters is what strict readers of the error object accept.
    const message = text.length > 1024 ? `${text.slice(0, 1021)}...` : text;
    return data === undefined ? { code, message, kind } : { code, message, kind, data };
  }
}

/** Makes a wire error by name: `throw fail("session_not_found", { sessionId })`. */
export function fail(name: ErrorName, data?: Record<string, unknown>, message?: string): WireError {
  return new WireError(name, data, message);
}

/**
 * Why a stream ended in `stream.error`: the `kind` of the notification, each with the reason why a
 * host would tell it apart. `retryable` kinds are tried again before the first delta only.
 */
export const failureTable = {
  connect_failed: { retryable: true, meaning: "The model server refused or dropped the connection before answering" },
  dns_failed: { retryable: true, meaning: "The name of the model server could not be resolved" },
  tls_failed: { retryable: false, meaning: "The certificate of the model server could not be verified, or the TLS handshake failed" },
  auth_failed: { retryable: false, meaning: "The model server refused the API key (401 or 403)" },
  upstream_rejected: { retryable: false, meaning: "The model server refused the request (another 4xx)" },
  rate_limited: { retryable: true, meaning: "The model server answered 429 after every try" },
  upstream_failed: { retryable: true, meaning: "The model server answered 5xx after every try" },
  upstream_error: { retryable: false, meaning: "The model server reported an error inside a 200 response" },
  redirect_refused: { retryable: false, meaning: "The model server redirected to another origin, or too often" },
  malformed_response: { retryable: false, meaning: "The model server sent something that is not the protocol it should speak" },
  truncated: { retryable: true, meaning: "The response stopped before its end; the text so far is kept" },
  timeout: { retryable: false, meaning: "The model server was silent for longer than idleTimeoutMs, or one answer took longer than answerTimeoutMs" },
  invalid_params: { retryable: false, meaning: "The request could not be put into the form of this provider" },
  storage: { retryable: false, meaning: "The history of the session could not be read, or the answer could not be stored" },
  budget_exhausted: { retryable: false, meaning: "A budget is used up; the message says which limit and by how much" },
  interrupted: {
    retryable: false,
    meaning: "The process ended in the middle of this turn, which was asked for again with its idempotencyKey; what was said and done is kept",
  },
  internal: { retryable: false, meaning: "Something went wrong inside the sidecar" },
} as const;

export type FailureKind = keyof typeof failureTable;

/** A failed turn as an error, where a status and a code are all that can be told of it. */
export function errorOfFailure(kind: FailureKind): ErrorName {
  const isError = kind === "budget_exhausted" || kind === "storage" || kind === "timeout" || kind === "invalid_params" || kind === "internal";
  return isError ? kind : "turn_failed";
}

/** Why a turn failed, as a value: providers yield it, they do not throw. */
export interface Failure {
  kind: FailureKind;
  /** Readable, without secrets, stacks or paths. */
  message: string;
  /** HTTP status of the model server, where there was one. */
  status?: number;
  /** Milliseconds that the model server asked us to wait (Retry-After). */
  retryAfterMs?: number;
  /** Overrides the table: false where a second try could not help. */
  retryable?: boolean;
}

function entry(code: number, kind: string, http: number, retryable: boolean, message: string) {
  return { code, kind, http, retryable, message };
}
