import type { Params } from "../contract/index.ts";
import type { ToolDescriptor, ToolResult, TraceEvent } from "../contract/model.ts";
import { WireError } from "../errors.ts";
import type { Log } from "../log.ts";
import type { Store, TraceRecord } from "../store/store.ts";
import type { NewId } from "./ids.ts";
import type { ToolRegistry } from "./tools.ts";
import { type LiveTraces, TraceRecorder } from "./trace.ts";

export interface ToolCallsDependencies {
  registry: ToolRegistry;
  store(): Promise<Store>;
  traces: LiveTraces;
  onTraceEvent(event: TraceEvent): void;
  newId: NewId;
  now(): number;
  log: Log;
}

/** Tools as a host runs them itself: each call is a trace with one `tool.<name>` span. */
export class ToolCalls {
  readonly #deps: ToolCallsDependencies;

  constructor(deps: ToolCallsDependencies) {
    this.#deps = deps;
  }

  list(): ToolDescriptor[] {
    return this.#deps.registry.list();
  }

  async invoke(params: Params<"tool.invoke">, signal: AbortSignal): Promise<ToolResult> {
    const { registry, traces, newId, now, onTraceEvent } = this.#deps;
    const sessionId = params.context?.["sessionId"];
    const recorder = new TraceRecorder(newId.trace(), { sessionId: typeof sessionId === "string" ? sessionId : undefined }, now, onTraceEvent);
    const callId = params.id ?? newId.call();
    traces.add(recorder);
    recorder.event("tool_call", "tool.call", { id: callId, name: params.name, arguments: params.arguments });
    let close: ReturnType<TraceRecorder["span"]> | undefined;
    try {
      const result = await registry.invoke(
        {
          name: params.name,
          arguments: params.arguments,
          consentGranted: params.consentGranted,
          observer: {
            started: ({ mode, timeoutMs }) => {
              close = recorder.span(`tool.${params.name}`, "tool", { id: callId, mode, timeoutMs });
            },
            ended: ({ status, durationMs }) => close?.(status, { durationMs }),
          },
        },
        signal,
      );
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
      if (denied) recorder.event("policy", "policy.denied", { id: callId, name: params.name }, "warning");
      this.#save(
        recorder,
        recorder.finish(cancelled ? "cancelled" : "error", { errorMessage: error instanceof WireError ? error.message : "The tool could not be run" }),
      );
      throw error;
    }
  }

  /** The caller does not wait for the disk: a tool call is not repeated because its trace was lost. */
  #save(recorder: TraceRecorder, record: TraceRecord): void {
    const save = async () => (await this.#deps.store()).saveTrace(record);
    save()
      .catch((error: unknown) => this.#deps.log.warn({ error, traceId: recorder.traceId }, "the trace of a tool call could not be stored"))
      .finally(() => this.#deps.traces.remove(recorder));
  }
}
