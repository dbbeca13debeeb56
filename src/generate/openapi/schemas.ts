/** The zod schemas of the routes as JSON Schema 2020-12, with the named shapes as `components/schemas`. */
import { isDeepStrictEqual } from "node:util";
import * as z from "zod";
import { type Definitions, type JsonSchema, tidy } from "../definitions.ts";
import type { OperationFacts } from "./facts.ts";
import { httpShapes } from "./shapes.ts";

export interface Converted {
  /** The schema that was given under this key. Throws for others. */
  of(key: string): JsonSchema;
  /** The shapes that they refer to, and those that these refer to. */
  components: Definitions;
}

/** The schemas of all operations, each by its key (see `schemaKeys`). */
export function convert(operations: readonly OperationFacts[]): Converted {
  const accepted = new Map<string, z.ZodType>();
  const answered = new Map<string, z.ZodType>();
  for (const { id, request, response, events = {} } of operations) {
    const keys = schemaKeys(id);
    for (const part of ["path", "query", "headers", "body"] as const) {
      const schema = request[part];
      if (schema !== undefined) accepted.set(keys[part], schema);
    }
    if (response !== undefined) answered.set(keys.response, response);
    for (const [name, data] of Object.entries(events)) answered.set(keys.event(name), data);
  }
  const input = definitions(accepted, "input", () => true);
  const asRead = definitions(new Map(), "output", () => true, "any");
  // A shape with defaults or transforms looks different to its writer and to its reader: the name goes to what is written.
  const output = definitions(answered, "output", (name) => isDeepStrictEqual(asRead[name], input[name]));
  return {
    of(key) {
      const schema = input[key] ?? output[key];
      if (schema === undefined) throw new Error(`no schema was made for ${key}`);
      return schema;
    },
    components: reachable([...accepted.keys(), ...answered.keys(), "Error"], { ...output, ...input }),
  };
}

/** Under which keys the schemas of an operation are found. */
export function schemaKeys(id: string) {
  return {
    path: `${id}.path`,
    query: `${id}.query`,
    headers: `${id}.headers`,
    body: `${id}.body`,
    response: `${id}.response`,
    event: (name: string) => `${id}.event.${name}`,
  };
}

export function component(name: string): JsonSchema {
  return { $ref: COMPONENT + name };
}

/** The name in `components/schemas` that a reference points to. */
export function componentName({ $ref }: JsonSchema): string | undefined {
  return $ref?.startsWith(COMPONENT) === true ? $ref.slice(COMPONENT.length) : undefined;
}

const COMPONENT = "#/components/schemas/";

function definitions(
  named: ReadonlyMap<string, z.ZodType>,
  io: "input" | "output",
  hasName: (shape: string) => boolean,
  unrepresentable: "throw" | "any" = "throw",
): Definitions {
  const registry = z.registry<{ id: string }>();
  for (const [id, shape] of Object.entries<z.ZodType>(httpShapes)) if (hasName(id)) registry.add(shape, { id });
  // Wrapped, because one schema may serve several routes, and nothing shall refer to those.
  for (const [id, content] of named) registry.add(z.object({ content }), { id });
  const { schemas } = z.toJSONSchema(registry, { io, uri: (id) => COMPONENT + id, override: tidy, unrepresentable });
  const out: Definitions = {};
  for (const [id, { $schema: _dialect, $id: _id, ...schema }] of Object.entries<JsonSchema>(schemas)) {
    if (id === "__shared") throw new Error("a schema of a route refers to itself without having a name");
    const content = named.has(id) ? schema.properties?.["content"] : schema;
    if (typeof content !== "object") throw new Error(`${id} has no schema`);
    out[id] = content;
  }
  return out;
}

/** The shapes that can be reached from `roots` over references, in the order of their names. */
function reachable(roots: readonly string[], all: Definitions): Definitions {
  const reached = new Set<string>();
  const waiting = [...roots];
  for (let name = waiting.pop(); name !== undefined; name = waiting.pop()) {
    if (reached.has(name)) continue;
    reached.add(name);
    for (const [, target = ""] of JSON.stringify(all[name] ?? {}).matchAll(REFERENCE)) waiting.push(target);
  }
  const found = Object.entries(all).filter(([name]) => name in httpShapes && reached.has(name));
  return Object.fromEntries(found.toSorted(([a], [b]) => (a < b ? -1 : 1)));
}

const REFERENCE = /"\$ref":"#\/components\/schemas\/([^"]+)"/g;
