/** The configuration keys and the limits, for protocol.md. */
import { startOnlyKeys } from "../contract/config.ts";
import { defaults } from "../contract/defaults.ts";
import type { JsonSchema } from "./definitions.ts";
import { fieldsOf } from "./fields.ts";
import { table } from "./markdown.ts";

/** Every key that holds a value, with its default. */
export function configReference(schema: JsonSchema): string {
  return table(
    ["Key", "Type", "Default", "Meaning"],
    fieldsOf(schema)
      .filter(({ type }) => type !== "object")
      .map(({ path, type, meaning }) => [`\`${path}\``, type, defaultText(schema, path.split(".")), meaningOf(path, meaning)]),
  );
}

/** What the wire takes at most. */
export function limitsReference(): string {
  const { frameBytes, depth, inFlight, outboundBytes } = defaults.limits;
  return table(
    ["Limit", "Default", "Beyond it"],
    [
      ["`frameBytes`: length of a line in bytes, without its newline", `${frameBytes}`, "the line is skipped and answered with -32600, `id` null"],
      ["`depth`: how deep arrays and objects nest", `${depth}`, "-32600, with the `id` of the request"],
      ["`inFlight`: requests without an answer, and frames in one batch", `${inFlight}`, "-32005 `overloaded` for a request, -32600 for a batch"],
      ["`outboundBytes`: what waits for a host that does not read stdout", `${outboundBytes}`, "the sidecar stops reading stdin until half of it was taken"],
    ],
  );
}

function meaningOf(path: string, meaning: string): string {
  const startOnly = startOnlyKeys.some((key) => path === key || path.startsWith(`${key}.`));
  return startOnly && !meaning.includes(START_ONLY) ? `${meaning} ${START_ONLY}`.trim() : meaning;
}

/** For keys that `config.set` refuses; some say it themselves. */
const START_ONLY = "Only at start.";

function defaultText(schema: JsonSchema, path: readonly string[]): string {
  let at: JsonSchema | undefined = schema;
  for (const key of path) {
    const property: JsonSchema | boolean | undefined = at?.properties?.[key];
    at = typeof property === "object" ? property : undefined;
  }
  return at?.default === undefined ? "" : `\`${JSON.stringify(at.default)}\``;
}
