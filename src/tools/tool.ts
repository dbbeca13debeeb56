import type { Params } from "../contract/index.ts";
import type { ToolDescriptor, ToolFailureKind, ToolMode, ToolResult } from "../contract/model.ts";

const prefixes: readonly [RegExp, ToolMode][] = [
  [/^(get|list|read)_/, "read"],
  [/^(create|update|set|write|apply)_/, "safe_write"],
  [/^(delete|drop|remove|destroy)_/, "destructive"],
];

/** What a tool may do, as its name tells. */
export function modeOf(name: string): ToolMode {
  return prefixes.find(([prefix]) => prefix.test(name))?.[1] ?? "other";
}

/** What one call is given beside its arguments. */
export interface ToolCallContext {
  /** Aborted when the call is cancelled or its deadline has passed. */
  signal: AbortSignal;
  callId: string;
  /** Milliseconds until `signal` is aborted. */
  timeoutMs: number;
  streamId?: string | undefined;
  sessionId?: string | undefined;
}

/** What one call may do, as its arguments tell: where that differs from call to call. */
export interface Assessment {
  mode: ToolMode;
  /** What is dangerous about it, for people; undefined where nothing is. */
  danger?: string | undefined;
}

/** A tool that the sidecar can run. */
export interface Tool {
  name: string;
  description: string;
  /** JSON Schema (2020-12 or draft-07) of the arguments. */
  parameters: Record<string, unknown>;
  mode: ToolMode;
  /** Deadline of one call in milliseconds; that of the configuration when left out. */
  timeoutMs?: number | undefined;
  /** For tools whose calls differ in what they may do. `args` fit `parameters`. Must not throw. */
  assess?(args: Record<string, unknown>): Assessment;
  /**
   * Runs once. `args` fit `parameters`. What it returns becomes `data` (an object as it is, anything
   * else as `data.value`); what it throws becomes `success: false`, with the message of a `ToolFailure`
   * as it is. Must end soon after `context.signal` is aborted.
   */
  run(args: Record<string, unknown>, context: ToolCallContext): Promise<unknown>;
}

/** A failure whose message is meant for the caller: readable, without secrets. */
export class ToolFailure extends Error {
  override name = "ToolFailure";
  readonly kind: ToolFailureKind;

  constructor(message: string, kind: ToolFailureKind = "tool_failed") {
    super(message);
    this.kind = kind;
  }
}

/** A place that tools come from and that is known only by asking: MCP servers, the host. */
export interface ToolSource {
  /**
   * The tools as they are now of everybody who may have one that the patterns name, or of all when no
   * patterns are given; an MCP server is started by this. Never rejects: what cannot be reached has no tools.
   */
  tools(patterns?: readonly string[]): Promise<readonly Tool[]>;
  /** How long `tools` may take, in milliseconds. Undefined where nobody has to be asked. */
  patienceMs(patterns: readonly string[]): number | undefined;
  /** How many tools are known without asking anybody. */
  readonly known: number;
  /** The tool of this name; nobody is asked but who may have it. Never rejects. */
  find(name: string): Promise<Tool | undefined>;
  /** Ends whatever the source keeps running. Never rejects. */
  close(): Promise<void>;
}

/** One of the tools of `tool.register`. */
export type HostToolDescriptor = Params<"tool.register">["tools"][number];

/** Has the host run a call: resolves with what it answered, rejects with why there is no answer. */
export type RunOnHost = (call: { name: string; arguments: Record<string, unknown> }, context: ToolCallContext) => Promise<unknown>;

/** Makes the tool that stands for one of the host's. */
export type HostToolMaker = (descriptor: HostToolDescriptor, run: RunOnHost) => Tool;

export function describe(tool: Tool): ToolDescriptor {
  return { type: "function", function: { name: tool.name, description: tool.description, parameters: tool.parameters } };
}

export type { ToolMode, ToolResult };
