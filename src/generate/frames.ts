/** JSON Schema of the lines themselves: JSON-RPC 2.0 around the params and results of the contract. */
import type * as z from "zod";
import { methods, notifications } from "../contract/index.ts";
import { errorTable } from "../errors.ts";
import { type Definitions, type JsonSchema, ref } from "./definitions.ts";

/** `MessageToSidecar` and `MessageToHost`, the lines of each side, and what they are made of. */
export function frameDefinitions(): Definitions {
  return {
    MessageToSidecar: {
      description: "A line that a host writes.",
      anyOf: [ref("Request"), ref("NotificationToSidecar"), batchOf([ref("Request"), ref("NotificationToSidecar")])],
    },
    MessageToHost: {
      description: "A line that the sidecar writes. The array answers a batch.",
      anyOf: [ref("Response"), ref("NotificationToHost"), batchOf([ref("Response")])],
    },
    Request: {
      description: "A call that wants an answer.",
      anyOf: Object.values<{ name: string; params: z.ZodType }>(methods).map(({ name, params }) => call(name, params, { id: ref("RequestId") })),
    },
    NotificationToSidecar: { description: "A call without an answer.", anyOf: notificationsOf("toSidecar") },
    NotificationToHost: { description: "News that the host did not ask for by a request.", anyOf: notificationsOf("toHost") },
    Response: {
      description: "The answer to a request; `id` says to which.",
      anyOf: [answer({ id: ref("RequestId"), result: {} }), answer({ id: { anyOf: [ref("RequestId"), { type: "null" }] }, error: ref("Error") })],
    },
    RequestId: { description: "Chosen by the host, and echoed as it came.", anyOf: [{ type: "string" }, { type: "integer" }] },
    Error: {
      description: "Why a request failed.",
      type: "object",
      properties: {
        code: { type: "integer", enum: distinct("code") },
        message: { type: "string", maxLength: 1024, description: "For people; may change." },
        kind: { type: "string", enum: distinct("kind") },
        data: { type: "object", description: "For programs; what is in it depends on the error." },
      },
      required: ["code", "message", "kind"],
    },
  };
}

function notificationsOf(direction: "toHost" | "toSidecar"): JsonSchema[] {
  return Object.values<{ name: string; direction: string; params: z.ZodType }>(notifications)
    .filter((entry) => entry.direction === direction)
    .map(({ name, params }) => call(name, params, {}));
}

function call(name: string, params: z.ZodType, id: Record<string, JsonSchema>): JsonSchema {
  const optional = params.safeParse(undefined).success;
  return {
    type: "object",
    // A notification is known by having no id.
    properties: { jsonrpc: { const: "2.0" }, id: false, ...id, method: { const: name }, params: ref(`${name}.params`) },
    required: ["jsonrpc", ...Object.keys(id), "method", ...(optional ? [] : ["params"])],
  };
}

function answer(parts: Record<string, JsonSchema>): JsonSchema {
  return { type: "object", properties: { jsonrpc: { const: "2.0" }, ...parts }, required: ["jsonrpc", ...Object.keys(parts)], additionalProperties: false };
}

function batchOf(frames: JsonSchema[]): JsonSchema {
  return { type: "array", minItems: 1, items: { anyOf: frames } };
}

function distinct<K extends "code" | "kind">(key: K) {
  return [...new Set(Object.values(errorTable).map((entry) => entry[key]))];
}
