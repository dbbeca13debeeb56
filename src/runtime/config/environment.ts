import { nearest } from "../../nearest.ts";
import { type Layer, withValue } from "./layers.ts";
import { type Leaf, leaves, readText } from "./schema.ts";
import { ConfigError } from "./source.ts";

const PREFIX = "STEERABLE_";

/** `providers.openai.apiKey` is set with `STEERABLE_PROVIDERS_OPENAI_API_KEY`. */
export function variableOf(path: readonly string[]): string {
  return PREFIX + path.map((key) => key.replace(/([a-z0-9])([A-Z])/g, "$1_$2").toUpperCase()).join("_");
}

/**
 * What the environment says. Every key with a single value has a variable. One that cannot be read is
 * a `ConfigError`; one that belongs to no key only a warning, because hosts keep their own under the
 * same prefix. An empty one says nothing.
 */
export function readEnvironment(env: Readonly<Record<string, string | undefined>>): { layer: Layer; warnings: string[] } {
  let layer: Layer = {};
  const warnings: string[] = [];
  for (const [name, value] of Object.entries(env)) {
    if (!name.startsWith(PREFIX) || value === undefined || value === "" || elsewhere.has(name)) continue;
    const leaf = byVariable.get(name);
    if (leaf === undefined) {
      const close = nearest(
        name.slice(PREFIX.length),
        [...byVariable.keys()].map((known) => known.slice(PREFIX.length)),
      );
      warnings.push(`the variable ${name} is ignored: it belongs to no key${close === undefined ? "" : ` (did you mean ${PREFIX}${close}?)`}`);
      continue;
    }
    const read = readText(leaf, value);
    if ("reason" in read) throw new ConfigError(`the variable ${name} has a bad value: ${read.reason}`);
    layer = withValue(layer, leaf.path, read.value);
  }
  return { layer, warnings };
}

/** Read by others: the token of the HTTP listener is no part of the configuration, which `config.get` shows. */
const elsewhere: ReadonlySet<string> = new Set(["STEERABLE_AUTH_TOKEN"]);

const byVariable = new Map<string, Leaf>(leaves.map((leaf) => [variableOf(leaf.path), leaf]));
