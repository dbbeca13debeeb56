/** The contract's zod schemas as JSON Schema 2020-12 definitions that refer to each other by name. */
import { isDeepStrictEqual } from "node:util";
import * as z from "zod";
import { Config } from "../contract/config.ts";
import { hostRequests, methods, notifications } from "../contract/index.ts";
import { shapes } from "./shapes.ts";

export type JsonSchema = z.core.JSONSchema.BaseSchema;
export type Definitions = Record<string, JsonSchema>;

/** Shapes by their name, then `<method>.params`, `<notification>.params` and `<method>.result`, and the same of requests to the host (see `hostName`). */
export function contractDefinitions(): Definitions {
  const entries = Object.entries(methods);
  const accepted = new Map<string, z.ZodType>(entries.map(([name, entry]) => [`${name}.params`, entry.params]));
  for (const [name, entry] of Object.entries(notifications)) accepted.set(`${name}.params`, entry.params);
  for (const [name, entry] of Object.entries(hostRequests)) {
    accepted.set(`${hostName(name)}.params`, entry.params);
    accepted.set(`${hostName(name)}.result`, entry.result);
  }
  const answered = new Map<string, z.ZodType>(entries.map(([name, entry]) => [`${name}.result`, entry.result]));
  const input = definitions(accepted, "input");
  const output = definitions(answered, "output");
  for (const [name, schema] of Object.entries(output)) {
    // A shape with defaults would look different to its writer and to its reader, and needs a name for each.
    if (name in shapes && !isDeepStrictEqual(schema, input[name])) throw new Error(`the shape ${name} is not the same in params and in results`);
  }
  return { ...pick(input, Object.keys(shapes)), ...pick(input, [...accepted.keys()]), ...pick(output, [...answered.keys()]) };
}

/** What a request to the host is called in `$defs`: a method may have the same name. */
export function hostName(name: string): string {
  return `host:${name}`;
}

/** The configuration with references to the shapes in it, for the table of its keys. */
export function linkedConfig(): JsonSchema {
  const { config } = definitions(new Map([["config", Config]]), "input");
  if (config === undefined) throw new Error("no schema was made for the configuration");
  return config;
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
  return mapValues(out, (schema, id) => (id in shapes ? schema : extending(schema, out)));
}

/** An object that has all fields of a shape and more refers to the shape, and keeps only what it adds. */
function extending(schema: JsonSchema, defs: Definitions): JsonSchema {
  const inner = mapSchemas(schema, (part) => extending(part, defs));
  const { properties, required = [], ...rest } = inner;
  if (properties === undefined) return inner;
  for (const name of Object.keys(shapes)) {
    const shape = defs[name];
    const own = Object.entries(shape?.properties ?? {});
    if (own.length === 0 || own.length >= Object.keys(properties).length) continue;
    if (!own.every(([key, property]) => isDeepStrictEqual(properties[key], property))) continue;
    if (shape?.required?.some((key) => !required.includes(key)) === true) continue;
    const added = Object.entries(properties).filter(([key]) => shape?.properties?.[key] === undefined);
    const needed = required.filter((key) => added.some(([addedKey]) => addedKey === key));
    const { additionalProperties: _, ...facts } = rest;
    return { ...facts, allOf: [ref(name)], properties: Object.fromEntries(added), ...(needed.length === 0 ? {} : { required: needed }) };
  }
  return inner;
}

/** The same schema with `map` applied to those of its fields, items and options. */
function mapSchemas(schema: JsonSchema, map: (part: JsonSchema) => JsonSchema): JsonSchema {
  const { properties, items, anyOf } = schema;
  return {
    ...schema,
    ...(properties === undefined ? {} : { properties: mapValues(properties, (part) => (typeof part === "object" ? map(part) : part)) }),
    ...(typeof items === "object" && !Array.isArray(items) ? { items: map(items) } : {}),
    ...(anyOf === undefined ? {} : { anyOf: anyOf.map(map) }),
  };
}

function mapValues<T, U>(object: Record<string, T>, map: (value: T, key: string) => U): Record<string, U> {
  return Object.fromEntries(Object.entries(object).map(([key, value]) => [key, map(value, key)]));
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
