import type { Grant } from "../../contract/tool.ts";
import type { Store } from "../../store/store.ts";
import { canonicalJson } from "../canonical.ts";
import type { CallFacts } from "./policy.ts";

/** What `allow_session` is remembered for: the session, and outside of one the turn. */
export type GrantScope = { sessionId: string } | { streamId: string };

/** A call that somebody may have allowed before. */
export interface GrantedCall {
  facts: CallFacts;
  arguments: Record<string, unknown>;
  scope: GrantScope;
}

/** What people have allowed beyond a single call: for a session or turn in memory, for good in the store. */
export class Grants {
  readonly #store: () => Promise<Store>;
  readonly #now: () => number;
  readonly #ofScopes = new Map<string, Set<string>>();

  constructor(store: () => Promise<Store>, now: () => number) {
    this.#store = store;
    this.#now = now;
  }

  /** The store is asked each time: another process may have given leave, or taken it back. */
  async covers(call: GrantedCall): Promise<boolean> {
    const key = keyOf(call.facts.tool, callText(call));
    if (this.#ofScopes.get(nameOf(call.scope))?.has(key) === true) return true;
    return (await (await this.#store()).listGrants()).some((grant) => keyOf(grant.tool, grant.call) === key);
  }

  async remember(call: GrantedCall, decision: "allow_session" | "allow_always"): Promise<void> {
    const { facts, scope } = call;
    if (decision === "allow_always") {
      await (await this.#store()).saveGrant({ tool: facts.tool, call: callText(call), createdAt: new Date(this.#now()).toISOString() });
      return;
    }
    const keys = this.#ofScopes.get(nameOf(scope)) ?? new Set();
    this.#ofScopes.set(nameOf(scope), keys.add(keyOf(facts.tool, callText(call))));
  }

  /** The session or turn is gone. */
  forget(scope: GrantScope): void {
    this.#ofScopes.delete(nameOf(scope));
  }

  async list(): Promise<Grant[]> {
    const stored = await (await this.#store()).listGrants();
    return stored.map(({ tool, call, createdAt }) => ({ tool, ...(call === undefined ? {} : { call }), createdAt }));
  }

  /** Of one tool, or all of them. */
  async revoke(tool: string | undefined): Promise<void> {
    if (tool === undefined) this.#ofScopes.clear();
    for (const keys of this.#ofScopes.values()) for (const key of keys) if (toolOf(key) === tool) keys.delete(key);
    await (await this.#store()).deleteGrants(tool);
  }
}

/** A host may give a stream the name of a session. */
function nameOf(scope: GrantScope): string {
  return "sessionId" in scope ? `session ${scope.sessionId}` : `stream ${scope.streamId}`;
}

function keyOf(tool: string, call: string | undefined): string {
  return JSON.stringify([tool, call ?? null]);
}

function toolOf(key: string): unknown {
  const [tool] = JSON.parse(key) as unknown[];
  return tool;
}

/** Leave for a dangerous call is leave for exactly that call. */
function callText({ facts, arguments: args }: GrantedCall): string | undefined {
  return facts.mode === "destructive" ? canonicalJson(args) : undefined;
}
