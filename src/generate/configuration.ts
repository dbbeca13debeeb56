/** The configuration keys and the limits, for protocol.md. */
import { startOnlyKeys } from "../contract/config.ts";
import { defaults } from "../contract/defaults.ts";
import type { JsonSchema } from "./definitions.ts";
import { fieldsOf, isSchema } from "./fields.ts";
import { table } from "./markdown.ts";

/** Every key that holds a value, with its default; `schema` refers to the shapes in it. */
export function configReference(schema: JsonSchema): string {
  return table(
    ["Key", "Type", "Default", "Meaning"],
    fieldsOf(schema)
      .filter(({ type }) => type !== "object")
      .map(({ path, type, required, meaning }) => {
        const { own, around } = schemasAt(schema, path);
        return [`\`${path}\``, type, required ? "(required)" : defaultText(own), meaningOf(path, meaning === "" ? (around.description ?? "") : meaning)];
      }),
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

/** What the schema says of a key (`tools.process[].name`, `prices.*.inputPerMTok`), and of the object that the key stands in. */
function schemasAt(schema: JsonSchema, path: string): { own: JsonSchema; around: JsonSchema } {
  let around: JsonSchema = {};
  let own = schema;
  for (const part of path.replaceAll("[]", ".[]").split(".")) {
    const property = part === "[]" ? own.items : part === "*" ? own.additionalProperties : own.properties?.[part];
    if (!isSchema(property)) throw new Error(`the configuration has no ${path}`);
    around = own;
    own = property;
  }
  return { own, around };
}

function defaultText({ default: value }: JsonSchema): string {
  return value === undefined ? "" : `\`${JSON.stringify(value)}\``;
}
