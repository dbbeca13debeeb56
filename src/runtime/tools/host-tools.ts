import { WireError } from "../../errors.ts";
import { messageOf } from "../../tools/result.ts";
import { type HostToolDescriptor, type HostToolMaker, type RunOnHost, ToolFailure } from "../../tools/tool.ts";
import type { Host } from "../host.ts";
import { UNKNOWN_OUTCOME } from "./invocation.ts";
import type { ToolRegistry } from "./registry.ts";

/** The tools that the host has registered: run by asking it. */
export class HostTools {
  readonly #registry: ToolRegistry;
  readonly #host: Host;
  readonly #make: HostToolMaker;

  constructor(registry: ToolRegistry, host: Host, make: HostToolMaker) {
    this.#registry = registry;
    this.#host = host;
    this.#make = make;
  }

  /** Names of all tools of the host. Throws `invalid_params`, and then takes none. */
  register(descriptors: readonly HostToolDescriptor[]): string[] {
    const names = this.#registry.register(descriptors.map((descriptor) => this.#make(descriptor, this.#run)));
    this.#host.announceTools();
    return names;
  }

  unregister(names: readonly string[] | undefined): string[] {
    return this.#registry.unregister(names);
  }

  readonly #run: RunOnHost = async ({ name, arguments: args }, { signal, callId, timeoutMs, streamId, sessionId }) => {
    const mode = this.#registry.modeOfHostTool(name);
    // A turn goes on with the tools that it began with.
    if (mode === undefined) throw new ToolFailure("The host has taken this tool back", "unavailable");
    const from = { ...(streamId === undefined ? {} : { streamId }), ...(sessionId === undefined ? {} : { sessionId }) };
    try {
      return await this.#host.ask("tool.invoke", { id: callId, name, arguments: args, timeoutMs, ...from }, { timeoutMs, signal });
    } catch (error) {
      if (!(error instanceof WireError)) throw new ToolFailure(messageOf(error));
      // The host was asked, and may have done it before it went away.
      if (error.data?.["sent"] === true && mode !== "read") return UNKNOWN_OUTCOME;
      throw new ToolFailure(error.message, error.errorName === "transport_closed" ? "unavailable" : error.errorName === "timeout" ? "timeout" : "tool_failed");
    }
  };
}
