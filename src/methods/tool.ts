import type { HostTools } from "../runtime/tools/host-tools.ts";
import type { Grants } from "../runtime/policy/grants.ts";
import type { ToolCalls } from "../runtime/tools/calls.ts";
import type { Handlers } from "./dispatch.ts";

type Family = Extract<keyof Handlers, `tool.${string}`>;

export function toolMethods(tools: ToolCalls, hostTools: HostTools, grants: Grants): Pick<Handlers, Family> {
  return {
    "tool.list": () => tools.list(),
    "tool.invoke": (params, call) => tools.invoke(params, call.signal, call.door.caller),
    "tool.register": ({ tools: descriptors }) => ({ registered: hostTools.register(descriptors) }),
    "tool.unregister": ({ names }) => ({ registered: hostTools.unregister(names) }),
    "tool.grants": () => grants.list(),
    "tool.revoke": async ({ tool }) => {
      await grants.revoke(tool);
      return null;
    },
  };
}
