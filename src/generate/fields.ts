/** JSON Schema in words: types, and the fields of objects, for the tables of protocol.md. */
import { type JsonSchema, refName } from "./definitions.ts";
import { linkTo, table } from "./markdown.ts";

/** A field of an object; those of objects inside it follow with their path (`limits.depth`, `items[].id`). */
export interface Field {
  path: string;
  type: string;
  required: boolean;
  meaning: string;
}

/** The fields of an object schema, or of the object that it may be `null` instead of. */
export function fieldsOf(schema: JsonSchema): Field[] {
  return [...walk(withoutNull(schema), "")];
}

/** `need` heads the column that says yes or no: "Required" for what is sent, "Always" for what is received. */
export function fieldTable(fields: readonly Field[], need: string): string {
  return table(
    ["Field", "Type", need, "Meaning"],
    fields.map(({ path, type, required, meaning }) => [`\`${path}\``, type, required ? "yes" : "no", meaning]),
  );
}

/** A type as a reader of any language knows it; named shapes are links. */
export function typeText(schema: JsonSchema): string {
  const name = refName(schema);
  if (name !== undefined) return linkTo(name);
  if (schema.const !== undefined) return `\`${JSON.stringify(schema.const)}\``;
  if (schema.enum !== undefined) return schema.enum.map((value) => `\`${JSON.stringify(value)}\``).join(", ");
  if (schema.allOf !== undefined) return `${schema.allOf.map(typeText).join(" and ")} with further fields`;
  const options = schema.anyOf ?? schema.oneOf;
  if (options !== undefined) return [...new Set(options.flatMap(alternatives).map(typeText))].join(" or ");
  if (Array.isArray(schema.type)) return schema.type.map((type) => typeText({ ...schema, type })).join(" or ");
  switch (schema.type) {
    case "array":
      return `array of ${typeText(schemaOf(schema.items))}${bounds(schema.minItems, schema.maxItems, "")}`;
    case "object":
      return schema.properties === undefined && isSchema(schema.additionalProperties) ? recordText(typeText(schema.additionalProperties)) : "object";
    case "string":
      return `string${format(schema)}${bounds(schema.minLength, schema.maxLength, "characters")}`;
    case "integer":
    case "number":
      return `${schema.type}${bounds(unlessSafe(schema.minimum), unlessSafe(schema.maximum), "")}`;
    case undefined:
      return "anything";
    default:
      return schema.type;
  }
}

function recordText(values: string): string {
  return values === "object" ? "object of objects" : `object with ${values} values`;
}

function* walk(schema: JsonSchema, prefix: string): Generator<Field> {
  const required = new Set(schema.required);
  for (const [key, property] of Object.entries(schema.properties ?? {})) {
    const field = schemaOf(property);
    const path = prefix + key;
    yield { path, type: typeText(field), required: required.has(key), meaning: field.description ?? "" };
    yield* inside(withoutNull(field), path);
  }
}

/** The fields of what a field holds, unless that has a name and so a table of its own. */
function* inside(schema: JsonSchema, path: string): Generator<Field> {
  if (schema.type === "array") yield* inside(withoutNull(schemaOf(schema.items)), `${path}[]`);
  else if (schema.properties !== undefined) yield* walk(schema, `${path}.`);
  else if (isSchema(schema.additionalProperties)) yield* inside(schema.additionalProperties, `${path}.*`);
}

/** The one option that is not null, where there is only one. */
function withoutNull(schema: JsonSchema): JsonSchema {
  const options = schema.anyOf?.filter((option) => option.type !== "null");
  return options?.length === 1 && options[0] !== undefined ? withoutNull(options[0]) : schema;
}

function alternatives(schema: JsonSchema): JsonSchema[] {
  return schema.anyOf === undefined ? [schema] : schema.anyOf.flatMap(alternatives);
}

function format(schema: JsonSchema): string {
  if (schema.format === "date-time") return " (time in UTC: `2026-01-01T10:00:00.000Z`)";
  return schema.format === "uri" ? " (URL)" : "";
}

function bounds(least: number | undefined, most: number | undefined, unit: string): string {
  const units = unit === "" ? "" : ` ${unit}`;
  if (least === 1 && most === undefined && unit !== "") return " (not empty)";
  if (least !== undefined && most !== undefined) return ` (${least} to ${most}${units})`;
  if (most !== undefined) return ` (at most ${most}${units})`;
  return least === undefined ? "" : ` (at least ${least}${units})`;
}

/** What every integer of JSON keeps to anyway is not worth a word. */
function unlessSafe(bound: number | undefined): number | undefined {
  return bound !== undefined && Math.abs(bound) < Number.MAX_SAFE_INTEGER ? bound : undefined;
}

/** False for `true`, `false` and what is absent. */
export function isSchema(schema: SchemaPosition): schema is JsonSchema {
  return typeof schema === "object" && !Array.isArray(schema);
}

/** `true` and an absent schema both allow anything. */
function schemaOf(schema: SchemaPosition): JsonSchema {
  return isSchema(schema) ? schema : {};
}

/** What may stand where a schema is expected; arrays come from `items` of older drafts. */
type SchemaPosition = JsonSchema | boolean | readonly (JsonSchema | boolean)[] | undefined;
