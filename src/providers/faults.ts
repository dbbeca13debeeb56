import type { Failure } from "../errors.ts";
import { redactText } from "../redact.ts";
import { isJsonObject, parseJson } from "./json.ts";

/** Why no answer came: an error of the network, of TLS or of undici, before the response started. */
export function connectionFailure(error: unknown, url: URL, viaProxy: boolean): Failure {
  const code = codeOf(error);
  const where = viaProxy ? `${url.host} through the proxy` : url.host;
  if (nameCodes.has(code)) return { kind: "dns_failed", message: `The name of ${where} could not be resolved (${code})` };
  if (viaProxy && needsProxyLogin(error)) return { kind: "connect_failed", message: "The proxy asked for a user name and password (407)", retryable: false };
  if (handshakeCode.test(code)) return { kind: "tls_failed", message: `The TLS handshake with ${where} failed (${code})` };
  if (certificateCode.test(code)) return { kind: "tls_failed", message: `The certificate of ${where} could not be verified (${code})` };
  if (code === NOT_HTTP) return { kind: "malformed_response", message: `${where} does not speak HTTP` };
  if (code === "UND_ERR_HEADERS_OVERFLOW") return { kind: "malformed_response", message: `${where} sent more headers than can be taken` };
  if (code === "UND_ERR_INVALID_ARG")
    return {
      kind: "invalid_params",
      message: "The request cannot be sent over HTTP: check the API key and the base URL for characters that do not belong there",
    };
  return {
    kind: "connect_failed",
    message: `Could not connect to ${where}: ${words[code] ?? "the connection failed"}${code === "" ? "" : ` (${code})`}`,
  };
}

/** Why the answer stopped: an error after the response had started. */
export function bodyFailure(error: unknown): Failure {
  const code = codeOf(error);
  if (code === NOT_HTTP) return { kind: "malformed_response", message: "The response is not valid HTTP" };
  return { kind: "truncated", message: `The connection broke before the response was complete${code === "" ? "" : ` (${code})`}` };
}

/**
 * What a status other than 2xx and 3xx means. `body` is the start of the error body; the model
 * server's own message is taken from it.
 */
export function statusFailure(status: number, body: string, retryAfter: string | undefined, now: number): Failure {
  const detail = parseJson(body);
  const said = messageIn(detail) ?? plainText(body);
  const failure: Failure = { ...statusKind(status), status };
  failure.message = said === undefined ? `${failure.message} (${status})` : `${failure.message} (${status}): ${said}`;
  // An account without credit answers 429 as well, and no wait helps.
  if (status === 429 && isOutOfQuota(detail)) failure.retryable = false;
  const retryAfterMs = status === 429 || status >= 500 ? waitOf(retryAfter, now) : undefined;
  return retryAfterMs === undefined ? failure : { ...failure, retryAfterMs };
}

/** An error that the model server reported inside a 200 response. */
export function reportedFailure(detail: unknown): Failure {
  return { kind: "upstream_error", message: `The model server reported an error: ${messageIn(detail) ?? "it did not say which"}` };
}

/**
 * The message in an error object of a model server, made fit to be shown: `error.message`,
 * `error`, `message` or `detail`, also inside an array. Undefined when there is none.
 */
export function messageIn(detail: unknown): string | undefined {
  return presentable(rawMessage(detail, 0));
}

/** Milliseconds that a Retry-After header asks for: seconds or an HTTP date (RFC 9110, 10.2.3). Undefined unless it is 0 to 60 s. */
export function waitOf(retryAfter: string | undefined, now: number): number | undefined {
  if (retryAfter === undefined) return undefined;
  const value = retryAfter.trim();
  const ms = /^\d+(\.\d+)?$/.test(value) ? Math.ceil(Number(value) * 1000) : /[a-z]/i.test(value) ? Date.parse(value) - now : Number.NaN;
  return ms >= 0 && ms <= LONGEST_WAIT_MS ? ms : undefined;
}

/** A day; who asks for more has made a mistake. */
const LONGEST_WAIT_MS = 86_400_000;
const LONGEST_MESSAGE = 500;
/** What undici's parser finds: a connection that closed in the middle of a response, or bytes that are no response. */
const CUT_OFF = "HPE_INVALID_EOF_STATE";
const NOT_HTTP = "HPE";

const nameCodes = new Set(["ENOTFOUND", "EAI_AGAIN", "EAI_FAIL", "EAI_NODATA", "EAI_NONAME", "ENODATA"]);
const certificateCode = /CERT|^UNABLE_TO_|^HOSTNAME_MISMATCH$|^CRL_|^INVALID_(CA|PURPOSE)$|^PATH_LENGTH_EXCEEDED$/;
const handshakeCode = /^ERR_SSL_|^ERR_TLS_(?!CERT)|^EPROTO$|^UND_ERR_PRX_TLS$/;

const words: Readonly<Record<string, string>> = {
  ECONNREFUSED: "connection refused",
  ECONNRESET: "the connection was reset before an answer came",
  EPIPE: "the connection was closed before an answer came",
  UND_ERR_SOCKET: "the connection was closed before an answer came",
  [CUT_OFF]: "the connection was closed before an answer came",
  ETIMEDOUT: "no connection in time",
  UND_ERR_CONNECT_TIMEOUT: "no connection in time",
  EHOSTUNREACH: "the host cannot be reached",
  ENETUNREACH: "the network cannot be reached",
  UND_ERR_ABORTED: "the proxy refused to connect",
};

function statusKind(status: number): { kind: Failure["kind"]; message: string; retryable?: boolean } {
  if (status === 401 || status === 403) return { kind: "auth_failed", message: "The model server refused the API key" };
  if (status === 429) return { kind: "rate_limited", message: "The model server is limiting requests" };
  if (status === 408) return { kind: "upstream_rejected", message: "The model server gave up waiting for the request", retryable: true };
  if (status >= 500) return { kind: "upstream_failed", message: "The model server failed" };
  return { kind: "upstream_rejected", message: "The model server refused the request" };
}

function isOutOfQuota(detail: unknown): boolean {
  const error = isJsonObject(detail) ? detail["error"] : undefined;
  return isJsonObject(error) && (error["code"] === "insufficient_quota" || error["type"] === "insufficient_quota");
}

function rawMessage(detail: unknown, depth: number): string | undefined {
  if (typeof detail === "string") return detail;
  if (depth > 3) return undefined;
  if (Array.isArray(detail)) return rawMessage(detail[0], depth + 1);
  if (!isJsonObject(detail)) return undefined;
  for (const key of ["error", "message", "msg", "detail"]) {
    const found = rawMessage(detail[key], depth + 1);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** The body as it is, unless it is JSON without a message, or a page. */
function plainText(body: string): string | undefined {
  const text = body.trim();
  return /^[[{<]/.test(text) ? undefined : presentable(text);
}

function presentable(text: string | undefined): string | undefined {
  if (text === undefined) return undefined;
  // Redact first: a secret that the cap cuts in two would no longer be recognised.
  const clean = redactText(text.slice(0, 64 * 1024))
    .replace(/[\s\p{Cc}\p{Surrogate}]+/gu, " ")
    .trim();
  if (clean === "") return undefined;
  return clean.length > LONGEST_MESSAGE ? `${clean.slice(0, LONGEST_MESSAGE - 1).replace(/[\ud800-\udbff]$/, "")}…` : clean;
}

/** undici says so in the message only. */
function needsProxyLogin(error: unknown): boolean {
  return error instanceof Error && error.message.includes("(407)");
}

function codeOf(error: unknown): string {
  if (!isJsonObject(error)) return "";
  // undici 7.30 leaves the code of its parser's errors undefined.
  if (error["name"] === "HTTPParserError") return String(error["message"]).includes("EOF") ? CUT_OFF : NOT_HTTP;
  if (typeof error["code"] === "string") return error["code"];
  return error["cause"] === undefined ? "" : codeOf(error["cause"]);
}
