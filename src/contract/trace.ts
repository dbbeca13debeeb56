import * as z from "zod";
import { method, notification } from "./define.ts";
import { Cursor, HarnessTrace, Id, TraceEvent, TraceSpan } from "./model.ts";

const traceExample: z.input<typeof HarnessTrace> = {
  traceId: "tr_9b1deb4d3b",
  sessionId: "sess_V1StGXR8Z5jdHi6B",
  chatId: "chat-1",
  userId: "local",
  status: "completed",
  hadError: false,
  durationMs: 812,
  eventCount: 2,
  spanCount: 1,
  totalTokens: 11,
  modelId: "gpt-4o-mini",
  startedAtMs: 1767261600000,
  createdAt: "2026-01-01T10:00:00.000Z",
  updatedAt: "2026-01-01T10:00:00.812Z",
};

const eventExample: z.input<typeof TraceEvent> = {
  traceId: "tr_9b1deb4d3b",
  kind: "llm_request",
  name: "llm.request",
  sequence: 1,
  timestampMs: 1767261600001,
  payload: { provider: "openai", model: "gpt-4o-mini", attempt: 1 },
};

export const fetch = method({
  name: "trace.fetch",
  scope: "read",
  summary: "A trace with its spans and events, also while it is running.",
  params: z.object({ traceId: Id.describe("From the end of a stream, or from the `data` of a tool's result.") }),
  result: z.object({
    trace: HarnessTrace,
    spans: z.array(TraceSpan).describe("In the order in which they began."),
    events: z.array(TraceEvent).describe("In the order of `sequence`."),
  }),
  touches: { trace: ({ traceId }) => traceId },
  errors: ["trace_not_found", "storage"],
  example: {
    params: { traceId: "tr_9b1deb4d3b" },
    result: {
      trace: traceExample,
      spans: [
        {
          spanId: "span_1",
          traceId: "tr_9b1deb4d3b",
          name: "llm.generate",
          kind: "llm",
          startMs: 1767261600001,
          endMs: 1767261600812,
          durationMs: 811,
          status: "ok",
          attrs: { attempt: 1 },
        },
      ],
      events: [eventExample],
    },
  },
});

export const list = method({
  name: "trace.list",
  scope: "read",
  summary: "Traces, the newest first, page by page.",
  params: z
    .object({
      sessionId: Id.optional().describe("Only traces of this session."),
      status: HarnessTrace.shape.status.optional().describe("Only traces with this status."),
      limit: z.int().min(1).max(1000).optional().describe("100 when left out."),
      cursor: Cursor.optional(),
    })
    .nullish()
    .transform((params) => params ?? {}),
  result: z.object({ traces: z.array(HarnessTrace), nextCursor: z.string().optional().describe("Absent on the last page.") }),
  errors: ["storage"],
  example: { params: { sessionId: "sess_V1StGXR8Z5jdHi6B" }, result: { traces: [traceExample] } },
});

export const event = notification({
  name: "trace.event",
  direction: "toHost",
  summary: "What just happened in a trace. Sent only while `trace.events` is on in the configuration.",
  params: TraceEvent,
  example: { params: eventExample },
});
