import type { StoredGrant } from "../store.ts";
import { jsonCopy, wellFormed } from "../text.ts";

export class Grants {
  /** Oldest first. */
  private grants: StoredGrant[] = [];

  save({ tool, call, createdAt }: StoredGrant): void {
    const grant = { ...jsonCopy({ tool, createdAt }), call: call === undefined ? undefined : wellFormed(call) };
    if (!this.grants.some((known) => known.tool === grant.tool && known.call === grant.call)) this.grants.push(grant);
  }

  list(): StoredGrant[] {
    return this.grants.map((grant) => ({ ...grant }));
  }

  delete(tool: string | undefined): void {
    this.grants = tool === undefined ? [] : this.grants.filter((grant) => grant.tool !== wellFormed(tool));
  }
}
