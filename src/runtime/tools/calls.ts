import { type Caller, isAdmin } from "../../contract/caller.ts";
import type { Params } from "../../contract/index.ts";
import type { ToolDescriptor, ToolResult } from "../../contract/model.ts";
import { fail, WireError } from "../../errors.ts";
import type { IdempotencyMark, TraceRecord } from "../../store/store.ts";
import type { RuntimeBase } from "../base.ts";
import { digestOf } from "../canonical.ts";
import { Keys, ownKey, refuseOther } from "../keys.ts";
import { type CallFacts, factsOf, judge } from "../policy/policy.ts";
import { TraceRecorder } from "../trace.ts";
import { misfitOf, outcomeOfResult, runTool, UNKNOWN_OUTCOME, unknownTool } from "./invocation.ts";
import type { ToolRegistry } from "./registry.ts";
import { toolSpan } from "./tool-span.ts";

type InvokeParams = Params<"tool.invoke">;

export interface ToolCallsDependencies extends RuntimeBase {
  registry: ToolRegistry;
}

/** Tools as a host runs them itself: each call is a trace with one `tool.<name>` span. */
export class ToolCalls {
  readonly #deps: ToolCallsDependencies;
  readonly #keys = new Keys<ToolResult>();

  constructor(deps: ToolCallsDependencies) {
    this.#deps = deps;
  }

  list(): Promise<ToolDescriptor[]> {
    return this.#deps.registry.list();
  }

  /** Rejects with `policy_denied`, and with `cancelled` as soon as `signal` is aborted. Every other failure is a result. */
  async invoke(params: InvokeParams, signal: AbortSignal, caller: Caller): Promise<ToolResult> {
    if (params.idempotencyKey === undefined) return this.#traced(params, signal, caller);
    const key = ownKey(caller, params.idempotencyKey);
    // Consent is not part of what is asked for: it may come with the second try.
    const digest = digestOf([params.name, params.arguments]);
    return this.#keys.join({ key, digest }, signal, (patience) => this.#once(params, { key, digest }, patience, caller));
  }

  async #once(params: InvokeParams, mark: IdempotencyMark, signal: AbortSignal, caller: Caller): Promise<ToolResult> {
    const before = await (await this.#deps.store()).beginCall(mark);
    if (before !== "begun") {
      this.#keys.release(mark.key);
      refuseOther(before.digest, mark.digest);
      if (before.result === undefined)
        throw fail("overloaded", { retryAfterMs: 1000 }, "The call with this idempotencyKey is still running in another process");
      return before.result;
    }
    try {
      const result = await this.#traced(params, signal, caller);
      await this.#journal(mark.key, result);
      return result;
    } catch (error) {
      // What was refused has had no effect, so the key is free again; what was cut off may have had one.
      const wasRefused = error instanceof WireError && error.errorName === "policy_denied";
      await this.#journal(mark.key, wasRefused ? undefined : UNKNOWN_OUTCOME);
      throw error;
    }
  }

  /** A result is worth more than its record: where the store fails, whoever asks again is answered from memory. */
  async #journal(key: string, result: ToolResult | undefined): Promise<void> {
    try {
      await (await this.#deps.store()).endCall(key, result);
      this.#keys.release(key);
    } catch (error) {
      this.#deps.log.warn({ error }, "the result of a tool call could not be stored");
    }
  }

  async #traced(params: InvokeParams, signal: AbortSignal, caller: Caller): Promise<ToolResult> {
    const { traces, newId, now, onTraceEvent } = this.#deps;
    const sessionId = params.context?.["sessionId"];
    const recorder = new TraceRecorder(
      { traceId: newId.trace(), owner: caller.subject },
      { sessionId: typeof sessionId === "string" ? sessionId : undefined },
      now,
      onTraceEvent,
    );
    const callId = params.id ?? newId.call();
    traces.add(recorder);
    recorder.event("tool_call", "tool.call", { id: callId, name: params.name, arguments: params.arguments });
    try {
      const result = await this.#run(params, callId, recorder, signal, caller);
      recorder.event(
        "tool_result",
        "tool.result",
        { id: callId, success: result.success, ...(result.error === undefined ? {} : { error: result.error }) },
        result.success ? "ok" : "error",
      );
      this.#save(recorder, recorder.finish(result.success ? "completed" : "error", { errorMessage: result.error }));
      return { ...result, data: { ...result.data, traceId: recorder.traceId } };
    } catch (error) {
      const cancelled = error instanceof WireError && error.errorName === "cancelled";
      const denied = error instanceof WireError && error.errorName === "policy_denied";
      if (denied) {
        recorder.event("policy", "policy.denied", { id: callId, name: params.name }, "warning");
        this.#deps.meter.toolRefused(params.name, "policy_denied");
      }
      this.#save(
        recorder,
        recorder.finish(cancelled ? "cancelled" : "error", { errorMessage: error instanceof WireError ? error.message : "The tool could not be run" }),
      );
      throw error;
    }
  }

  async #run(params: InvokeParams, callId: string, recorder: TraceRecorder, signal: AbortSignal, caller: Caller): Promise<ToolResult> {
    const { registry, config, meter } = this.#deps;
    const { name, arguments: args, consentGranted } = params;
    if (signal.aborted) throw fail("cancelled", { tool: name });
    const tool = await registry.find(name);
    if (tool === undefined) return this.#refused("unknown", unknownTool(name));
    // A tool that is destructive whatever it is given is refused before anybody looks at what it was given.
    this.#refuseWithoutConsent({ tool: name, mode: tool.mode, danger: undefined }, consentGranted);
    const misfit = await misfitOf(tool, args);
    if (misfit !== undefined) return this.#refused(name, misfit);
    const facts = factsOf(tool, args);
    this.#refuseWithoutLeave(facts, caller);
    this.#refuseWithoutConsent(facts, consentGranted);
    const timeoutMs = tool.timeoutMs ?? config().tools.timeoutMs;
    return runTool(tool, args, { callId, observer: toolSpan(recorder, { id: callId, mode: facts.mode }), meter }, timeoutMs, signal);
  }

  #refused(tool: string, result: ToolResult): ToolResult {
    this.#deps.meter.toolRefused(tool, outcomeOfResult(result));
    return result;
  }

  /** Whoever may do everything gives leave by asking. Nobody else can: for them, what would be asked about is denied. */
  #refuseWithoutLeave(facts: CallFacts, caller: Caller): void {
    const { tool, mode } = facts;
    const { decision, reason } = judge(this.#deps.config().policy, facts);
    if (decision !== "ask" || isAdmin(caller)) return;
    throw fail("policy_denied", { tool, mode, reason }, `The tool "${tool}" runs only for callers with the scope admin (${reason})`);
  }

  /** The host has asked itself, so only what is denied to everybody, or destroys something, is held back. */
  #refuseWithoutConsent(facts: CallFacts, consentGranted: boolean | undefined): void {
    const { tool, mode, danger } = facts;
    const { decision, reason } = judge(this.#deps.config().policy, facts);
    if (decision === "deny") throw fail("policy_denied", { tool, mode, reason }, `The policy denies "${tool}": ${reason}`);
    if (mode !== "destructive" || consentGranted === true) return;
    const why = danger ?? "it is destructive";
    throw fail("policy_denied", { tool, mode, reason: why }, `The tool "${tool}" runs only with consentGranted: true (${why})`);
  }

  /** The caller does not wait for the disk: a tool call is not repeated because its trace was lost. */
  #save(recorder: TraceRecorder, record: TraceRecord): void {
    const save = async () => (await this.#deps.store()).saveTrace(record);
    save()
      .catch((error: unknown) => this.#deps.log.warn({ error, traceId: recorder.traceId }, "the trace of a tool call could not be stored"))
      .finally(() => this.#deps.traces.remove(recorder));
  }
}
