import type { ToolDescriptor } from "../contract/model.ts";
import { fail } from "../errors.ts";
import { type ArgumentCheck, compileCheck } from "../tools/arguments.ts";
import { failedResult, messageOf, resultOf } from "../tools/result.ts";
import { describe, type Tool, type ToolMode, type ToolResult } from "../tools/tool.ts";

export interface ToolInvocation {
  name: string;
  arguments: Record<string, unknown>;
  /** Somebody agreed to this very call; destructive tools do not run without. */
  consentGranted?: boolean | undefined;
  /** Told when the tool starts and how it ended; for traces. Must not throw. */
  observer?: ToolObserver | undefined;
}

/** Neither is called for a tool that never ran: unknown, refused, or given arguments that do not fit. */
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

export interface ToolRegistry {
  readonly count: number;
  list(): ToolDescriptor[];
  get(name: string): Tool | undefined;
  /** The configuration has changed. Calls that run go on with the tool and the deadline they began with. */
  replace(tools: readonly Tool[], timeoutMs?: number): void;
  /**
   * Runs a tool once. Whatever goes wrong inside it is a result with `success: false`, `needsFollowup`
   * set where the caller should react; `data.durationMs` (milliseconds, an integer) is there whenever
   * it ran. Rejects with `policy_denied` `{tool, mode}` for a destructive tool without consent, and
   * with `cancelled` as soon as `signal` is aborted.
   */
  invoke(call: ToolInvocation, signal: AbortSignal): Promise<ToolResult>;
}

/** The tools that can be run. `timeoutMs` is the deadline of one call; names must differ (`invalid_params`). */
export function createToolRegistry(options: { tools: readonly Tool[]; timeoutMs: number }): ToolRegistry {
  let tools = byName(options.tools);
  let timeoutMs = options.timeoutMs;
  const checks = new WeakMap<Tool, Promise<ArgumentCheck>>();

  return {
    get count() {
      return tools.size;
    },
    list: () => [...tools.values()].map(describe),
    get: (name) => tools.get(name),
    replace(changed, deadline) {
      tools = byName(changed);
      timeoutMs = deadline ?? timeoutMs;
    },
    async invoke(call, signal) {
      const tool = tools.get(call.name);
      const deadline = timeoutMs;
      if (signal.aborted) throw cancelled(call.name);
      if (tool === undefined) return { success: false, error: `Unknown tool: ${call.name}`, needsFollowup: false };
      if (tool.mode === "destructive" && call.consentGranted !== true) throw withoutConsent(tool);
      const misfit = await misfitOf(tool, call.arguments, checks);
      if (signal.aborted) throw cancelled(call.name);
      return misfit === undefined ? await observed(tool, call, deadline, signal) : failedResult(misfit);
    },
  };
}

function byName(tools: readonly Tool[]): Map<string, Tool> {
  const named = new Map<string, Tool>();
  for (const tool of tools) {
    if (named.has(tool.name)) throw fail("invalid_params", { tool: tool.name }, `Two tools are named "${tool.name}"`);
    named.set(tool.name, tool);
  }
  return named;
}

/** Why the tool cannot run with these arguments; undefined where it can. Compiles the schema once per tool. */
async function misfitOf(tool: Tool, args: Record<string, unknown>, checks: WeakMap<Tool, Promise<ArgumentCheck>>): Promise<string | undefined> {
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

async function observed(tool: Tool, call: ToolInvocation, timeoutMs: number, signal: AbortSignal): Promise<ToolResult> {
  call.observer?.started?.({ name: tool.name, mode: tool.mode, timeoutMs });
  const start = performance.now();
  const ending = await endingOf(tool, call.arguments, timeoutMs, signal);
  const durationMs = Math.round(performance.now() - start);
  if (ending.how === "cancelled") {
    call.observer?.ended?.({ status: "cancelled", durationMs });
    throw cancelled(tool.name);
  }
  const outcome = outcomeOf(ending, tool.name, durationMs, timeoutMs);
  call.observer?.ended?.(outcome);
  return outcome.result;
}

type Ending = { how: "returned"; value: unknown } | { how: "threw"; error: unknown } | { how: "late" } | { how: "cancelled" };

/** The first of: the tool ends, the deadline passes, the caller aborts. Never rejects. */
function endingOf(tool: Tool, args: Record<string, unknown>, timeoutMs: number, signal: AbortSignal): Promise<Ending> {
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
    }, timeoutMs);
    signal.addEventListener("abort", abort, { once: true });
    if (signal.aborted) return abort();
    runTool(tool, args, controller.signal).then(
      (value) => settle({ how: "returned", value }),
      (error: unknown) => settle({ how: "threw", error }),
    );
  });
}

/** Async, so that a tool that throws before its first await rejects like any other. */
async function runTool(tool: Tool, args: Record<string, unknown>, signal: AbortSignal): Promise<unknown> {
  return await tool.run(args, signal);
}

function outcomeOf(ending: Exclude<Ending, { how: "cancelled" }>, name: string, durationMs: number, timeoutMs: number): ToolOutcome & { result: ToolResult } {
  if (ending.how === "late") {
    return { status: "timeout", durationMs, result: failedResult(`The tool "${name}" did not finish within ${timeoutMs} ms`, durationMs) };
  }
  try {
    if (ending.how === "threw") throw ending.error;
    const result = resultOf(ending.value, durationMs);
    return { status: result.success ? "ok" : "error", durationMs, result };
  } catch (error) {
    return { status: "error", durationMs, result: failedResult(messageOf(error), durationMs) };
  }
}

function cancelled(tool: string) {
  return fail("cancelled", { tool }, `The call of "${tool}" was cancelled`);
}

function withoutConsent({ name, mode }: Tool) {
  return fail("policy_denied", { tool: name, mode }, `The tool "${name}" is destructive and runs only with consentGranted: true`);
}
