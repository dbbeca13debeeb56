import type { ToolCalls } from "../runtime/tool-calls.ts";
import type { Handlers } from "./dispatch.ts";

type Family = Extract<keyof Handlers, `tool.${string}`>;

export function toolMethods(tools: ToolCalls): Pick<Handlers, Family> {
  return {
    "tool.list": () => tools.list(),
    "tool.invoke": (params, call) => tools.invoke(params, call.signal),
  };
}
