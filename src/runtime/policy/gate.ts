import type { Config } from "../../contract/config.ts";
import { fail, WireError } from "../../errors.ts";
import type { Log } from "../../log.ts";
import { messageOf } from "../../tools/result.ts";
import type { Host } from "../host.ts";
import type { GrantedCall, Grants, GrantScope } from "./grants.ts";
import { type CallFacts, judge } from "./policy.ts";

/** A call of a model that wants to run. */
export interface Applicant {
  facts: CallFacts;
  call: { id: string; name: string; arguments: Record<string, unknown> };
  streamId: string;
  sessionId: string | undefined;
  /** Told before the host is asked, with the milliseconds that it may take. */
  onAsk(timeoutMs: number): void;
}

/** `asked`: somebody was asked, or should have been. */
export interface Admission {
  allowed: boolean;
  asked: boolean;
  /** For people, the trace and, where it was denied, the model. */
  reason: string;
}

/** The gate in front of every call of a model: rules first, then what was allowed before, then the host. */
export class Gate {
  readonly #policy: () => Config["policy"];
  readonly #grants: Grants;
  readonly #host: Host;
  readonly #log: Log;

  constructor(policy: () => Config["policy"], grants: Grants, host: Host, log: Log) {
    this.#policy = policy;
    this.#grants = grants;
    this.#host = host;
    this.#log = log;
  }

  /** Rejects with `cancelled` when `signal` is aborted while the host is asked; with `storage` when what was allowed before cannot be read. */
  async admit(applicant: Applicant, signal: AbortSignal): Promise<Admission> {
    const { facts } = applicant;
    const policy = this.#policy();
    const verdict = judge(policy, facts);
    if (verdict.decision !== "ask") return { allowed: verdict.decision === "allow", asked: false, reason: verdict.reason };
    const granted = { facts, arguments: applicant.call.arguments, scope: scopeOf(applicant) };
    if (await this.#grants.covers(granted)) return { allowed: true, asked: false, reason: "it was allowed before" };
    if (!this.#host.capabilities.approvals) {
      return { allowed: false, asked: true, reason: `${verdict.reason}, and nobody can be asked: the host has not announced approvals` };
    }
    const timeoutMs = policy.approvalTimeoutMs;
    applicant.onAsk(timeoutMs);
    const { decision, reason } = await this.#ask(applicant, verdict.reason, timeoutMs, signal);
    // The answer of somebody who has stopped the turn in the same breath is leave for nothing.
    if (signal.aborted) throw fail("cancelled");
    if (decision === "deny") return { allowed: false, asked: true, reason: reason ?? "the user has denied it" };
    // The rules may have changed while somebody thought about it.
    const now = judge(this.#policy(), facts);
    if (now.decision === "deny") return { allowed: false, asked: true, reason: now.reason };
    if (decision !== "allow") await this.#remember(granted, decision);
    return { allowed: true, asked: true, reason: `the host answered ${decision}` };
  }

  /** Leave that cannot be kept is leave all the same, for this call. */
  async #remember(granted: GrantedCall, decision: "allow_session" | "allow_always"): Promise<void> {
    try {
      await this.#grants.remember(granted, decision);
    } catch (error) {
      this.#log.warn({ error, tool: granted.facts.tool }, "what the host has allowed could not be kept");
    }
  }

  async #ask({ facts, call, streamId, sessionId }: Applicant, reason: string, timeoutMs: number, signal: AbortSignal) {
    const params = { streamId, ...(sessionId === undefined ? {} : { sessionId }), call, mode: facts.mode, reason, timeoutMs };
    try {
      return await this.#host.ask("approval.request", params, { timeoutMs, signal });
    } catch (error) {
      if (error instanceof WireError && error.errorName === "cancelled") throw error;
      const late = error instanceof WireError && error.errorName === "timeout";
      if (!late) this.#log.warn({ error, tool: call.name, streamId }, "the host could not be asked for approval");
      return { decision: "deny" as const, reason: late ? `nobody answered within ${timeoutMs} ms` : `the host could not be asked: ${messageOf(error)}` };
    }
  }
}

function scopeOf({ sessionId, streamId }: Applicant): GrantScope {
  return sessionId === undefined ? { streamId } : { sessionId };
}
