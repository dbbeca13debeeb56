import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Scope } from "../../src/contract/caller.ts";
import { keysFor } from "./completions.ts";
import { temporaryFolder } from "./sidecar.ts";

export { keyOf } from "./completions.ts";

export type Subjects = Readonly<Record<string, readonly (Scope | "*")[]>>;

/** Writes a configuration with a key for each of `subjects`, and `api` and `more` beside them. Gives the flags that name it. */
export async function configFile(subjects: Subjects, api: Record<string, unknown> = {}, more: Record<string, unknown> = {}): Promise<string[]> {
  const keys = await keysFor(subjects);
  const auth = keys.length === 0 ? {} : { auth: { keys } };
  // JSON is YAML.
  const file = join(temporaryFolder(), "config.yaml");
  writeFileSync(file, JSON.stringify({ ...more, api: { ...auth, ...api } }));
  return ["--config", file];
}
