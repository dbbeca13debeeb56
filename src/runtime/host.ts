import * as z from "zod";
import { type HostRequestName, type HostRequestParams, type HostRequestResult, hostRequests, type Params } from "../contract/index.ts";
import { fail } from "../errors.ts";
import type { Log } from "../log.ts";

/** The way to the host: requests in the other direction. */
export interface HostChannel {
  request(method: string, params: { streamId?: string | undefined }, limits: AskLimits): Promise<unknown>;
}

export interface AskLimits {
  timeoutMs: number;
  signal: AbortSignal;
}

export interface HostCapabilities {
  hostTools: boolean;
  approvals: boolean;
  status: boolean;
}

/** Who has spawned us, as far as it has said so, and what it can be asked. */
export class Host {
  readonly #channel: HostChannel;
  readonly #log: Log;
  #hasTools = false;
  #capabilities: HostCapabilities = { hostTools: false, approvals: false, status: false };

  constructor(channel: HostChannel, log: Log) {
    this.#channel = channel;
    this.#log = log;
  }

  get capabilities(): HostCapabilities {
    return this.#capabilities;
  }

  announce({ clientInfo, capabilities }: Params<"system.initialize">): HostCapabilities {
    const { hostTools = this.#hasTools, approvals = false, status = false } = capabilities ?? {};
    this.#capabilities = { hostTools, approvals, status };
    this.#log.info({ host: clientInfo.name, hostVersion: clientInfo.version, ...this.#capabilities }, "the host has introduced itself");
    return this.#capabilities;
  }

  /** Registering tools says that they can be run. */
  announceTools(): void {
    this.#hasTools = true;
    this.#capabilities = { ...this.#capabilities, hostTools: true };
  }

  /**
   * Asks the host. Rejects with its own error (`PeerError`), `timeout`, `cancelled` or `transport_closed`,
   * and with `invalid_params` for an answer that does not fit the contract.
   */
  async ask<R extends HostRequestName>(name: R, params: HostRequestParams<R>, limits: AskLimits): Promise<HostRequestResult<R>> {
    const answer = await this.#channel.request(name, params, limits);
    const schema: z.ZodType = hostRequests[name].result;
    const parsed = schema.safeParse(answer);
    if (!parsed.success) throw fail("invalid_params", undefined, `The host's answer to ${name} does not fit: ${z.prettifyError(parsed.error).slice(0, 500)}`);
    // The schema is the one that this type comes from.
    return parsed.data as HostRequestResult<R>;
  }
}
