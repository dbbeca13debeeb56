import type { ToolMode } from "../../tools/tool.ts";
import type { TraceRecorder } from "../trace.ts";
import type { ToolObserver } from "./invocation.ts";

/** Records a call as the span `tool.<name>` of a trace. */
export function toolSpan(recorder: TraceRecorder, call: { id: string; mode: ToolMode }): ToolObserver {
  let close: ReturnType<TraceRecorder["span"]> | undefined;
  return {
    started: ({ name, timeoutMs }) => {
      close = recorder.span(`tool.${name}`, "tool", { ...call, timeoutMs });
    },
    ended: ({ status, durationMs }) => close?.(status, { durationMs }),
  };
}
