/** The reference part of protocol.md: methods, notifications, requests to the host and shapes, straight from the contract. */
import { hostRequests, methods, notifications } from "../contract/index.ts";
import type { ErrorName } from "../errors.ts";
import { type Definitions, hostName, type JsonSchema, refName } from "./definitions.ts";
import { type Direction, directionsOf } from "./directions.ts";
import { errorsOf } from "./errors.ts";
import { fieldsOf, fieldTable, typeText } from "./fields.ts";
import { exchange, linkTo, table, wire } from "./markdown.ts";
import { shapes } from "./shapes.ts";

/** One section for each method: what it does, params, result, errors, order, and an example as it goes over the wire. */
export function methodSections(defs: Definitions): string {
  return Object.values<MethodFacts>(methods)
    .map((method, index) => {
      const id = index + 1;
      const { params, result } = method.example;
      return [
        `### ${method.name}`,
        method.summary,
        described(defs, `${method.name}.params`, "Params", "Required"),
        described(defs, `${method.name}.result`, "Result", "Always"),
        `**Errors**: ${errorsOf(method.errors)}.`,
        ...(method.concurrency === undefined ? [] : [`**Order**: ${method.concurrency.description}.`]),
        wire({ jsonrpc: "2.0", id, method: method.name, ...(params === undefined ? {} : { params }) }, { jsonrpc: "2.0", id, result }),
      ].join("\n\n");
    })
    .join("\n\n");
}

/** One line for each method, to find one's way. */
export function methodList(): string {
  return table(
    ["Method", "What it does", "Scope"],
    Object.values<MethodFacts>(methods).map(({ name, summary, scope }) => [linkTo(name), firstSentence(summary), `\`${scope}\``]),
  );
}

export function notificationSections(defs: Definitions): string {
  return Object.values<NotificationFacts>(notifications)
    .map((entry) => {
      const { name, summary, example } = entry;
      const directions = directionsOf(entry);
      return [
        `### ${name}`,
        `${directions.length > 1 ? "Both ways." : directions.includes("toHost") ? "Sidecar to host." : "Host to sidecar."} ${summary}`,
        described(defs, `${name}.params`, "Params", directions.includes("toSidecar") ? "Required" : "Always"),
        wire({ jsonrpc: "2.0", method: name, params: example.params }),
      ].join("\n\n");
    })
    .join("\n\n");
}

/** One section for each request of the sidecar to the host, with an example in which the host answers. */
export function hostRequestSections(defs: Definitions): string {
  return Object.values<HostRequestFacts>(hostRequests)
    .map(({ name, summary, example }, index) => {
      const id = `srv_${index + 1}`;
      return [
        `### ${hostName(name)}`,
        summary,
        described(defs, `${hostName(name)}.params`, "Params", "Always"),
        described(defs, `${hostName(name)}.result`, "Result", "Required"),
        exchange(
          { from: "sidecar", frame: { jsonrpc: "2.0", id, method: name, params: example.params } },
          { from: "host", frame: { jsonrpc: "2.0", id, result: example.result } },
        ),
      ].join("\n\n");
    })
    .join("\n\n");
}

export function shapeSections(defs: Definitions): string {
  return Object.keys(shapes)
    .filter((name) => !isNothing(definition(defs, name)))
    .map((name) => {
      const schema = definition(defs, name);
      return [`### ${name}`, ...(schema.description === undefined ? [] : [schema.description]), shapeText(schema)].join("\n\n");
    })
    .join("\n\n");
}

/** What the sections read of a contract entry, whatever its schemas are. */
interface MethodFacts {
  name: string;
  scope: string;
  summary: string;
  errors: readonly ErrorName[];
  concurrency?: { description: string };
  example: { params?: unknown; result: unknown };
}

interface NotificationFacts {
  name: string;
  summary: string;
  direction: Direction;
  example: { params: unknown };
}

interface HostRequestFacts {
  name: string;
  summary: string;
  example: { params: unknown; result: unknown };
}

/** Params or a result: a table of fields, or one line where there are none. */
function described(defs: Definitions, name: string, label: string, need: string): string {
  const schema = definition(defs, name);
  const target = refName(schema);
  if (target === undefined) return fieldsOrType(schema, label, need);
  return isNothing(definition(defs, target)) ? `**${label}**: none (absent, \`null\` or any object).` : `**${label}**: ${linkTo(target)}.`;
}

/** The params of a method that needs none. */
function isNothing(schema: JsonSchema): boolean {
  return mayBeNull(schema) && fieldsOf(schema).length === 0;
}

function mayBeNull(schema: JsonSchema): boolean {
  return schema.anyOf?.some((option) => option.type === "null") === true;
}

function fieldsOrType(schema: JsonSchema, label: string, need: string): string {
  const fields = fieldsOf(schema);
  if (fields.length === 0) return `**${label}**: ${typeText(schema)}.`;
  return `**${label}**${mayBeNull(schema) ? " (may be left out)" : ""}:\n\n${fieldTable(fields, need)}`;
}

function shapeText(schema: JsonSchema): string {
  const options = schema.anyOf?.filter((option) => option.properties !== undefined) ?? [];
  if (options.length > 0) return options.map((option) => fieldTable(fieldsOf(option), "Required")).join("\n\nor\n\n");
  const fields = fieldsOf(schema);
  return fields.length > 0 ? fieldTable(fields, "Required") : `${capitalised(typeText(schema))}.`;
}

function definition(defs: Definitions, name: string): JsonSchema {
  const schema = defs[name];
  if (schema === undefined) throw new Error(`the bundle has no ${name}`);
  return schema;
}

function firstSentence(text: string): string {
  return /^.*?[.:;](?=\s|$)/s.exec(text)?.[0].replace(/[:;]$/, ".") ?? text;
}

function capitalised(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
