/** The HTTP listener as an OpenAPI 3.1 document, straight from the contract of its routes. */
import type { RawRoute } from "../contract/http/define.ts";
import type { OpenApiDocument, Operation } from "./openapi/document.ts";
import { errorFacts, headers, sharedResponses } from "./openapi/errors.ts";
import { factsOf, factsOfRaw, type OperationFacts, type RouteFacts } from "./openapi/facts.ts";
import { KEY, operation } from "./openapi/operation.ts";
import { convert } from "./openapi/schemas.ts";
import { surfaces } from "./openapi/surfaces.ts";

export interface OpenApiParts {
  routes: readonly RouteFacts[];
  rawRoutes: readonly RawRoute[];
  /** Of the package. */
  version: string;
  /** `http://127.0.0.1:8900`. The place that the document comes from, when left out. */
  serverUrl?: string;
}

/**
 * Every route as an operation, under the tag of its surface. What OpenAPI has no word for stands under
 * `x-`: `x-scope` and `x-method` of an operation, `x-events` of a stream, `x-codes` of an error.
 *
 * The same parts give the same document, key by key. Throws where two routes share a verb and a path.
 */
export function openApiDocument({ routes, rawRoutes, version, serverUrl = "/" }: OpenApiParts): OpenApiDocument {
  const operations = [...routes.map(factsOf), ...rawRoutes.map(factsOfRaw)];
  const schemas = convert(operations);
  const { Error: error, ...shapes } = schemas.components;
  return {
    openapi: "3.1.0",
    info: {
      title: "steerable-sidecar",
      version,
      summary: "An agent runtime: completions, sessions and tools over HTTP.",
      description: DESCRIPTION,
      license: { name: "MIT", identifier: "MIT" },
    },
    jsonSchemaDialect: "https://json-schema.org/draft/2020-12/schema",
    servers: [{ url: serverUrl }],
    security: [{ [KEY]: [] }],
    tags: Object.values(surfaces).filter(({ name }) => operations.some(({ surface }) => surfaces[surface].name === name)),
    paths: pathsOf(operations, (facts) => operation(facts, schemas)),
    components: {
      securitySchemes: {
        [KEY]: { type: "http", scheme: "bearer", description: "`Authorization: Bearer <key>`: a key of the configuration, or the token of this run." },
      },
      headers,
      responses: sharedResponses,
      schemas: { ...shapes, Error: { ...error, "x-codes": errorFacts(operations) } },
    },
  };
}

const DESCRIPTION = [
  "A second door to the methods of protocol.md. Every body is JSON; streams are server-sent events.",
  'Every answer has the header `X-Request-Id`. An answer that is an error is `{"error": {"code", "message", "request_id"}}`, with a code of the table under the schema `Error`.',
  "What a key has made belongs to its subject: to others it does not exist, unless their key has the scope `admin`.",
].join("\n\n");

function pathsOf(operations: readonly OperationFacts[], map: (facts: OperationFacts) => Operation): OpenApiDocument["paths"] {
  const paths: OpenApiDocument["paths"] = {};
  const ids = new Set<string>();
  for (const facts of operations) {
    const verbs = paths[facts.path] ?? {};
    paths[facts.path] = verbs;
    const verb = facts.verb.toLowerCase();
    if (verbs[verb] !== undefined || ids.has(facts.id)) throw new Error(`${facts.verb} ${facts.path} is there twice`);
    ids.add(facts.id);
    verbs[verb] = map(facts);
  }
  return paths;
}
