import type { CallParams, HostRequestName, HostRequestParams, HostRequestResult } from "../contract/index.ts";
import { errorTable } from "../errors.ts";
import { VERSION } from "../version.ts";
import type { RequestHandler } from "./answers.ts";
import { SidecarError } from "./error.ts";
import type { HostToolDescriptor, HostTools } from "./host-tools.ts";
import { isRecord, type Peer } from "./peer.ts";

export type ApprovalRequest = HostRequestParams<"approval.request">;
type Approval = HostRequestResult<"approval.request">;
/** `{decision, reason}`, or the decision alone. */
export type ApprovalAnswer = Approval | Approval["decision"];

/** What the host has to say about itself, and what it can be asked beside running its tools. */
export interface HostOptions {
  /** Who the host is, for the sidecar's log. */
  clientInfo?: CallParams<"system.initialize">["clientInfo"] | undefined;
  /**
   * Decides about calls of tools that the policy wants to ask about. The signal is aborted when the answer
   * comes too late (`timeoutMs`) or the turn was cancelled. What it throws means no. Left out: they are all denied.
   */
  onApproval?: ((request: ApprovalRequest, call: { signal: AbortSignal }) => ApprovalAnswer | Promise<ApprovalAnswer>) | undefined;
}

export interface HostSettings extends HostOptions {
  tools: HostTools;
  /** Whether the host wants `stream.status`. */
  status: boolean;
  onFault(error: Error): void;
}

/** The host as the sidecar knows it: introduces itself, and answers requests. */
export class Host {
  readonly #settings: HostSettings;
  readonly #handlers: { readonly [R in HostRequestName]: ((params: unknown, signal: AbortSignal) => Promise<unknown>) | undefined };

  constructor(settings: HostSettings) {
    this.#settings = settings;
    this.#handlers = {
      "tool.invoke": (params, signal) => settings.tools.run(params, signal),
      "approval.request": settings.onApproval === undefined ? undefined : (params, signal) => this.#approve(params, signal),
    };
  }

  readonly answer: RequestHandler = (method, params, signal) => {
    const handler = Object.hasOwn(this.#handlers, method) ? this.#handlers[method as HostRequestName] : undefined;
    if (handler === undefined) throw new SidecarError(errorTable.method_not_found.code, "method_not_found", `The host does not answer ${method}`);
    return handler(params, signal);
  };

  /**
   * Tells a sidecar process that has just become ready who we are and which tools we have; hosts that asked
   * for nothing are not introduced. Rejects when the sidecar refuses it or does not answer in time.
   */
  async introduce(peer: Peer, timeoutMs: number): Promise<void> {
    const { clientInfo, onApproval, status, tools } = this.#settings;
    const descriptors = tools.descriptors;
    if (clientInfo !== undefined || onApproval !== undefined || status) {
      const introduction: CallParams<"system.initialize"> = {
        clientInfo: clientInfo ?? { name: "steerable-sidecar/client", version: VERSION },
        capabilities: { approvals: onApproval !== undefined, status, hostTools: descriptors.length > 0 },
      };
      await peer.request("system.initialize", introduction, { timeoutMs });
    }
    for (const tool of descriptors) await this.#registerAgain(tool, peer, timeoutMs);
  }

  /** One by one: of several in one request, one that is refused would take the others with it. */
  async #registerAgain(tool: HostToolDescriptor, peer: Peer, timeoutMs: number): Promise<void> {
    const params: CallParams<"tool.register"> = { tools: [tool] };
    try {
      await peer.request("tool.register", params, { timeoutMs });
    } catch (error) {
      if (!(error instanceof SidecarError) || error.kind === "timeout" || error.kind === "transport_closed") throw error;
      // Its name may belong to another tool by now, after a change of the configuration.
      this.#settings.onFault(error);
    }
  }

  async #approve(params: unknown, signal: AbortSignal): Promise<Approval> {
    // The sidecar builds its requests from the contract that these types come from.
    if (!isRecord(params)) throw new SidecarError(errorTable.invalid_params.code, "invalid_params", errorTable.invalid_params.message);
    try {
      const answer = await this.#settings.onApproval?.(params as ApprovalRequest, { signal });
      return typeof answer === "string" ? { decision: answer } : (answer as Approval);
    } catch (error) {
      // Denied without a trace otherwise: nobody in the host would learn why.
      if (!signal.aborted) this.#settings.onFault(error instanceof Error ? error : new Error("onApproval failed without saying why"));
      throw error;
    }
  }
}
