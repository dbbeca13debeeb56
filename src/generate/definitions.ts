/** The contract's zod schemas as JSON Schema 2020-12 definitions that refer to each other by name. */
import { isDeepStrictEqual } from "node:util";
import * as z from "zod";
import { methods, notifications } from "../contract/index.ts";
import { shapes } from "./shapes.ts";

export type JsonSchema = z.core.JSONSchema.BaseSchema;
export type Definitions = Record<string, JsonSchema>;

/** Shapes by their name, then `<method>.params`, `<notification>.params` and `<method>.result`. */
export function contractDefinitions(): Definitions {
  const entries = Object.entries(methods);
  const accepted = new Map<string, z.ZodType>(entries.map(([name, entry]) => [`${name}.params`, entry.params]));
  for (const [name, entry] of Object.entries(notifications)) accepted.set(`${name}.params`, entry.params);
  const answered = new Map<string, z.ZodType>(entries.map(([name, entry]) => [`${name}.result`, entry.result]));
  const input = definitions(accepted, "input");
  const output = definitions(answered, "output");
  for (const [name, schema] of Object.entries(output)) {
    // A shape with defaults would look different to its writer and to its reader, and needs a name for each.
    if (name in shapes && !isDeepStrictEqual(schema, input[name])) throw new Error(`the shape ${name} is not the same in params and in results`);
  }
  return { ...pick(input, Object.keys(shapes)), ...pick(input, [...accepted.keys()]), ...pick(output, [...answered.keys()]) };
}

/** A reference into `$defs`: a JSON pointer (RFC 6901), in which the slash of `$/cancelRequest` is escaped. */
export function ref(name: string): JsonSchema {
  return { $ref: `${DEFINITION}${name.replaceAll("~", "~0").replaceAll("/", "~1")}` };
}

/** The name in `$defs` that a reference points to. */
export function refName(schema: JsonSchema): string | undefined {
  if (schema.$ref?.startsWith(DEFINITION) !== true) return undefined;
  return schema.$ref.slice(DEFINITION.length).replaceAll("~1", "/").replaceAll("~0", "~");
}

/** Keeps a schema from saying more than the contract does. */
export function tidy({ zodSchema, jsonSchema }: { zodSchema: z.core.$ZodTypes; jsonSchema: JsonSchema }): void {
  // Readers of results ignore keys that they do not know, unless the contract closes the object.
  if (zodSchema instanceof z.ZodObject && zodSchema.def.catchall === undefined && jsonSchema.additionalProperties === false)
    delete jsonSchema.additionalProperties;
  if (!(zodSchema instanceof z.ZodRecord)) return;
  if (isDeepStrictEqual(jsonSchema.propertyNames, { type: "string" })) delete jsonSchema.propertyNames;
  if (isDeepStrictEqual(jsonSchema.additionalProperties, {})) delete jsonSchema.additionalProperties;
}

const DEFINITION = "#/$defs/";
/** Shapes that the contract changes as it takes them in: hosts send them, and are never sent them. */
const onlyAccepted = new Set<string>(["ChatMessage"]);

/** All `named` schemas and all shapes, with references to the shapes. */
function definitions(named: ReadonlyMap<string, z.ZodType>, io: "input" | "output"): Definitions {
  const registry = z.registry<{ id: string }>();
  for (const [id, shape] of Object.entries<z.ZodType>(shapes)) if (io === "input" || !onlyAccepted.has(id)) registry.add(shape, { id });
  // Wrapped, because one schema may be the params of several methods, and nothing shall refer to those.
  for (const [id, content] of named) registry.add(z.object({ content }), { id });
  const { schemas } = z.toJSONSchema(registry, { io, uri: (id) => `${DEFINITION}${id}`, override: tidy });
  const out: Definitions = {};
  for (const [id, { $schema: _dialect, $id: _id, ...schema }] of Object.entries<JsonSchema>(schemas)) {
    if (id === "__shared") throw new Error("a schema of the contract refers to itself without having a name");
    const content = named.has(id) ? schema.properties?.["content"] : schema;
    if (typeof content !== "object") throw new Error(`${id} has no schema`);
    out[id] = content;
  }
  return out;
}

function pick(from: Definitions, names: readonly string[]): Definitions {
  return Object.fromEntries(
    names.map((name) => {
      const schema = from[name];
      if (schema === undefined) throw new Error(`no schema was made for ${name}`);
      return [name, schema];
    }),
  );
}
