import type { Grant } from "../../contract/tool.ts";
import type { Store } from "../../store/store.ts";
import { canonicalJson } from "../canonical.ts";
import type { CallFacts } from "./policy.ts";

/** A call that somebody may have allowed before. */
export interface GrantedCall {
  facts: CallFacts;
  arguments: Record<string, unknown>;
  /** What `allow_session` is remembered for: the session, else the stream. */
  scope: string;
}

/** What people have allowed beyond a single call: for a session in memory, for good in the store. */
export class Grants {
  readonly #store: () => Promise<Store>;
  readonly #now: () => number;
  readonly #ofScopes = new Map<string, Set<string>>();
  /** Loaded on first use. */
  #forGood: Promise<Set<string>> | undefined;

  constructor(store: () => Promise<Store>, now: () => number) {
    this.#store = store;
    this.#now = now;
  }

  async covers(call: GrantedCall): Promise<boolean> {
    const key = keyOf(call);
    return this.#ofScopes.get(call.scope)?.has(key) === true || (await this.#loaded()).has(key);
  }

  async remember(call: GrantedCall, decision: "allow_session" | "allow_always"): Promise<void> {
    const key = keyOf(call);
    if (decision === "allow_session") {
      const keys = this.#ofScopes.get(call.scope) ?? new Set();
      this.#ofScopes.set(call.scope, keys.add(key));
      return;
    }
    const forGood = await this.#loaded();
    const grant = { tool: call.facts.tool, call: callText(call), createdAt: new Date(this.#now()).toISOString() };
    await (await this.#store()).saveGrant(grant);
    forGood.add(key);
  }

  /** A stream that had no session, or a session, is gone. */
  forget(scope: string): void {
    this.#ofScopes.delete(scope);
  }

  async list(): Promise<Grant[]> {
    const stored = await (await this.#store()).listGrants();
    return stored.map(({ tool, call, createdAt }) => ({ tool, ...(call === undefined ? {} : { call }), createdAt }));
  }

  /** Of one tool, or all of them. */
  async revoke(tool: string | undefined): Promise<void> {
    await (await this.#store()).deleteGrants(tool);
    this.#forGood = undefined;
    if (tool === undefined) this.#ofScopes.clear();
    for (const keys of this.#ofScopes.values()) for (const key of keys) if (toolOf(key) === tool) keys.delete(key);
  }

  #loaded(): Promise<Set<string>> {
    this.#forGood ??= this.#load();
    return this.#forGood;
  }

  async #load(): Promise<Set<string>> {
    try {
      return new Set((await (await this.#store()).listGrants()).map(({ tool, call }) => JSON.stringify([tool, call ?? null])));
    } catch (error) {
      // The next call tries again.
      this.#forGood = undefined;
      throw error;
    }
  }
}

function keyOf(call: GrantedCall): string {
  return JSON.stringify([call.facts.tool, callText(call) ?? null]);
}

function toolOf(key: string): unknown {
  const [tool] = JSON.parse(key) as unknown[];
  return tool;
}

/** Leave for a dangerous call is leave for exactly that call. */
function callText({ facts, arguments: args }: GrantedCall): string | undefined {
  return facts.mode === "destructive" ? canonicalJson(args) : undefined;
}
