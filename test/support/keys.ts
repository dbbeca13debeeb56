import { hash } from "@node-rs/argon2";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Scope } from "../../src/contract/caller.ts";
import { temporaryFolder } from "./sidecar.ts";

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

/** Keys for `api.auth.keys`, each named like its subject; weak hashes, so that they cost no time. */
export async function keysFor(subjects: Record<string, readonly string[]>): Promise<{ subject: string; key_hash: string; scopes: readonly string[] }[]> {
  const options = { algorithm: 2, memoryCost: 64, timeCost: 1, parallelism: 1 };
  return Promise.all(Object.entries(subjects).map(async ([subject, scopes]) => ({ subject, key_hash: await hash(keyOf(subject), options), scopes })));
}

export const keyOf = (subject: string) => `key-of-${subject}`;
