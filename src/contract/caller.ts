/** Who asks, and what they may ask for. */

/** `read` looks, `write` changes what is the caller's own, `admin` sees and changes everything. None includes another. */
export const SCOPES = ["read", "write", "admin"] as const;
export type Scope = (typeof SCOPES)[number];

export interface Caller {
  /** What belongs to the caller belongs to this name. */
  readonly subject: string;
  readonly scopes: ReadonlySet<Scope>;
}

/** The host that has spawned us: it may do everything, and what it makes is its own. */
export const HOST: Caller = { subject: "local", scopes: new Set(SCOPES) };

export function isAdmin({ scopes }: Caller): boolean {
  return scopes.has("admin");
}
