import { Ajv2020, type ValidateFunction } from "ajv/dist/2020.js";
import { createParser } from "eventsource-parser";
import type { JsonSchema } from "../../../src/generate/definitions.ts";
import type { Media, OpenApiDocument, Operation, Response } from "../../../src/generate/openapi/document.ts";

/** An operation of a description that the listener has given. */
export interface Described {
  /** `POST /v1/sessions/{id}` */
  name: string;
  /** In upper case. */
  verb: string;
  path: string;
  operation: Operation;
}

/** What came back for a request. */
export interface Seen {
  status: number;
  headers: Record<string, string | string[] | undefined>;
  text: string;
}

/** A description as its readers take it: by the word. */
export class Description {
  readonly operations: readonly Described[];
  readonly #document: OpenApiDocument;
  readonly #ajv: Ajv2020;
  readonly #validators = new Map<JsonSchema, ValidateFunction>();

  constructor(document: OpenApiDocument) {
    this.#document = document;
    this.operations = Object.entries(document.paths).flatMap(([path, verbs]) =>
      Object.entries(verbs).map(([verb, operation]) => ({ name: `${verb.toUpperCase()} ${path}`, verb: verb.toUpperCase(), path, operation })),
    );
    const formats = {
      "date-time": (text: string) => !Number.isNaN(Date.parse(text)),
      // Those of the listener are all about the web.
      uri: (text: string) => /^https?:\/\/\S+$/i.test(text) && URL.canParse(text),
    };
    this.#ajv = new Ajv2020({ strict: true, strictRequired: false, allowUnionTypes: true, formats });
    this.#ajv.addVocabulary(["x-codes"]);
    this.#ajv.addSchema(placed({ $defs: document.components.schemas }), "components");
  }

  /** The operation with this verb and path. Throws where there is none. */
  operation(name: string): Described {
    const found = this.operations.find((each) => each.name === name);
    if (found === undefined) throw new Error(`there is no ${name}`);
    return found;
  }

  response({ operation }: Described, status: number): Response | undefined {
    const response = operation.responses[status];
    return response !== undefined && "$ref" in response ? this.#document.components.responses[response.$ref.split("/").at(-1)!] : response;
  }

  /** The schema itself, where it is one of the components. */
  resolve(schema: JsonSchema): JsonSchema {
    const { $ref } = schema;
    return $ref === undefined ? schema : (this.#document.components.schemas[$ref.split("/").at(-1)!] ?? {});
  }

  /** What is wrong with a value; empty where it fits. */
  faults(schema: JsonSchema, value: unknown): string[] {
    const validate = this.#validators.get(schema) ?? this.#ajv.compile(placed(schema));
    this.#validators.set(schema, validate);
    if (validate(value)) return [];
    return (validate.errors ?? []).map(({ instancePath, message }) => `${instancePath} ${message}`);
  }

  /** What an answer has, or lacks, that its operation has not said; empty where all is as described. */
  surprises(described: Described, { status, headers, text }: Seen): string[] {
    const response = this.response(described, status);
    if (response === undefined) return [`the status ${status} is not declared`];
    const missing = Object.keys(response.headers ?? {}).filter((name) => headers[name.toLowerCase()] === undefined);
    const codes = response["x-codes"];
    const body = response.content === undefined ? (text === "" ? [] : ["a body where none is declared"]) : this.#bodySurprises(response.content, headers, text);
    const { error } = codes === undefined ? {} : (JSON.parse(text) as { error?: { code: string; request_id: string } });
    return [
      ...missing.map((name) => `no header ${name}`),
      ...body,
      ...(error === undefined || codes?.some((code) => code === error.code) === true ? [] : [`the code ${error.code} is not declared for ${status}`]),
      ...(error === undefined || error.request_id === headers["x-request-id"] ? [] : ["request_id is not that of the header"]),
    ];
  }

  #bodySurprises(content: Record<string, Media>, headers: Seen["headers"], text: string): string[] {
    const type = String(headers["content-type"]).split(";")[0]!;
    const media = content[type];
    if (media === undefined) return [`the content type ${type} is not declared`];
    const { schema, "x-events": events } = media;
    if (events === undefined) return this.faults(schema, type === "application/json" ? JSON.parse(text) : text);
    return eventsIn(text).flatMap(({ event, data }) => {
      const shape = events[event] ?? events["*"];
      return shape === undefined ? [`the event ${event} is not declared`] : this.faults(shape, data).map((fault) => `${event}: ${fault}`);
    });
  }
}

/** The events of a stream, the data of each parsed. */
export function eventsIn(text: string): { event: string; data: unknown }[] {
  const events: { event: string; data: unknown }[] = [];
  const parser = createParser({ onEvent: ({ event = "message", data }) => events.push({ event, data: JSON.parse(data) }) });
  parser.feed(text);
  return events;
}

/** Its references lead to where the validator has the components. */
function placed(schema: JsonSchema | { $defs: object }): object {
  return JSON.parse(JSON.stringify(schema).replaceAll("#/components/schemas/", "components#/$defs/"));
}
