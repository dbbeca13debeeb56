import { fail } from "../../errors.ts";
import { type ArgumentCheck, compileCheck } from "../../tools/arguments.ts";
import { failedResult, messageOf, resultOf } from "../../tools/result.ts";
import { type Tool, type ToolCallContext, ToolFailure, type ToolMode, type ToolResult } from "../../tools/tool.ts";
import type { Meter } from "../meter.ts";

/** Where a call comes from, and who watches it. */
export interface Invocation extends Pick<ToolCallContext, "callId" | "streamId" | "sessionId"> {
  /** Told when the tool starts and how it ended; for traces. Must not throw. */
  observer?: ToolObserver | undefined;
  meter?: Meter | undefined;
}

/** Neither is called for a tool that never ran. */
export interface ToolObserver {
  started?(tool: { name: string; mode: ToolMode; timeoutMs: number }): void;
  ended?(outcome: ToolOutcome): void;
}

export interface ToolOutcome {
  status: "ok" | "error" | "timeout" | "cancelled";
  durationMs: number;
  /** Absent when cancelled. */
  result?: ToolResult;
}

/** Each schema is compiled once, as long as its tool lives. */
const checks = new WeakMap<Tool, Promise<ArgumentCheck>>();

/** What a call comes to whose end nobody sees. */
export const UNKNOWN_OUTCOME: ToolResult = {
  success: false,
  kind: "outcome_unknown",
  outcomeUnknown: true,
  error: "The call was cut off while it was running. It may or may not have had its effect; check before repeating it.",
};

/** What nobody has under this name; the model is told. */
export function unknownTool(name: string): ToolResult {
  return { success: false, error: `Unknown tool: ${name}`, kind: "invalid_params", needsFollowup: false };
}

/** Why the tool cannot run with these arguments, as its result; undefined where it can. */
export async function misfitOf(tool: Tool, args: Record<string, unknown>): Promise<ToolResult | undefined> {
  const misfit = await misfitText(tool, args);
  return misfit === undefined ? undefined : failedResult(misfit, "invalid_params");
}

/**
 * Runs a tool once, with arguments that fit. Whatever goes wrong inside it is a result with `success:
 * false`, `needsFollowup` set where the caller should react; `data.durationMs` (milliseconds, an integer)
 * is always there. Rejects with `cancelled` as soon as `signal` is aborted.
 */
export async function runTool(tool: Tool, args: Record<string, unknown>, invocation: Invocation, timeoutMs: number, signal: AbortSignal): Promise<ToolResult> {
  if (signal.aborted) throw cancelled(tool.name);
  const { observer, meter, ...from } = invocation;
  observer?.started?.({ name: tool.name, mode: tool.mode, timeoutMs });
  const ended = meter?.toolCall(tool.name);
  const start = performance.now();
  const ending = await endingOf(tool, args, { ...from, timeoutMs }, signal);
  const durationMs = Math.round(performance.now() - start);
  if (ending.how === "cancelled") {
    observer?.ended?.({ status: "cancelled", durationMs });
    ended?.("cancelled");
    throw cancelled(tool.name);
  }
  const outcome = outcomeOf(ending, tool.name, durationMs, timeoutMs);
  observer?.ended?.(outcome);
  ended?.(outcomeOfResult(outcome.result));
  return outcome.result;
}

/** What a result counts as: `ok`, or why it failed. */
export function outcomeOfResult({ success, kind }: ToolResult): string {
  return success ? "ok" : (kind ?? "tool_failed");
}

async function misfitText(tool: Tool, args: Record<string, unknown>): Promise<string | undefined> {
  const compiling = checks.get(tool) ?? compileCheck(tool.parameters);
  checks.set(tool, compiling);
  let check: ArgumentCheck;
  try {
    check = await compiling;
  } catch (error) {
    return `The tool cannot run, its parameters are not a usable JSON Schema: ${messageOf(error)}`;
  }
  try {
    const reason = check(args);
    return reason === undefined ? undefined : `Invalid arguments: ${reason}`;
  } catch (error) {
    // A schema that refers to itself meets arguments too deep for the stack.
    return `Invalid arguments: ${messageOf(error)}`;
  }
}

type Ending = { how: "returned"; value: unknown } | { how: "threw"; error: unknown } | { how: "late" } | { how: "cancelled" };

/** The first of: the tool ends, the deadline passes, the caller aborts. Never rejects. */
function endingOf(tool: Tool, args: Record<string, unknown>, from: Omit<ToolCallContext, "signal">, signal: AbortSignal): Promise<Ending> {
  const controller = new AbortController();
  return new Promise((resolve) => {
    const settle = (ending: Ending) => {
      clearTimeout(timer);
      signal.removeEventListener("abort", abort);
      resolve(ending);
    };
    // Settled first: how a tool reacts to the abort no longer matters.
    const abort = () => {
      settle({ how: "cancelled" });
      controller.abort(signal.reason);
    };
    const timer = setTimeout(() => {
      settle({ how: "late" });
      controller.abort(fail("timeout"));
    }, from.timeoutMs);
    signal.addEventListener("abort", abort, { once: true });
    if (signal.aborted) return abort();
    begin(tool, args, { ...from, signal: controller.signal }).then(
      (value) => settle({ how: "returned", value }),
      (error: unknown) => settle({ how: "threw", error }),
    );
  });
}

/** Async, so that a tool that throws before its first await rejects like any other. */
async function begin(tool: Tool, args: Record<string, unknown>, context: ToolCallContext): Promise<unknown> {
  return await tool.run(args, context);
}

function outcomeOf(ending: Exclude<Ending, { how: "cancelled" }>, name: string, durationMs: number, timeoutMs: number): ToolOutcome & { result: ToolResult } {
  if (ending.how === "late") {
    return { status: "timeout", durationMs, result: failedResult(`The tool "${name}" did not finish within ${timeoutMs} ms`, "timeout", durationMs) };
  }
  try {
    if (ending.how === "threw") throw ending.error;
    const result = resultOf(ending.value, durationMs);
    return { status: result.success ? "ok" : "error", durationMs, result };
  } catch (error) {
    const kind = error instanceof ToolFailure ? error.kind : "tool_failed";
    return { status: kind === "timeout" ? "timeout" : "error", durationMs, result: failedResult(messageOf(error), kind, durationMs) };
  }
}

function cancelled(tool: string) {
  return fail("cancelled", { tool }, `The call of "${tool}" was cancelled`);
}
