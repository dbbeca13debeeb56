import * as z from "zod";
import { notification } from "../define.ts";
import { FailureKindSchema, ProviderData, ToolCall, ToolResult, Usage } from "../model.ts";

const streamId = z.string().describe("The stream that this belongs to.");
const seq = z.int().min(0).describe("Rises by one with every notification of a stream, from 0.");

export const chunk = notification({
  name: "stream.chunk",
  direction: "toHost",
  summary: "Part of an answer. For a host that reads slowly, deltas that follow each other are merged.",
  params: z.object({
    streamId,
    seq,
    delta: z.string().optional().describe("Text to append to the answer."),
    reasoningDelta: z.string().optional().describe("Text to append to the model's reasoning."),
    toolCall: ToolCall.optional().describe("A call that the model asks for. One of `useTools` is run by the sidecar and followed by its `toolResult`."),
    toolResult: ToolResult.extend({ id: z.string().describe("Of the call."), name: z.string().describe("Of the tool.") })
      .optional()
      .describe("What a call that the sidecar has run came to; results of calls that run side by side come as they are ready."),
    providerData: ProviderData.optional().describe("Send it back with the assistant message when you go on without a session."),
    usage: Usage.optional().describe("Of one model call, when it is done, where the model server counts."),
    finishReason: z
      .string()
      .optional()
      .describe(
        "Of the last model call: `stop`, `length`, `tool_calls` (the host's tools are to be run), `content_filter`, `terminal` (a tool's result said that nothing more is to be done), or the model server's own word.",
      ),
  }),
  example: { params: { streamId: "str_4f90d13a42", seq: 0, delta: "Hello" } },
});

export const done = notification({
  name: "stream.done",
  direction: "toHost",
  summary: "A stream has ended, because the model was done (`ok`) or because somebody stopped it (`cancelled`).",
  params: z.object({
    streamId,
    seq,
    ok: z.boolean().describe("True when the model was done, false when the stream was stopped."),
    cancelled: z
      .boolean()
      .optional()
      .describe("True when the stream was stopped: by `agent.chat.cancel`, by deleting its session, or because the process ends."),
    finishReason: z.string().optional().describe("As in the last chunk."),
    usage: Usage.optional().describe("Of all model calls of the turn together."),
    costUsd: z.number().min(0).optional().describe("US dollars, where the price of the model is known."),
    turns: z.int().min(0).optional().describe("How often the model was called."),
    compacted: z.boolean().optional().describe("True when older messages were summarized on the way."),
    traceId: z.string().optional().describe("For `trace.fetch`."),
  }),
  example: {
    params: {
      streamId: "str_4f90d13a42",
      seq: 2,
      ok: true,
      finishReason: "stop",
      usage: { promptTokens: 9, completionTokens: 2, totalTokens: 11 },
      traceId: "tr_9b1deb4d3b",
    },
  },
});

export const error = notification({
  name: "stream.error",
  direction: "toHost",
  summary: "A stream has failed. Text that was sent before stays valid, and is kept in the session.",
  params: z.object({
    streamId,
    seq,
    kind: FailureKindSchema,
    message: z.string().describe("For people; holds no secret."),
    status: z.int().optional().describe("HTTP status of the model server."),
    retryable: z.boolean().describe("Whether the same call may succeed later without a change."),
    retryAfterMs: z.int().min(0).optional().describe("Milliseconds that the model server asked to wait."),
    traceId: z.string().optional().describe("For `trace.fetch`."),
  }),
  example: {
    params: {
      streamId: "str_4f90d13a42",
      seq: 1,
      kind: "auth_failed",
      message: "The model server refused the API key (401)",
      status: 401,
      retryable: false,
      traceId: "tr_9b1deb4d3b",
    },
  },
});

export const status = notification({
  name: "stream.status",
  direction: "toHost",
  summary:
    "What a stream is waiting for: sent on every change, and every 10 seconds while nothing changes, to hosts that announced `status` in `system.initialize`. Carries no `seq`; never comes before the reply that names the stream, nor after its end.",
  params: z.object({
    streamId,
    phase: z
      .enum(["queued", "awaiting_first_token", "streaming", "tool", "approval", "backoff"])
      .describe(
        "`queued`: turns of the session before this one; `awaiting_first_token`: the model; `streaming`: more of its answer; `tool`: tools; `approval`: the host's answer to `approval.request`; `backoff`: the time until the model is asked again.",
      ),
    sinceMs: z.int().min(0).describe("Milliseconds that the phase has lasted."),
    deadlineMs: z.int().min(0).optional().describe("Milliseconds that the phase may last in all; `queued` has no deadline of its own."),
  }),
  example: { params: { streamId: "str_4f90d13a42", phase: "awaiting_first_token", sinceMs: 0, deadlineMs: 120_000 } },
});
