/** One route as an operation of OpenAPI. */
import type * as z from "zod";
import type { JsonSchema } from "../definitions.ts";
import { isSchema } from "../fields.ts";
import type { Media, Operation, Parameter } from "./document.ts";
import { JSON_TYPE, type OperationFacts, STREAM_TYPE } from "./facts.ts";
import { responsesOf } from "./responses.ts";
import { type Converted, schemaKeys } from "./schemas.ts";
import { surfaces } from "./surfaces.ts";

/** The name of the only security scheme. */
export const KEY = "key";

export function operation(facts: OperationFacts, schemas: Converted): Operation {
  const { id, surface, method, scope, isOpen, publicAs, request } = facts;
  const keys = schemaKeys(id);
  const parameters = [
    ...parametersOf("path", request.path === undefined ? {} : schemas.of(keys.path)),
    ...parametersOf("query", request.query === undefined ? {} : schemas.of(keys.query)),
    ...parametersOf("header", request.headers === undefined ? {} : schemas.of(keys.headers)),
  ];
  return {
    operationId: id,
    tags: [surfaces[surface].name],
    summary: firstSentence(facts.summary),
    description: description(facts),
    ...(isOpen ? { security: [] } : scope === undefined ? {} : { security: [{ [KEY]: [scope] }] }),
    ...(parameters.length === 0 ? {} : { parameters }),
    ...(request.body === undefined ? {} : { requestBody: bodyOf(facts, request.body, schemas.of(keys.body)) }),
    responses: responsesOf(facts, schemas),
    ...(isOpen || scope === undefined ? {} : { "x-scope": scope }),
    ...(method === undefined ? {} : { "x-method": method }),
    ...(publicAs === undefined ? {} : { "x-public": publicAs }),
    "x-errors": [...facts.errors],
  };
}

function firstSentence(text: string): string {
  return /^.*?[.:](?=\s|$)/s.exec(text)?.[0].replace(/:$/, ".") ?? text;
}

function description({ summary, isOpen, publicAs, scope, method, events, request }: OperationFacts): string {
  const need = isOpen ? "Needs no key." : scope === undefined ? "Any key will do." : `Needs a key with the scope \`${scope}\`.`;
  const streamed = isAsked(request.body) ? "With `stream: true`, or where the request accepts" : "Where the request accepts";
  const without = publicAs === undefined ? [] : [`None where \`api.public\` of the configuration names \`${publicAs}\`.`];
  return [
    summary,
    [need, ...without, ...(method === undefined ? [] : [`Calls the method \`${method}\`.`])].join(" "),
    ...(events === undefined ? [] : [`${streamed} \`${STREAM_TYPE}\`, the answer is a stream of the events ${list(Object.keys(events))}.`]),
  ].join("\n\n");
}

/** Whether the body says that a stream is wanted. */
function isAsked(body: z.ZodType | undefined): boolean {
  return body !== undefined && "shape" in body && typeof body.shape === "object" && body.shape !== null && "stream" in body.shape;
}

function list(names: readonly string[]): string {
  return names.map((name) => `\`${name}\``).join(", ");
}

function parametersOf(place: Parameter["in"], { properties = {}, required = [] }: JsonSchema): Parameter[] {
  return Object.entries(properties).map(([name, property]) => {
    const { description: meaning, ...schema } = isSchema(property) ? property : {};
    return { name, in: place, required: place === "path" || required.includes(name), ...(meaning === undefined ? {} : { description: meaning }), schema };
  });
}

function bodyOf({ example }: OperationFacts, body: z.ZodType, schema: JsonSchema): { required: boolean; content: Record<string, Media> } {
  const required = !body.safeParse(undefined).success;
  return { required, content: { [JSON_TYPE]: { schema, ...(example.request === undefined ? {} : { example: example.request }) } } };
}
