import { basename } from "node:path";
import { WireError } from "../../errors.ts";
import { redactText } from "../../redact.ts";
import { ToolFailure } from "../tool.ts";
import type { Library } from "./remote.ts";
import { McpTransportError, NO_ANSWER } from "./stdio.ts";

/** Characters of what a server says about an error. */
const LONGEST = 2000;
const INVALID_PARAMS = -32602;

/** Why a server cannot be used, in words that go after "MCP server x: ". No secrets, no paths of this machine. */
export function reasonOf(error: unknown, library: Library | undefined, command?: string): string {
  if (error instanceof McpTransportError) return error.message;
  if (library !== undefined) {
    if (library.SdkHttpError.isInstance(error)) return httpReason(error.status);
    if (library.SseError.isInstance(error)) return error.code === undefined ? "its event stream broke off" : httpReason(error.code);
    if (library.ProtocolError.isInstance(error)) return error.code === NO_ANSWER ? safe(error.message) : `it answered with an error: ${safe(error.message)}`;
    if (library.SdkError.isInstance(error)) return sdkReason(error.code, library) ?? safe(error.message);
  }
  const code = codeOf(error);
  if (command !== undefined && code !== undefined) {
    if (code === "ENOENT") return `the program "${basename(command)}" was not found, or its cwd is not there`;
    if (code === "EACCES") return `the program "${basename(command)}" may not be run`;
    return `the program "${basename(command)}" could not be started (${code})`;
  }
  if (code !== undefined) return `it cannot be reached (${code})`;
  return error instanceof Error ? safe(error.message) : "it failed without saying why";
}

/** What the caller of a tool is told. */
export function callFailure(error: unknown, library: Library | undefined, server: string): ToolFailure {
  if (error instanceof ToolFailure) return error;
  if (library?.ProtocolError.isInstance(error) && error.code !== NO_ANSWER) {
    return new ToolFailure(safe(error.message), error.code === INVALID_PARAMS ? "invalid_params" : "tool_failed");
  }
  const text = `MCP server "${server}": ${reasonOf(error, library)}`;
  const answered =
    library?.SdkError.isInstance(error) === true &&
    (error.code === library.SdkErrorCode.InvalidResult || error.code === library.SdkErrorCode.UnsupportedResultType);
  return new ToolFailure(text, answered ? "tool_failed" : "unavailable");
}

/** The deadline of the call has passed, whoever noticed first. */
export function isTimeout(error: unknown, library: Library | undefined): boolean {
  if (error instanceof ToolFailure) return error.kind === "timeout";
  if (error instanceof WireError) return error.errorName === "timeout";
  return library?.SdkError.isInstance(error) === true && error.code === library.SdkErrorCode.RequestTimeout;
}

/**
 * Whether a remote server knows the session no more: it has refused the call, which had no effect. 404
 * is what MCP asks for; some answer 400.
 */
export function isSessionOver(error: unknown, library: Library): boolean {
  return library.SdkHttpError.isInstance(error) && (error.status === 404 || error.status === 400);
}

/** Whether a remote server could not be reached at all. */
export function isUnreachable(error: unknown, library: Library): boolean {
  const known = library.SdkError.isInstance(error) || library.ProtocolError.isInstance(error) || error instanceof McpTransportError;
  return !known && codeOf(error) !== undefined;
}

function httpReason(status: number): string {
  return status === 401 || status === 403 ? `it refused the credentials in "headers" (HTTP status ${status})` : `it answered with HTTP status ${status}`;
}

function sdkReason(code: string, { SdkErrorCode }: Library): string | undefined {
  if (code === SdkErrorCode.RequestTimeout) return "it did not answer in time";
  if (code === SdkErrorCode.ConnectionClosed || code === SdkErrorCode.NotConnected) return "it ended before it answered";
  if (code === SdkErrorCode.InvalidResult) return "its answer does not have the form that MCP asks for";
  if (code === SdkErrorCode.UnsupportedResultType) return "it asked for something that this client does not offer";
  return undefined;
}

/** The code of a system error; of those that gather or wrap others (a failed fetch), of the first. */
function codeOf(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined;
  if ("code" in error && typeof error.code === "string") return error.code;
  if (error instanceof AggregateError) return codeOf(error.errors[0]);
  return codeOf(error.cause);
}

function safe(text: string): string {
  const redacted = redactText(text).trim();
  return redacted.length > LONGEST ? `${redacted.slice(0, LONGEST)}…` : redacted;
}
