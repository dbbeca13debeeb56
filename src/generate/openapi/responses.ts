/** The answers of a route by status: those when it went well, and the errors. */
import { STATUS_CODES } from "node:http";
import type { Media, Reference, Response } from "./document.ts";
import { errorResponse, errorsByStatus, header, withErrors } from "./errors.ts";
import { JSON_TYPE, type OperationFacts, STREAM_TYPE } from "./facts.ts";
import { sampleStream } from "./sample.ts";
import { type Converted, schemaKeys } from "./schemas.ts";

export function responsesOf(facts: OperationFacts, schemas: Converted): Record<string, Response | Reference> {
  const good = new Map(facts.statuses.map((status) => [status, goodResponse(facts, status, schemas)]));
  const responses = new Map<number, Response | Reference>(good);
  for (const [status, codes] of errorsByStatus(facts)) {
    const shared = good.get(status);
    responses.set(status, shared === undefined ? errorResponse(codes) : withErrors(shared, codes));
  }
  return Object.fromEntries([...responses].toSorted(([a], [b]) => a - b));
}

const NO_CONTENT = 204;

function goodResponse(facts: OperationFacts, status: number, schemas: Converted): Response {
  const { contentType } = facts;
  const description = STATUS_CODES[status] ?? "Done";
  const headers = { "X-Request-Id": header("RequestId") };
  if (status === NO_CONTENT) return { description, headers };
  const content = {
    [contentType]: contentType === STREAM_TYPE ? anyEvents(facts, schemas) : body(facts, schemas),
    ...(facts.events === undefined ? {} : { [STREAM_TYPE]: namedEvents(facts, facts.events, schemas) }),
  };
  return { description, headers, content };
}

function body({ id, contentType, response, example }: OperationFacts, schemas: Converted): Media {
  if (response !== undefined) return withExample({ schema: schemas.of(schemaKeys(id).response) }, example.response);
  return { schema: contentType === JSON_TYPE ? {} : { type: "string" } };
}

/** A stream whose events are as many as there are notifications: `*` stands for any name. */
function anyEvents({ id, response }: OperationFacts, schemas: Converted): Media {
  const data = response === undefined ? {} : schemas.of(schemaKeys(id).response);
  return { schema: EVENTS, "x-events": { "*": data } };
}

function namedEvents(facts: OperationFacts, events: object, schemas: Converted): Media {
  const keys = schemaKeys(facts.id);
  const data = Object.fromEntries(Object.keys(events).map((name) => [name, schemas.of(keys.event(name))]));
  return withExample({ schema: EVENTS, "x-events": data }, facts.teller === undefined ? undefined : sampleStream(facts, facts.teller));
}

function withExample(media: Media, example: unknown): Media {
  return example === undefined ? media : { ...media, example };
}

const EVENTS = { type: "string", description: "Server-sent events. The data of each is one JSON value on one line." } as const;
