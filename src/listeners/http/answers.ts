import type { FastifyReply } from "fastify";
import type * as z from "zod";
import type { ErrorBody } from "../../contract/http/errors.ts";
import { type ErrorName, errorOfFailure, errorTable, type Failure, fail, WireError } from "../../errors.ts";
import { encodeJson } from "../../rpc/json.ts";

export function sendJson(reply: FastifyReply, status: number, body: unknown): FastifyReply {
  if (status === 204) return reply.code(204).send();
  return reply.code(status).header("content-type", "application/json; charset=utf-8").send(encodeJson(body));
}

/** Answers with an error of the wire. Seconds to wait go into `Retry-After`. */
export function sendError(reply: FastifyReply, error: WireError, requestId: string): FastifyReply {
  const retryAfterMs = error.data?.["retryAfterMs"];
  if (typeof retryAfterMs === "number") reply.header("retry-after", String(Math.max(1, Math.ceil(retryAfterMs / 1000))));
  return sendJson(reply, errorTable[nameOf(error)].http, errorBody(error, requestId));
}

export function errorBody(error: WireError, requestId: string): ErrorBody {
  return { error: { code: nameOf(error), message: error.toWire().message, request_id: requestId } };
}

/** A turn that has failed because of time or of what it was given is told as that. */
function nameOf({ errorName, data }: WireError): ErrorName {
  const failure = data?.["failure"] as Failure | undefined;
  return errorName === "turn_failed" && failure !== undefined ? errorOfFailure(failure.kind) : errorName;
}

/** Anything that was thrown, as an error of the wire; undefined for a fault of ours, which nobody is told more about. */
export function wireErrorOf(error: unknown): WireError | undefined {
  return error instanceof WireError && error.errorName !== "internal" ? error : undefined;
}

/** What does not fit the shape of `part` (`path`, `query`, `body`). */
export function misfit(part: string, error: z.ZodError): WireError {
  const issues = error.issues.slice(0, 8).map(({ path, message }) => ({ path: [part, ...path.map(String)].join("."), message }));
  const first = issues[0];
  return fail("invalid_params", { issues }, first === undefined ? `The ${part} does not fit` : `${first.path}: ${first.message}`);
}
