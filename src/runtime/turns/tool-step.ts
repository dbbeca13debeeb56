import type { Config } from "../../contract/config.ts";
import type { ToolCall, ToolResult } from "../../contract/model.ts";
import { type Failure, WireError } from "../../errors.ts";
import type { MessageBody } from "../../store/messages.ts";
import { failedResult } from "../../tools/result.ts";
import type { Tool } from "../../tools/tool.ts";
import type { Meter } from "../meter.ts";
import type { Gate } from "../policy/gate.ts";
import { type CallFacts, factsOf } from "../policy/policy.ts";
import { misfitOf, outcomeOfResult, runTool, unknownTool } from "../tools/invocation.ts";
import { toolSpan } from "../tools/tool-span.ts";
import type { Repetition } from "./repetition.ts";
import { toolMessage } from "./result-text.ts";
import type { Run } from "./run.ts";

export interface ToolStepDependencies {
  gate: Gate;
  meter: Meter;
  settings(): Config["tools"];
}

/** A call that may run, as far as its arguments are concerned. */
interface Runnable {
  call: ToolCall;
  tool: Tool;
  facts: CallFacts;
}

/** A call, and either what it needs to run or why it will not. */
type Prepared = { call: ToolCall; runnable: Runnable } | { call: ToolCall; tool: Tool | undefined; refused: ToolResult };

/**
 * Runs the calls of one model call that are ours: side by side when all of them only read, else one
 * after the other. Their messages are kept with the run, in the order of the calls, and given back; or
 * why the turn has to end. Once the run is stopped nothing more is begun, and what it gives no longer matters.
 */
export async function runToolStep(
  run: Run,
  calls: readonly ToolCall[],
  tools: ReadonlyMap<string, Tool>,
  repetition: Repetition,
  deps: ToolStepDependencies,
): Promise<{ messages: MessageBody[]; isFinal: boolean } | { failure: Failure }> {
  const prepared = await Promise.all(calls.map((call) => prepare(call, tools, repetition)));
  const runnable = prepared.flatMap((each) => ("runnable" in each ? [each.runnable] : []));
  const sideBySide = runnable.every(({ facts }) => facts.mode === "read");
  const { timeoutMs, parallel } = deps.settings();
  if (sideBySide && run.stop === undefined) run.phases.enter("tool", Math.max(0, ...runnable.map(({ tool }) => tool.timeoutMs ?? timeoutMs)));

  const messages: (MessageBody | undefined)[] = calls.map(() => undefined);
  let failure: Failure | undefined;
  let isBroken = false;
  const one = async (each: Prepared, index: number): Promise<void> => {
    if (failure !== undefined || isBroken || run.stop !== undefined) return;
    if ("runnable" in each) failure = run.account.takeToolCall();
    if (failure !== undefined) return;
    const keep = (message: MessageBody) => {
      messages[index] = message;
      if (sideBySide) run.keepInOrder(index, message);
      else run.keep(message);
    };
    try {
      if ("refused" in each) {
        deps.meter.toolRefused(each.tool?.name ?? "unknown", outcomeOfResult(each.refused));
        answer(run, each.call, each.refused, keep);
      } else await runOne(run, each.runnable, deps, sideBySide, keep);
    } catch (error) {
      isBroken = true;
      throw error;
    }
  };
  if (sideBySide) await inParallel(prepared, parallel, one);
  else for (const [index, each] of prepared.entries()) await one(each, index);
  if (run.stop === undefined) run.keepResults();
  const isFinal = calls.some(({ id }) => run.resultOf(id)?.terminal === true);
  return failure === undefined ? { messages: messages.filter((message) => message !== undefined), isFinal } : { failure };
}

async function prepare(call: ToolCall, tools: ReadonlyMap<string, Tool>, repetition: Repetition): Promise<Prepared> {
  const tool = tools.get(call.name);
  if (tool === undefined) return { call, tool, refused: unknownTool(call.name) };
  if (call.argumentsText !== undefined) return { call, tool, refused: failedResult("Invalid arguments: they are not a JSON object", "invalid_params") };
  const repeated = repetition.count(call);
  if (repeated !== undefined) return { call, tool, refused: failedResult(repeated, "repeated_call") };
  const refused = await misfitOf(tool, call.arguments);
  return refused === undefined ? { call, runnable: { call, tool, facts: factsOf(tool, call.arguments) } } : { call, tool, refused };
}

/** `keep` is told the message of the call; it is not when the run is stopped before. */
async function runOne(
  run: Run,
  { call, tool, facts }: Runnable,
  deps: ToolStepDependencies,
  sideBySide: boolean,
  keep: (message: MessageBody) => void,
): Promise<void> {
  const { recorder, streamId, sessionId, journal } = run;
  const { signal } = run.interruption;
  const timeoutMs = tool.timeoutMs ?? deps.settings().timeoutMs;
  if (!sideBySide) run.phases.enter("tool", timeoutMs);
  /** What only reads can be done again; everything else is written down before it begins. */
  const hasEffect = facts.mode !== "read";
  try {
    const admission = await deps.gate.admit(
      {
        facts,
        call: { id: call.id, name: call.name, arguments: call.arguments },
        streamId,
        sessionId,
        onAsk: (deadlineMs) => {
          recorder.event("policy", "policy.ask", { id: call.id, name: call.name, mode: facts.mode, danger: facts.danger ?? null });
          run.phases.enter("approval", deadlineMs);
        },
      },
      signal,
    );
    if (run.stop !== undefined) return;
    if (admission.asked) run.phases.enter("tool", timeoutMs);
    const verdict = { id: call.id, name: call.name, mode: facts.mode, reason: admission.reason };
    if (!admission.allowed) {
      recorder.event("policy", "policy.denied", verdict, "warning");
      deps.meter.toolRefused(tool.name, "policy_denied");
      answer(run, call, failedResult(`Denied: ${admission.reason}`, "policy_denied"), keep);
      return;
    }
    if (admission.asked) recorder.event("policy", "policy.allowed", verdict);
    if (hasEffect) await journal.begin(call.id);
    if (run.stop !== undefined) return;

    journal.runs(call.id);
    const observer = toolSpan(recorder, { id: call.id, mode: facts.mode });
    const result = await runTool(tool, call.arguments, { callId: call.id, streamId, sessionId, observer, meter: deps.meter }, timeoutMs, signal);
    if (run.stop !== undefined) return;
    if (hasEffect) await journal.end(call.id, () => keep(messageOf(run, call, result)));
    answer(run, call, result, hasEffect ? undefined : keep);
  } catch (error) {
    if (error instanceof WireError && error.errorName === "cancelled") return;
    throw error;
  }
}

/** Tells what a call has come to; what has effects was kept before. */
function answer(run: Run, call: ToolCall, result: ToolResult, keep: ((message: MessageBody) => void) | undefined): void {
  if (run.stop !== undefined) return;
  keep?.(messageOf(run, call, result));
  const { success, error, kind } = result;
  run.recorder.event(
    "tool_result",
    "tool.result",
    { id: call.id, name: call.name, success, ...(error === undefined ? {} : { error }), ...(kind === undefined ? {} : { kind }) },
    success ? "ok" : "error",
  );
  run.settle(call, result);
}

/** A turn that may be asked for again keeps the whole result, to tell it again. */
function messageOf(run: Run, call: ToolCall, result: ToolResult): MessageBody {
  return toolMessage(call.id, result, run.idempotencyKey !== undefined);
}

/** Runs `task` for every item, at most `width` at a time; rejects with the first error once all that began are done. */
async function inParallel<T>(items: readonly T[], width: number, task: (item: T, index: number) => Promise<void>): Promise<void> {
  const queue = items.entries();
  const worker = async (): Promise<void> => {
    for (const [index, item] of queue) await task(item, index);
  };
  const settled = await Promise.allSettled(Array.from({ length: Math.min(width, items.length) }, worker));
  const failed = settled.find((each) => each.status === "rejected");
  if (failed !== undefined) throw failed.reason;
}
