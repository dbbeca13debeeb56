import { ToolFailureKind } from "../contract/model.ts";
import { redactText } from "../redact.ts";
import { deeperThan } from "../rpc/json.ts";
import { ToolFailure, type ToolResult } from "./tool.ts";

/**
 * What a tool returned, as a result of the wire. An object with a boolean `success` is the result
 * itself, any other object becomes `data`, anything else `data.value`. The result is a copy made of
 * plain JSON. Throws a `ToolFailure` when the value cannot be written as JSON.
 */
export function resultOf(returned: unknown, durationMs: number): ToolResult {
  const value = plain(returned);
  return isObject(value) && typeof value["success"] === "boolean"
    ? ownResult(value, value["success"], durationMs)
    : { success: true, data: { ...dataOf(value), durationMs } };
}

/** A tool that ran and failed: the caller, often a model, should react. */
export function failedResult(error: string, kind: ToolFailureKind, durationMs?: number): ToolResult {
  return { success: false, needsFollowup: true, error, kind, ...(durationMs === undefined ? {} : { data: { durationMs } }) };
}

/** The message of whatever was thrown; only a `ToolFailure` is trusted to hold no secret. */
export function messageOf(thrown: unknown): string {
  const text = textOfThrown(thrown);
  if (thrown instanceof ToolFailure) return text;
  const safe = redactText(text);
  return safe.length > MOST_CHARACTERS ? `${safe.slice(0, MOST_CHARACTERS)}…` : safe;
}

/** Errors are objects like any other: their message may be missing, no text, or a getter that throws. */
function textOfThrown(thrown: unknown): string {
  try {
    const text = thrown instanceof Error ? thrown.message || thrown.name : thrown;
    if (typeof text === "string" && text !== "") return text;
  } catch {
    // Said below.
  }
  return "The tool failed without saying why";
}

/** Levels of a result; the frame around it takes some of the 256 that readers of frames accept. */
const DEEPEST = 200;
/** Characters of a message that nobody meant for the caller. */
const MOST_CHARACTERS = 2000;

/** Fields of the wrong type are put right or left out: a result that the contract refuses helps nobody. */
function ownResult(value: Record<string, unknown>, success: boolean, durationMs: number): ToolResult {
  const { terminal, needsFollowup, message, error, kind, outcomeUnknown, data, ...rest } = value;
  const known = ToolFailureKind.safeParse(kind);
  return {
    ...rest,
    success,
    ...(typeof terminal === "boolean" ? { terminal } : {}),
    ...(typeof needsFollowup === "boolean" ? { needsFollowup } : {}),
    ...(known.success ? { kind: known.data } : {}),
    ...(typeof outcomeUnknown === "boolean" ? { outcomeUnknown } : {}),
    ...(message === undefined || message === null ? {} : { message: textOf(message) }),
    ...(error === undefined || error === null ? {} : { error: textOf(error) }),
    data: { ...(data === null ? {} : dataOf(data)), durationMs },
  };
}

function dataOf(value: unknown): Record<string, unknown> {
  if (value === undefined) return {};
  return isObject(value) ? value : { value };
}

function textOf(value: unknown): string {
  return typeof value === "string" ? value : JSON.stringify(value);
}

/** Written and read once, here, so that a cycle, a BigInt or a throwing getter meets this call only. */
function plain(value: unknown): unknown {
  let text: string | undefined;
  try {
    text = JSON.stringify(value);
  } catch (error) {
    throw new ToolFailure(`The tool returned something that cannot be written as JSON: ${messageOf(error).split("\n", 1)[0]}`);
  }
  if (text === undefined) return undefined;
  // Readers have a limit, and V8 versions differ in what they write at all.
  if (deeperThan(text, DEEPEST))
    throw new ToolFailure(`The tool returned something that cannot be written as JSON for a host: it nests deeper than ${DEEPEST} levels`);
  return JSON.parse(text);
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
