/** The parts of OpenAPI 3.1 that we use. */
import type { Scope } from "../../contract/caller.ts";
import type { ErrorName } from "../../errors.ts";
import type { Definitions, JsonSchema } from "../definitions.ts";

export interface OpenApiDocument {
  openapi: "3.1.0";
  info: { title: string; version: string; summary: string; description: string; license: { name: string; identifier: string } };
  jsonSchemaDialect: string;
  servers: { url: string }[];
  /** What holds where an operation does not say otherwise. */
  security: SecurityRequirement[];
  tags: { name: string; description: string }[];
  /** Operations by path, then by verb in lower case. */
  paths: Record<string, Record<string, Operation>>;
  components: {
    securitySchemes: Record<string, { type: "http"; scheme: "bearer"; description: string }>;
    headers: Record<string, Header>;
    responses: Record<string, Response>;
    schemas: Definitions;
  };
}

/** Name of a security scheme, with the scopes that it takes. An empty list of requirements: none. */
export type SecurityRequirement = Record<string, readonly Scope[]>;

export interface Operation {
  operationId: string;
  tags: string[];
  /** The first sentence. */
  summary: string;
  /** Markdown: all there is to say. */
  description: string;
  security?: SecurityRequirement[];
  parameters?: Parameter[];
  requestBody?: { required: boolean; content: Record<string, Media> };
  /** By status. */
  responses: Record<string, Response | Reference>;
  /** What a key needs. Absent where none is needed, or where any key will do. */
  "x-scope"?: Scope;
  /** The method of the catalog that is called. */
  "x-method"?: string;
  /** What has to stand in `api.public` for the operation to need no key. */
  "x-public"?: string;
  /** Errors beside those that any request can meet. */
  "x-errors": ErrorName[];
}

export interface Parameter {
  name: string;
  in: "path" | "query" | "header";
  required: boolean;
  description?: string;
  schema: JsonSchema;
}

export interface Response {
  description: string;
  headers?: Record<string, Header | Reference>;
  content?: Record<string, Media>;
  /** Of an answer that is an error: what `error.code` may be. */
  "x-codes"?: ErrorName[];
}

export interface Media {
  schema: JsonSchema;
  example?: unknown;
  /** Of a stream: what the data of each event holds, by the name of the event. */
  "x-events"?: Record<string, JsonSchema>;
}

export interface Header {
  description: string;
  schema: JsonSchema;
}

export interface Reference {
  $ref: string;
}

/** One row of `x-codes` of the schema `Error`. */
export interface ErrorFacts {
  code: ErrorName;
  status: number;
  retryable: boolean;
  message: string;
}
