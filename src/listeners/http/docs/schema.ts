/** JSON Schema for people: types in words, and the fields of objects as a table. */
import type { Definitions, JsonSchema } from "../../../generate/definitions.ts";
import { isSchema } from "../../../generate/fields.ts";
import { componentName } from "../../../generate/openapi/schemas.ts";
import { breakable, type Content, type Html, html, inline, markdown } from "./html.ts";

/** Whether a client sends it, and has to know what it must say, or reads it, and has to know what may be absent. */
export type Direction = "sent" | "read";

/** All that there is to say of a schema: its type, its description, and its fields. Named schemas are looked up in `named`. */
export function schemaText(schema: JsonSchema, named: Definitions, direction: Direction): Html {
  const tables = objectsOf(schema, named).map((object, index) => [index === 0 ? undefined : html`<p class="or">or</p>`, fieldTable(object, direction)]);
  const { description } = schema;
  // A table says by itself that it is one of an object.
  const type = tables.length > 0 && schema.type === "object" ? undefined : html`<p class="type">${typeText(schema)}</p>`;
  return html`${type}${description === undefined ? undefined : markdown(description)}${tables}`;
}

/** A type in words; named ones are links. */
export function typeText(schema: JsonSchema): Content {
  const name = componentName(schema);
  if (name !== undefined) return html`<a href="#${schemaAnchor(name)}">${name}</a>`;
  if (schema.const !== undefined) return code(schema.const);
  if (schema.enum !== undefined) return joined(schema.enum.map(code), " | ");
  if (schema.allOf !== undefined) return joined(schema.allOf.map(typeText), " and ");
  const options = schema.anyOf ?? schema.oneOf;
  if (options !== undefined) return joined(distinct(options.map(typeText)), " or ");
  if (Array.isArray(schema.type))
    return joined(
      schema.type.map((type) => typeText({ ...schema, type })),
      " or ",
    );
  switch (schema.type) {
    case "array":
      return ["array of ", typeText(schemaAt(schema.items)), range(schema.minItems, schema.maxItems, "items")];
    case "object":
      return schema.properties === undefined && isSchema(schema.additionalProperties) ? ["map of ", typeText(schema.additionalProperties)] : "object";
    case "string":
      return [formats[schema.format ?? ""] ?? "string", range(schema.minLength, schema.maxLength, "characters")];
    case "integer":
    case "number":
      return [schema.type, range(unlessSafe(schema.minimum), unlessSafe(schema.maximum), "")];
    default:
      return schema.type ?? "any value";
  }
}

export function schemaAnchor(name: string): string {
  return `schema-${name}`;
}

interface Field {
  path: string;
  schema: JsonSchema;
  isRequired: boolean;
}

const formats: Readonly<Record<string, string>> = { "date-time": "date and time, UTC", uri: "URL", uuid: "UUID" };

function fieldTable(schema: JsonSchema, direction: Direction): Html {
  const rows = [...fieldsOf(schema, "")].map(
    ({ path, schema: field, isRequired }) =>
      html`<tr><th scope="row"><code>${breakable(path)}</code>${needMark(isRequired, direction)}<span>${typeText(field)}</span></th><td>${meaning(field)}</td></tr>`,
  );
  return html`<table><thead><tr><th scope="col">Field</th><th scope="col">Meaning</th></tr></thead><tbody>${rows}</tbody></table>`;
}

/** Says what is not to be expected: that a field has to be sent, or that it may not come. */
export function needMark(isRequired: boolean, direction: Direction): Html | undefined {
  if (direction === "sent") return isRequired ? html` <b class="need">required</b>` : undefined;
  return isRequired ? undefined : html` <small>not always</small>`;
}

function meaning({ description, default: value }: JsonSchema): Content {
  return [description === undefined ? undefined : inline(description), value === undefined ? undefined : [" Default: ", code(value), "."]];
}

/** The fields of an object; those of objects inside it follow with their path (`usage.input_tokens`, `items[].id`). */
function* fieldsOf({ properties = {}, required = [] }: JsonSchema, prefix: string): Generator<Field> {
  for (const [key, property] of Object.entries(properties)) {
    const schema = schemaAt(property);
    const path = prefix + key;
    yield { path, schema, isRequired: required.includes(key) };
    yield* fieldsInside(schema, path);
  }
}

function* fieldsInside(schema: JsonSchema, path: string): Generator<Field> {
  const inner = merged(schema.anyOf ?? [schema]);
  if (inner.properties !== undefined) yield* fieldsOf(inner, `${path}.`);
  else if (isSchema(inner.items)) yield* fieldsInside(inner.items, `${path}[]`);
  else if (isSchema(inner.additionalProperties)) yield* fieldsInside(inner.additionalProperties, `${path}.*`);
}

/** One object with the fields of all options, in which those are required that all of them require. */
function merged(options: readonly JsonSchema[]): JsonSchema {
  const objects = options.filter(({ properties }) => properties !== undefined);
  if (objects.length < 2) return objects[0] ?? options.find(({ type }) => type !== "null") ?? {};
  const names = [...new Set(objects.flatMap(({ properties = {} }) => Object.keys(properties)))];
  const required = names.filter((name) => objects.every((object) => object.required?.includes(name) === true));
  return { properties: Object.fromEntries(names.map((name) => [name, anyOf(objects.map(({ properties = {} }) => properties[name]))])), required };
}

function anyOf(schemas: readonly Parameters<typeof isSchema>[0][]): JsonSchema {
  const [first = {}, ...others] = schemas.filter(isSchema);
  return others.length === 0 ? first : { ...(first.description === undefined ? {} : { description: first.description }), anyOf: [first, ...others] };
}

/** The objects that a schema may be, or hold a list of. */
function objectsOf(schema: JsonSchema, named: Definitions): JsonSchema[] {
  const name = componentName(schema);
  const target = name === undefined ? schema : named[name];
  if (target === undefined) return [];
  const options = target.anyOf ?? target.oneOf;
  // Beside fields, options only say more about these.
  if (options !== undefined && target.properties === undefined) return options.flatMap((option) => objectsOf(option, named));
  if (isSchema(target.items)) return objectsOf(target.items, named);
  return Object.keys(target.properties ?? {}).length === 0 ? [] : [target];
}

/** What is absent or `true` allows anything. */
function schemaAt(schema: Parameters<typeof isSchema>[0]): JsonSchema {
  return isSchema(schema) ? schema : {};
}

function code(value: unknown): Html {
  return html`<code>${JSON.stringify(value)}</code>`;
}

function joined(parts: readonly Content[], separator: string): Content {
  return parts.map((part, index) => (index === 0 ? part : [separator, part]));
}

function distinct(parts: readonly Content[]): Content[] {
  return [...new Map(parts.map((part) => [String(html`${part}`), part])).values()];
}

function range(least: number | undefined, most: number | undefined, unit: string): string {
  const units = unit === "" ? "" : ` ${unit}`;
  if (least === 1 && most === undefined && unit !== "") return ", not empty";
  if (least !== undefined && most !== undefined) return `, ${least} to ${most}${units}`;
  if (most !== undefined) return `, at most ${most}${units}`;
  return least === undefined ? "" : `, at least ${least}${units}`;
}

/** What every integer of JSON keeps to anyway is not worth a word. */
function unlessSafe(bound: number | undefined): number | undefined {
  return bound !== undefined && Math.abs(bound) < Number.MAX_SAFE_INTEGER ? bound : undefined;
}
