import type { CallParams, HostRequestParams } from "../contract/index.ts";
import { errorTable } from "../errors.ts";
import type { Limits } from "./deadline.ts";
import { SidecarError } from "./error.ts";
import { isRecord } from "./peer.ts";

/** A tool as the sidecar is told of it. */
export type HostToolDescriptor = CallParams<"tool.register">["tools"][number];

/** A tool that runs in the host, for models (`useTools`) and `tools.invoke`. */
export type HostTool = HostToolDescriptor["function"] &
  Omit<HostToolDescriptor, "type" | "function"> & {
    /**
     * Runs one call. `args` fit `parameters`. Returns anything that is JSON: an object with a boolean `success`
     * is the ToolResult itself, everything else becomes its `data`. What it throws is told to the model.
     */
    run(args: Record<string, unknown>, call: HostToolCall): unknown;
  };

type Invocation = HostRequestParams<"tool.invoke">;

/** Where a call of a host tool comes from. */
export interface HostToolCall extends Pick<Invocation, "streamId" | "sessionId" | "timeoutMs"> {
  callId: string;
  /** Aborted when nobody waits for the result any more: after `timeoutMs`, when the turn is cancelled, and when the sidecar is gone. */
  signal: AbortSignal;
}

/** One tool that the host has registered. */
export interface HostToolRegistration extends AsyncDisposable {
  readonly name: string;
  /**
   * Takes the tool back; calls that are running go on. Nothing happens the second time, and when another
   * tool of that name was registered meanwhile.
   */
  unregister(): Promise<void>;
}

/** How the tools reach the sidecar. */
interface Wire {
  register(params: CallParams<"tool.register">, limits: Limits): Promise<unknown>;
  unregister(params: CallParams<"tool.unregister">, limits: Limits): Promise<unknown>;
}

/** The tools of the host: which there are, and running them. */
export class HostTools {
  readonly #wire: Wire;
  readonly #tools = new Map<string, HostTool>();
  /** Sent, and not yet acknowledged: the sidecar may already use them. */
  readonly #offered = new Set<HostTool>();

  constructor(wire: Wire) {
    this.#wire = wire;
  }

  /** What another sidecar process is to be told of. */
  get descriptors(): HostToolDescriptor[] {
    return [...this.#tools.values()].map(descriptorOf);
  }

  async register(given: HostTool, limits: Limits): Promise<HostToolRegistration> {
    if (typeof given.run !== "function") throw new TypeError("A host tool needs a function `run`");
    // A tool of its own: another registration of the same object is another tool.
    const tool: HostTool = { ...descriptionOf(given), run: (args, call) => given.run(args, call) };
    this.#offered.add(tool);
    try {
      await this.#wire.register({ tools: [descriptorOf(tool)] }, limits);
      this.#tools.set(tool.name, tool);
    } catch (error) {
      this.#offered.delete(tool);
      this.#withdraw(tool.name, error, limits.timeoutMs);
      throw error;
    } finally {
      this.#offered.delete(tool);
    }
    const unregister = () => this.#unregister(tool, limits.timeoutMs);
    return { name: tool.name, unregister, [Symbol.asyncDispose]: unregister };
  }

  /** Answers `tool.invoke`. */
  async run(params: unknown, signal: AbortSignal): Promise<unknown> {
    if (!isInvocation(params)) throw new SidecarError(errorTable.invalid_params.code, "invalid_params", errorTable.invalid_params.message);
    const { id: callId, name, arguments: args, ...from } = params;
    const tool = this.#find(name);
    if (tool === undefined) throw new SidecarError(errorTable.method_not_found.code, "method_not_found", `The host has no tool named "${name}"`);
    return tool.run(args, { ...from, callId, signal });
  }

  async #unregister(tool: HostTool, timeoutMs: number): Promise<void> {
    const { name } = tool;
    if (this.#tools.get(name) !== tool) return;
    this.#tools.delete(name);
    try {
      await this.#wire.unregister({ names: [name] }, { timeoutMs });
    } catch (error) {
      // A sidecar that is gone has no tools of ours any more, and the next one is not told of this one.
      if (!(error instanceof SidecarError) || error.kind !== "transport_closed") throw error;
    }
  }

  /** The sidecar may have taken a tool although its answer was not waited for. */
  #withdraw(name: string, error: unknown, timeoutMs: number): void {
    const unheard = error instanceof SidecarError && (error.kind === "timeout" || error.kind === "cancelled");
    if (!unheard || this.#find(name) !== undefined) return;
    // Best effort: a call of a tool that is not there is answered with an error.
    this.#wire.unregister({ names: [name] }, { timeoutMs, background: true }).catch(() => undefined);
  }

  #find(name: string): HostTool | undefined {
    return this.#tools.get(name) ?? [...this.#offered].find((tool) => tool.name === name);
  }
}

function descriptionOf({ name, description, parameters, mode, timeoutMs }: HostTool): Omit<HostTool, "run"> {
  return {
    name,
    ...(description === undefined ? {} : { description }),
    ...(parameters === undefined ? {} : { parameters }),
    ...(mode === undefined ? {} : { mode }),
    ...(timeoutMs === undefined ? {} : { timeoutMs }),
  };
}

function descriptorOf({ mode, timeoutMs, run: _run, ...described }: HostTool): HostToolDescriptor {
  return { type: "function", function: described, ...(mode === undefined ? {} : { mode }), ...(timeoutMs === undefined ? {} : { timeoutMs }) };
}

/** What running rests on is checked; the rest is as the sidecar's own contract has it. */
function isInvocation(params: unknown): params is Invocation {
  return isRecord(params) && typeof params["id"] === "string" && typeof params["name"] === "string" && isRecord(params["arguments"]);
}
