/** The JSON Schema files: everything on the wire, and the configuration file. */
import * as z from "zod";
import { Config } from "../contract/config.ts";
import { PROTOCOL_VERSION } from "../contract/defaults.ts";
import { universalErrors } from "../contract/define.ts";
import { hostRequests, methods, notifications } from "../contract/index.ts";
import { type ErrorName, errorTable } from "../errors.ts";
import { contractDefinitions, type Definitions, hostName, type JsonSchema, ref, tidy } from "./definitions.ts";
import { frameDefinitions } from "./frames.ts";

export interface SchemaBundle extends JsonSchema {
  $defs: Definitions;
}

/**
 * One document that validates any line of the protocol; `$defs` holds the parts: frames
 * (`MessageToHost`), shapes (`ToolCall`), `<method>.params`, `<method>.result` and
 * `<notification>.params`, and `host:<request>.params` and `.result` of requests to the host. The errors
 * that a method can raise stand under `x-methods`. All references stay inside the document.
 */
export function schemaBundle(): SchemaBundle {
  return {
    $schema: DIALECT,
    $id: `urn:steerable-sidecar:protocol:${PROTOCOL_VERSION}`,
    title: "steerable-sidecar protocol",
    description:
      "A line that a host or the sidecar sends. The parts are in $defs: frames, shapes, and the params and the result of each method and of each request to the host.",
    anyOf: [ref("MessageToSidecar"), ref("MessageToHost")],
    "x-protocolVersion": PROTOCOL_VERSION,
    "x-methods": methodFacts(),
    "x-notifications": notificationFacts(),
    "x-hostRequests": hostRequestFacts(),
    $defs: { ...frameDefinitions(), ...contractDefinitions() },
  };
}

/** The configuration file, for editors that check YAML against a schema. */
export function configSchema(): JsonSchema {
  const { $schema: _dialect, ...schema } = z.toJSONSchema(Config, { io: "input", override: tidy });
  return { $schema: DIALECT, $id: `urn:steerable-sidecar:config:${PROTOCOL_VERSION}`, title: "steerable-sidecar configuration", ...schema };
}

const DIALECT = "https://json-schema.org/draft/2020-12/schema";

function methodFacts(): Record<string, unknown> {
  return Object.fromEntries(
    Object.values(methods).map((entry) => [
      entry.name,
      {
        summary: entry.summary,
        params: ref(`${entry.name}.params`),
        result: ref(`${entry.name}.result`),
        errors: [...entry.errors, ...universalErrors].map(errorFacts),
        ...("concurrency" in entry && entry.concurrency !== undefined ? { order: entry.concurrency.description } : {}),
      },
    ]),
  );
}

function notificationFacts(): Record<string, unknown> {
  return Object.fromEntries(Object.values(notifications).map(({ name, summary, direction }) => [name, { summary, direction, params: ref(`${name}.params`) }]));
}

function hostRequestFacts(): Record<string, unknown> {
  return Object.fromEntries(
    Object.values(hostRequests).map(({ name, summary }) => [
      name,
      { summary, params: ref(`${hostName(name)}.params`), result: ref(`${hostName(name)}.result`) },
    ]),
  );
}

function errorFacts(name: ErrorName): Record<string, unknown> {
  const { code, kind } = errorTable[name];
  return { name, code, kind };
}
