/** Routes that are about the door itself: JSON-RPC, the events of a stream, and what describes the listener. */
import * as z from "zod";
import { Id, JsonObject } from "../model.ts";
import { rawRoute } from "./define.ts";

/** `id` of an event: its `seq`. */
export const EVENT_ID = /^\d{1,15}$/;

export const rpc = rawRoute({
  surface: "own",
  verb: "POST",
  path: "/rpc",
  summary:
    "A JSON-RPC 2.0 frame, or a batch of them, with the methods of protocol.md. Answered with 200 also where the frame holds an error; with 204 where there is nothing to answer. A stream that is started here is read at `/v1/streams/{streamId}/events`.",
  isSpared: true,
  request: { body: z.union([JsonObject, z.array(JsonObject).min(1)]).describe("A request, a notification, or a batch.") },
  status: 200,
  statuses: [200, 204],
  contentType: "application/json",
  response: z.union([JsonObject, z.array(JsonObject)]).describe("The response, or those of the batch."),
});

export const streamEvents = rawRoute({
  surface: "own",
  verb: "GET",
  path: "/v1/streams/{streamId}/events",
  summary:
    "The notifications of a stream that was started over HTTP, as server-sent events: `event` is the name of the notification, `data` its params, `id` its `seq`. A client that sends `Last-Event-ID` goes on behind it. What was sent is kept for ten minutes after the end of the stream, up to 4 MiB; the connection ends with the stream. Leaving does not cancel it. Whoever has seen the end is answered with 204, which keeps an EventSource from coming back.",
  scope: "read",
  request: {
    path: z.object({ streamId: Id.describe("Of the stream.") }),
    headers: z.object({
      "Last-Event-ID": z.string().regex(EVENT_ID).optional().describe("`id` of the last event that was seen; the answer goes on behind it."),
    }),
  },
  status: 200,
  statuses: [200, 204],
  contentType: "text/event-stream",
  response: JsonObject,
  errors: ["stream_not_found", "events_gone"],
});

export const openapi = rawRoute({
  surface: "own",
  verb: "GET",
  path: "/openapi.json",
  summary: "This description, as OpenAPI 3.1.",
  open: true,
  request: {},
  status: 200,
  contentType: "application/json",
  response: JsonObject,
});

export const docs = rawRoute({
  surface: "own",
  verb: "GET",
  path: "/docs",
  summary: "The same for people.",
  open: true,
  request: {},
  status: 200,
  contentType: "text/html",
});
