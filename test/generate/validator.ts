import { Ajv2020, type AnySchemaObject } from "ajv/dist/2020.js";
import { generated } from "./document.ts";

/** The bundle as a host in another language has it: the text of the file, and a validator of JSON Schema. */
export const bundle = JSON.parse(generated.get("schema/steerable-sidecar.schema.json")!) as AnySchemaObject & { $defs: Record<string, AnySchemaObject> };

const ajv = newAjv();
ajv.addSchema(bundle);

/** What the part of the bundle with this name finds wrong with a value; empty when nothing is. */
export function faults(definition: string, value: unknown): string[] {
  const validate = ajv.getSchema(`${bundle["$id"]}#/$defs/${encodeURIComponent(definition.replaceAll("/", "~1"))}`);
  if (validate === undefined) throw new Error(`the bundle has no ${definition}`);
  return validate(value) === true ? [] : (validate.errors ?? []).map((error) => `${error.instancePath} ${error.message}`);
}

/** Strict: an unknown keyword or format is an error of the schema. */
export function newAjv(): Ajv2020 {
  const formats = { "date-time": (text: string) => !Number.isNaN(Date.parse(text)), uri: (text: string) => URL.canParse(text) };
  const strict = new Ajv2020({ strict: true, allowUnionTypes: true, allErrors: true, formats });
  strict.addVocabulary(["x-hostRequests", "x-methods", "x-notifications", "x-protocolVersion"]);
  return strict;
}
