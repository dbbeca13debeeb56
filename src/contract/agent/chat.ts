import * as z from "zod";
import { method } from "../define.ts";
import { Budget, ChatMessage, ContentPart, Id, IdempotencyKey, ProviderData, ToolCall, ToolDescriptor, ToolResult, Usage } from "../model.ts";
import { FileRefs } from "./files.ts";
import { ModelParams } from "./model-params.ts";
import { bySession } from "./sessions.ts";

export const ChatParams = ModelParams.extend({
  messages: z.array(ChatMessage).min(1).describe("With a `sessionId`: the new messages only, the history is sent along. Otherwise the whole conversation."),
  sessionId: Id.optional().describe("The session that the turn belongs to; it has to exist and be open."),
  files: FileRefs.optional(),
  tools: z
    .array(ToolDescriptor)
    .optional()
    .describe("Tools that the host runs itself: the turn ends with the model's calls of them, and the host answers with tool messages in its next turn."),
  useTools: z
    .array(z.string().min(1).max(256))
    .max(1024)
    .optional()
    .describe("Tools that the sidecar runs within the turn, by their names in `tool.list`; `*` for all, `mcp__files__*` for all that begin so."),
  budget: Budget.optional().describe("What this turn may use; limits that it leaves out are those of `budgets.turn` in the configuration."),
  idempotencyKey: IdempotencyKey.optional(),
  streamId: Id.optional().describe("Made up (`str_…`) when left out; must not be that of a stream that is still open."),
});
export type ChatParams = z.output<typeof ChatParams>;

export const stream = method({
  name: "agent.chat.stream",
  scope: "write",
  summary:
    "Starts a turn: the model is called, the tools of `useTools` that it asks for are run, and it is called again with their results, until it is done. The reply comes at once (with a `sessionId`: once the messages are safely on disk); chunks follow it, then exactly one `stream.done` or `stream.error`. Turns of one session run in order.",
  params: ChatParams,
  result: z.object({ streamId: z.string().describe("Names the stream in its notifications and in `agent.chat.cancel`.") }),
  touches: { session: ({ sessionId }) => sessionId },
  errors: ["session_not_found", "session_closed", "storage", "too_large", "unsupported_media", "timeout"],
  concurrency: bySession,
  example: {
    params: {
      provider: "openai_compat",
      model: "gpt-4o-mini",
      baseUrl: "https://api.openai.com/v1",
      apiKey: "sk-…",
      temperature: 0.7,
      messages: [{ role: "user", content: "Say hi" }],
      tools: [{ type: "function", function: { name: "echo", parameters: {} } }],
    },
    result: { streamId: "str_4f90d13a42" },
  },
});

export const complete = method({
  name: "agent.chat.complete",
  scope: "write",
  summary:
    "The same turn as `agent.chat.stream`, answered once, when it is done: no chunks are sent. Cancel it with `$/cancelRequest`, or by its `streamId`. A turn that fails is an error whose `data` holds `failure` (as in `stream.error`), the `message` as far as it came, and `traceId`.",
  params: ChatParams,
  result: z.object({
    message: z.object({ role: z.literal("assistant"), content: z.string() }).describe("The last answer of the model."),
    toolCalls: z
      .array(ToolCall.extend({ result: ToolResult.optional().describe("What the call came to. Absent: it is one of `tools`, which the host runs.") }))
      .describe("Every call of the turn, in order."),
    turns: z.int().min(0).describe("How often the model was called."),
    compacted: z.boolean().optional().describe("True when older messages were summarized on the way."),
    usage: Usage.optional().describe("Of all model calls together, where the model server counts."),
    costUsd: z.number().optional().describe("US dollars, where the price of the model is known."),
    finishReason: z.string().optional().describe("As in the last chunk of a stream."),
    providerData: ProviderData.optional().describe("Send it back with the assistant message when you go on without a session."),
    streamId: z.string(),
    traceId: z.string().describe("For `trace.fetch`."),
  }),
  touches: { session: ({ sessionId }) => sessionId },
  errors: ["session_not_found", "session_closed", "storage", "too_large", "unsupported_media", "timeout", "budget_exhausted", "turn_failed"],
  concurrency: bySession,
  example: {
    params: { provider: "echo", messages: [{ role: "user", content: "Say hi" }] },
    result: {
      message: { role: "assistant", content: "Say hi" },
      toolCalls: [],
      turns: 1,
      usage: { promptTokens: 2, completionTokens: 2, totalTokens: 4 },
      finishReason: "stop",
      streamId: "str_4f90d13a42",
      traceId: "tr_9b1deb4d3b",
    },
  },
});

export const steer = method({
  name: "agent.chat.steer",
  scope: "write",
  summary:
    "Adds a user message to a turn that is running: it is sent with the next model call, and where the model was about to finish there is a next one for it. Where the turn ends with calls that the host has to run, it goes with the next turn of the session (outside a session the host has to send it itself). `stream_not_found` when the turn has ended, or is about to.",
  params: z.object({
    streamId: z.string().min(1).describe("From the reply to `agent.chat.stream`."),
    content: z.union([z.string().min(1), z.array(ContentPart).min(1)]).describe("As in a message."),
  }),
  result: z.null(),
  touches: { stream: ({ streamId }) => streamId },
  errors: ["stream_not_found"],
  example: { params: { streamId: "str_4f90d13a42", content: "And in French, please" }, result: null },
});

export const cancel = method({
  name: "agent.chat.cancel",
  scope: "write",
  summary:
    "Stops a stream, the model and every tool that is running for it; it ends with `stream.done {ok: false, cancelled: true}`. Nothing happens when it has already ended.",
  params: z.object({ streamId: z.string().min(1).describe("From the reply to `agent.chat.stream`.") }),
  result: z.null(),
  touches: { stream: ({ streamId }) => streamId },
  errors: [],
  example: { params: { streamId: "str_4f90d13a42" }, result: null },
});

export const estimate = method({
  name: "agent.chat.estimate",
  scope: "read",
  summary:
    "What a turn would send, and what that would cost, without asking a model. The prompt is an estimate, corrected by what the model server has counted for earlier ones.",
  params: ModelParams.extend({
    messages: z.array(ChatMessage).min(1).describe("As in `agent.chat.stream`."),
    sessionId: Id.optional().describe("Its history is counted in, as far as its turns have ended."),
    tools: z.array(ToolDescriptor).optional().describe("As in `agent.chat.stream`."),
  }),
  result: z.object({
    provider: z.string().describe("Who would be asked."),
    model: z.string().optional().describe("Absent where the provider needs none."),
    promptTokens: z.int().min(0).describe("Of the first model call."),
    maxTokens: z.int().min(1).optional().describe("Longest answer of one model call, where the turn or the session bounds it."),
    costUsd: z.number().min(0).optional().describe("US dollars for the prompt, where the price of the model is known."),
    maxCostUsd: z.number().min(0).optional().describe("The same with the longest answer, where both are known."),
  }),
  touches: { session: ({ sessionId }) => sessionId },
  errors: ["session_not_found", "storage"],
  example: {
    params: { provider: "openai", model: "gpt-4o-mini", messages: [{ role: "user", content: "Say hi" }], maxTokens: 100 },
    result: { provider: "openai", model: "gpt-4o-mini", promptTokens: 6, maxTokens: 100, costUsd: 0.0000009, maxCostUsd: 0.0000609 },
  },
});
