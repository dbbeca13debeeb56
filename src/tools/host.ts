import { type HostToolDescriptor, modeOf, type RunOnHost, type Tool } from "./tool.ts";

/** A tool that the host has registered and runs itself. */
export function hostTool({ function: { name, description, parameters }, mode, timeoutMs }: HostToolDescriptor, run: RunOnHost): Tool {
  return {
    name,
    description: description ?? "",
    parameters: parameters ?? { type: "object" },
    mode: mode ?? modeOf(name),
    ...(timeoutMs === undefined ? {} : { timeoutMs }),
    run: (args, context) => run({ name, arguments: args }, context),
  };
}
