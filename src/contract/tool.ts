import * as z from "zod";
import { method } from "./define.ts";
import { JsonObject, NoParams, ToolDescriptor, ToolResult } from "./model.ts";

export const list = method({
  name: "tool.list",
  summary: "The tools that the sidecar can run, as OpenAI function descriptors.",
  params: NoParams,
  result: z.array(ToolDescriptor),
  errors: [],
  example: {
    result: [
      {
        type: "function",
        function: {
          name: "get_time",
          description: "The current time.",
          parameters: { type: "object", properties: { timeZone: { type: "string" } }, additionalProperties: false },
        },
      },
    ],
  },
});

export const invoke = method({
  name: "tool.invoke",
  summary:
    "Runs a tool. A tool that is unknown, is given arguments that do not fit its schema, or fails, is a result with `success` false. A destructive one without `consentGranted` is refused with -32002 and `data {tool, mode}`.",
  params: z.object({
    name: z.string().min(1).max(256).describe("From `tool.list`."),
    arguments: JsonObject.nullish()
      .transform((value) => value ?? {})
      .describe("What the tool's `parameters` ask for; `{}` when left out."),
    id: z.string().max(256).optional().describe("Names the call in its trace; made up (`call_…`) when left out."),
    consentGranted: z.boolean().optional().describe("True when a person agreed to this very call; destructive tools need it."),
    context: JsonObject.nullish().describe("Where the call comes from; `sessionId` in it is noted in the trace, the rest is ignored."),
  }),
  result: ToolResult,
  errors: ["policy_denied"],
  example: {
    params: { name: "get_time", arguments: { timeZone: "UTC" } },
    result: { success: true, data: { iso: "2026-01-01T10:00:00.000Z", durationMs: 1, traceId: "tr_9b1deb4d3b" } },
  },
});
