import { Validator } from "@seriousme/openapi-schema-validator";
import { Ajv2020 } from "ajv/dist/2020.js";
import { describe, expect, it } from "vitest";
import * as z from "zod";
import { route } from "../../src/contract/http/define.ts";
import { rawRoutes, routes } from "../../src/contract/http/index.ts";
import { methods } from "../../src/contract/index.ts";
import { type ErrorName, errorTable } from "../../src/errors.ts";
import type { JsonSchema } from "../../src/generate/definitions.ts";
import { openApiDocument } from "../../src/generate/openapi.ts";
import type { ErrorFacts, Media, Operation, Response } from "../../src/generate/openapi/document.ts";

const raw = Object.values(rawRoutes);
const parts = { routes, rawRoutes: raw, version: "1.2.3" };
const document = openApiDocument(parts);
const operations = Object.entries(document.paths).flatMap(([path, verbs]) =>
  Object.entries(verbs).map(([verb, operation]) => ({ name: `${verb.toUpperCase()} ${path}`, path, operation })),
);
const ajv = newAjv();
const named = operations.map((each) => [each.name, each] as const);

describe("the OpenAPI document", () => {
  it("is a valid one of OpenAPI 3.1", async () => {
    const { valid, errors } = await new Validator().validate(JSON.parse(JSON.stringify(document)));
    expect(errors).toBeUndefined();
    expect(valid).toBe(true);
  });

  it("is the same each time, key by key", () => {
    expect(JSON.stringify(openApiDocument(parts))).toBe(JSON.stringify(document));
  });

  it("has each route once, under the tag of its surface, with an id of its own", () => {
    expect(operations.map(({ name }) => name).toSorted()).toEqual([...routes, ...raw].map(({ verb, path }) => `${verb} ${path}`).toSorted());
    const ids = operations.map(({ operation }) => operation.operationId);
    expect(new Set(ids).size).toBe(ids.length);
    for (const id of ids) expect(id).toMatch(/^[a-z][A-Za-z0-9]+$/);
    expect(ids).toContain("postV1SessionsByIdCompletions");
    const tags = document.tags.map(({ name }) => name);
    for (const { operation } of operations) expect(tags).toContain(operation.tags[0]);
    for (const tag of tags) expect(operations.some(({ operation }) => operation.tags[0] === tag)).toBe(true);
  });

  it("says where the server is, if it is told, and else that it is where the document comes from", () => {
    expect(document.servers).toEqual([{ url: "/" }]);
    expect(openApiDocument({ ...parts, serverUrl: "http://127.0.0.1:41234" }).servers).toEqual([{ url: "http://127.0.0.1:41234" }]);
    expect(document.info.version).toBe("1.2.3");
  });

  it.each(named)("%s declares the parameters of its path, and no others", (_, { path, operation }) => {
    const declared = (operation.parameters ?? []).filter((parameter) => parameter.in === "path");
    expect(declared.map(({ name }) => `{${name}}`)).toEqual(path.match(/\{\w+\}/g) ?? []);
    expect(declared.every(({ required }) => required)).toBe(true);
  });

  it("holds every reference itself", () => {
    const targets = [...JSON.stringify(document).matchAll(/"\$ref":"([^"]+)"/g)].map(([, target]) => target!);
    expect(targets.length).toBeGreaterThan(50);
    for (const target of new Set(targets)) {
      const [, components, kind, name] = target.split("/");
      expect([components, (document.components as unknown as Record<string, object>)[kind!]]).toEqual([
        "components",
        expect.objectContaining({ [name!]: expect.anything() }),
      ]);
    }
  });
});

describe("the key that an operation needs", () => {
  it.each(routes.map((entry) => [`${entry.verb} ${entry.path}`, entry] as const))("%s: the scope of its route, or of its method", (_, entry) => {
    const operation = operationOf(entry.verb, entry.path);
    const scope = entry.scope ?? methods[entry.method].scope;
    expect(operation["x-method"]).toBe(entry.method);
    expect(operation.security).toEqual(entry.open === true ? [] : [{ key: [scope] }]);
    expect(operation["x-scope"]).toBe(entry.open === true ? undefined : scope);
  });

  it("is any key for what is declared without a scope, and none for what is open", () => {
    for (const entry of raw as readonly { verb: string; path: string; open?: boolean; scope?: string }[]) {
      const { security } = operationOf(entry.verb, entry.path);
      expect(security).toEqual(entry.open === true ? [] : entry.scope === undefined ? undefined : [{ key: [entry.scope] }]);
    }
    expect(document.security).toEqual([{ key: [] }]);
    expect(document.components.securitySchemes["key"]).toMatchObject({ type: "http", scheme: "bearer" });
  });
});

describe("the schemas", () => {
  it.each(named)("%s has examples that fit them", (_, { operation }) => {
    for (const { schema, example, "x-events": events } of mediaOf(operation)) {
      if (events === undefined) expect(faults(schema, example)).toEqual([]);
      else if (example !== undefined) expect(eventsOf(example).flatMap(({ event, data }) => faults(events[event]!, data))).toEqual([]);
    }
  });

  it.each(routes.map((entry) => [`${entry.verb} ${entry.path}`, entry] as const))("%s has examples of which the contract drops nothing", (_, entry) => {
    const { request, response } = entry.example;
    if (request !== undefined) expect(entry.request.body?.parse(request)).toEqual(request);
    if (response !== undefined) expect(entry.response.parse(response)).toEqual(response);
  });

  it("refuse what the contract refuses", () => {
    const { schema } = operationOf("POST", "/v1/completions").requestBody!.content["application/json"]!;
    expect(faults(schema, { prompt: "" })).not.toEqual([]);
    expect(faults(schema, { prompt: "hi", stream: "yes" })).not.toEqual([]);
    expect(faults({ $ref: "#/components/schemas/Error" }, { error: { code: "internal", message: "no" } })).not.toEqual([]);
  });

  it("that several routes share have a name", () => {
    const session = { $ref: "#/components/schemas/Session" };
    expect(answerOf(operationOf("POST", "/v1/sessions"), "201").schema).toEqual(session);
    expect(answerOf(operationOf("GET", "/v1/sessions"), "200").schema).toEqual({ type: "array", items: session });
  });

  it("say whether a body may be left out", () => {
    expect(operationOf("POST", "/v1/completions").requestBody?.required).toBe(true);
    expect(operationOf("POST", "/v1/sessions").requestBody?.required).toBe(false);
  });
});

describe("an operation that can be streamed", () => {
  const streamed = routes.filter(({ stream }) => stream !== undefined);

  it("offers events beside JSON, and says what each holds", () => {
    expect(streamed.length).toBeGreaterThan(0);
    for (const { verb, path, stream } of streamed) {
      const operation = operationOf(verb, path);
      const { content = {} } = operation.responses["200"] as Response;
      expect(Object.keys(content)).toEqual(["application/json", "text/event-stream"]);
      expect(Object.keys(content["text/event-stream"]!["x-events"]!)).toEqual(Object.keys(stream!.events));
      for (const name of Object.keys(stream!.events)) expect(operation.description).toContain(`\`${name}\``);
    }
  });

  it("shows one that begins and ends as those of its surface do", () => {
    const { example } = (operationOf("POST", "/v1/completions").responses["200"] as Response).content!["text/event-stream"]!;
    const events = eventsOf(example);
    expect(events[0]).toMatchObject({ event: "started", data: { session_id: null } });
    expect(events.at(-1)).toMatchObject({ event: "finished" });
    expect(events.map(({ event }) => event)).toContain("assistant_delta");
  });
});

describe("the errors of an operation", () => {
  it.each(routes.map((entry) => [`${entry.verb} ${entry.path}`, entry] as const))(
    "%s: each of its method and its route stands under its status",
    (_, entry) => {
      const operation = operationOf(entry.verb, entry.path);
      for (const name of [...methods[entry.method].errors, ...(entry.errors ?? [])]) expect(codesOf(operation, errorTable[name].http)).toContain(name);
    },
  );

  it("are those of any request as well", () => {
    const operation = operationOf("POST", "/v1/sessions/{id}/completions");
    for (const status of [400, 401, 403, 413, 415, 429, 500, 503, 504]) expect(codesOf(operation, status)).not.toEqual([]);
    expect(responseOf(operation, 429).headers).toHaveProperty(["Retry-After"]);
    expect(responseOf(operation, 401).headers).toHaveProperty(["WWW-Authenticate"]);
    expect(responseOf(operation, 504).content).toEqual({ "application/json": { schema: { $ref: "#/components/schemas/Error" } } });
  });

  it("leave out what an open route cannot meet", () => {
    const health = operationOf("GET", "/health");
    for (const status of [401, 413, 415, 429, 503, 504]) expect(codesOf(health, status)).toEqual([]);
    const description = operationOf("GET", "/openapi.json");
    expect(codesOf(description, 401)).toEqual([]);
    expect(codesOf(description, 429)).toEqual(["rate_limited"]);
  });

  it("stand beside the answer where the two have one status", () => {
    const entry = { ...fixture, status: () => 200, statuses: [200, 503] };
    const { responses } = openApiDocument({ ...parts, routes: [entry], rawRoutes: [] }).paths["/things"]!["post"]!;
    const { content, "x-codes": codes } = responses["503"] as Response;
    expect(content!["application/json"]!.schema).toEqual({ anyOf: [expect.objectContaining({ type: "object" }), { $ref: "#/components/schemas/Error" }] });
    expect(codes).toContain("overloaded");
  });

  it("are all in one table under their schema, and no others", () => {
    const facts = document.components.schemas["Error"]!["x-codes"] as ErrorFacts[];
    const possible = operations.flatMap(({ operation }) => Object.keys(operation.responses).flatMap((status) => codesOf(operation, Number(status))));
    expect(facts.map(({ code }) => code).toSorted()).toEqual([...new Set([...possible, "not_found"])].toSorted());
    expect(facts).toContainEqual({ code: "session_not_found", status: 404, retryable: false, message: "No such session" });
  });
});

describe("a contract that cannot be described", () => {
  const made = (...entries: (typeof fixture)[]) => openApiDocument({ ...parts, routes: entries, rawRoutes: [] });

  it("is refused where two routes have one verb and path", () => {
    expect(() => made(fixture, fixture)).toThrow("POST /things is there twice");
  });

  it("is refused where a status is computed and nothing says which may come", () => {
    expect(() => made({ ...fixture, status: () => 200 })).toThrow("say in statuses");
  });

  it("is refused where a method is the host's alone", () => {
    const [hostOnly] = Object.values(methods).filter(({ scope }) => scope === "host");
    expect(() => made({ ...fixture, method: hostOnly!.name as typeof fixture.method })).toThrow(`${hostOnly!.name} is for the host alone`);
  });
});

const fixture = route({
  surface: "own",
  verb: "POST",
  path: "/things",
  summary: "Makes a thing.",
  method: "system.ping",
  request: { body: z.object({ name: z.string() }) },
  status: 200,
  response: z.object({ made: z.boolean() }),
  params: () => ({}),
  reply: () => ({ made: true }),
  example: { request: { name: "a" }, response: { made: true } },
});

function operationOf(verb: string, path: string): Operation {
  const operation = document.paths[path]?.[verb.toLowerCase()];
  if (operation === undefined) throw new Error(`there is no ${verb} ${path}`);
  return operation;
}

function responseOf(operation: Operation, status: number): Response {
  const response = operation.responses[status];
  if (response === undefined) return { description: "", "x-codes": [] };
  return "$ref" in response ? document.components.responses[response.$ref.split("/").at(-1)!]! : response;
}

function codesOf(operation: Operation, status: number): ErrorName[] {
  return responseOf(operation, status)["x-codes"] ?? [];
}

function answerOf(operation: Operation, status: string): Media {
  return (operation.responses[status] as Response).content!["application/json"]!;
}

/** All that an operation sends and is sent, with its example. */
function mediaOf({ requestBody, responses }: Operation): Media[] {
  const answers = Object.values(responses).flatMap((response) => ("$ref" in response ? [] : Object.values(response.content ?? {})));
  return [...Object.values(requestBody?.content ?? {}), ...answers].filter(({ example, "x-events": events }) => example !== undefined || events !== undefined);
}

function eventsOf(text: unknown): { event: string; data: unknown }[] {
  return [...String(text).matchAll(/^event: (.*)\ndata: (.*)\n\n/gm)].map(([, event, data]) => ({ event: event!, data: JSON.parse(data!) }));
}

/** What a validator of JSON Schema finds wrong with a value. */
function faults(schema: JsonSchema, value: unknown): string[] {
  const validate = ajv.compile(placed(schema));
  return validate(value) ? [] : (validate.errors ?? []).map(({ instancePath, message }) => `${instancePath} ${message}`);
}

/** Strict: an unknown keyword is an error of the schema. An alternative may require a field that stands beside it. */
function newAjv(): Ajv2020 {
  const formats = { "date-time": (text: string) => !Number.isNaN(Date.parse(text)), uri: (text: string) => URL.canParse(text) };
  const strict = new Ajv2020({ strict: true, strictRequired: false, allowUnionTypes: true, allErrors: true, formats });
  strict.addVocabulary(["x-codes"]);
  return strict.addSchema(placed({ $defs: document.components.schemas }), "components");
}

/** Its references lead to where the validator has the components. */
function placed(schema: JsonSchema): object {
  return JSON.parse(JSON.stringify(schema).replaceAll("#/components/schemas/", "components#/$defs/"));
}
