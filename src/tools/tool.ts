import type { ToolDescriptor, ToolResult } from "../contract/model.ts";

/** What a tool may do; derived from its name unless the tool says otherwise. */
export type ToolMode = "read" | "safe_write" | "destructive" | "other";

const prefixes: readonly [RegExp, ToolMode][] = [
  [/^(get|list|read)_/, "read"],
  [/^(create|update|set|write|apply)_/, "safe_write"],
  [/^(delete|drop|remove|destroy)_/, "destructive"],
];

export function modeOf(name: string): ToolMode {
  return prefixes.find(([prefix]) => prefix.test(name))?.[1] ?? "other";
}

/** A tool that the sidecar can run. */
export interface Tool {
  name: string;
  description: string;
  /** JSON Schema (2020-12 or draft-07) of the arguments. */
  parameters: Record<string, unknown>;
  mode: ToolMode;
  /**
   * Runs once. `args` fit `parameters`. What it returns becomes `data` (an object as it is, anything
   * else as `data.value`); what it throws becomes `success: false`, with the message of a `ToolFailure`
   * as it is. Must end soon after `signal` is aborted.
   */
  run(args: Record<string, unknown>, signal: AbortSignal): Promise<unknown>;
}

/** A failure whose message is meant for the caller: readable, without secrets. */
export class ToolFailure extends Error {
  override name = "ToolFailure";
}

export function describe(tool: Tool): ToolDescriptor {
  return { type: "function", function: { name: tool.name, description: tool.description, parameters: tool.parameters } };
}

export type { ToolResult };
