/** JSON Schema of the lines themselves: JSON-RPC 2.0 around the params and results of the contract. */
import type * as z from "zod";
import { hostRequests, methods, notifications } from "../contract/index.ts";
import { errorTable } from "../errors.ts";
import { type Definitions, hostName, type JsonSchema, ref } from "./definitions.ts";
import { type Direction, directionsOf } from "./directions.ts";

/** `MessageToSidecar` and `MessageToHost`, the lines of each side, and what they are made of. */
export function frameDefinitions(): Definitions {
  const toSidecar = [ref("Request"), ref("NotificationToSidecar"), ref("ResponseToSidecar")];
  return {
    MessageToSidecar: {
      description: "A line that a host writes.",
      anyOf: [...toSidecar, batchOf(toSidecar)],
    },
    MessageToHost: {
      description: "A line that the sidecar writes. The array answers a batch.",
      anyOf: [ref("Response"), ref("NotificationToHost"), ref("RequestToHost"), batchOf([ref("Response")])],
    },
    Request: {
      description: "A call that wants an answer.",
      anyOf: Object.values<{ name: string; params: z.ZodType }>(methods).map((entry) => call(entry, { id: ref("RequestId") })),
    },
    NotificationToSidecar: { description: "A call without an answer.", anyOf: notificationsOf("toSidecar") },
    NotificationToHost: { description: "News that the host did not ask for by a request.", anyOf: notificationsOf("toHost") },
    RequestToHost: {
      description: "A call of the sidecar that wants an answer of the host.",
      anyOf: Object.values<{ name: string; params: z.ZodType }>(hostRequests).map((entry) => call(entry, { id: ref("HostRequestId") }, hostName(entry.name))),
    },
    Response: {
      description: "The answer to a request; `id` says to which.",
      anyOf: [answer({ id: ref("RequestId"), result: {} }), answer({ id: { anyOf: [ref("RequestId"), { type: "null" }] }, error: ref("Error") })],
    },
    RequestId: { description: "Chosen by the host, and echoed as it came.", anyOf: [{ type: "string" }, { type: "integer" }] },
    ResponseToSidecar: {
      description: "The host's answer to a request of the sidecar.",
      anyOf: [answer({ id: ref("HostRequestId"), result: {} }), answer({ id: ref("HostRequestId"), error: ref("HostError") })],
    },
    HostRequestId: { description: "Chosen by the sidecar.", type: "string", pattern: "^srv_[0-9]+$" },
    HostError: {
      description: "Why a host could not do what it was asked for.",
      type: "object",
      properties: { code: { type: "integer" }, message: { type: "string", description: "For people and models." } },
      required: ["code", "message"],
    },
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

function notificationsOf(direction: Direction): JsonSchema[] {
  return Object.values<{ name: string; direction: Direction; params: z.ZodType }>(notifications)
    .filter((entry) => directionsOf(entry).includes(direction))
    .map((entry) => call(entry, {}));
}

/** `definition`: what the call is named in `$defs`. */
function call({ name, params }: { name: string; params: z.ZodType }, id: Record<string, JsonSchema>, definition = name): JsonSchema {
  const optional = params.safeParse(undefined).success;
  return {
    type: "object",
    // A notification is known by having no id.
    properties: { jsonrpc: { const: "2.0" }, id: false, ...id, method: { const: name }, params: ref(`${definition}.params`) },
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
