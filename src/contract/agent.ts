import * as z from "zod";
import { method, notification } from "./define.ts";
import {
  AgentSession,
  Budget,
  ChatMessage,
  ContentPart,
  Cursor,
  FailureKindSchema,
  Id,
  JsonObject,
  ProviderData,
  Spending,
  StoredMessage,
  ToolCall,
  ToolDescriptor,
  ToolResult,
  Usage,
} from "./model.ts";

const sessionExample: AgentSession = {
  sessionId: "sess_V1StGXR8Z5jdHi6B",
  userId: "local",
  chatId: "chat-1",
  currentStage: "plan",
  scenario: "agent-entry",
  isActive: true,
  createdAt: "2026-01-01T10:00:00.000Z",
  updatedAt: "2026-01-01T10:00:00.000Z",
};

const bySession = {
  description: "calls on one session run in order",
  key: (params: { sessionId?: string | undefined }) => (params.sessionId === undefined ? undefined : `session:${params.sessionId}`),
};

export const sessionCreate = method({
  name: "agent.session.create",
  summary: "Creates a session, or updates the fields of the one that already has this `sessionId`. The reply is sent once it is safely on disk.",
  params: z
    .object({
      sessionId: Id.optional().describe("Made up (`sess_…`) when left out."),
      userId: z.string().max(256).optional().describe("Whose session it is; `local` when left out."),
      chatId: z.string().max(256).optional().describe("The host's chat thread; made up (`chat_…`) when left out."),
      projectId: z.string().max(256).nullish().describe("The host's own; `null` takes it away."),
      currentStage: z.string().max(256).optional().describe("Where the host's work stands; `plan` when left out."),
      nextStage: z.string().max(256).nullish().describe("The host's own; `null` takes it away."),
      scenario: z.string().max(256).optional().describe("What the session is for; `agent-entry` when left out."),
      stageData: JsonObject.nullish().describe("The host's own state; `null` takes it away."),
    })
    .nullish()
    .transform((params) => params ?? {}),
  result: AgentSession,
  errors: ["storage"],
  concurrency: bySession,
  example: { params: { chatId: "chat-1" }, result: sessionExample },
});

export const sessionResume = method({
  name: "agent.session.resume",
  summary: "The session, open for new turns again if it was closed.",
  params: z.object({ sessionId: Id }),
  result: AgentSession,
  errors: ["session_not_found", "storage"],
  concurrency: bySession,
  example: { params: { sessionId: "sess_V1StGXR8Z5jdHi6B" }, result: sessionExample },
});

export const sessionList = method({
  name: "agent.session.list",
  summary: "Sessions, the one used last first.",
  params: z
    .object({
      userId: z.string().optional().describe("Only sessions of this user."),
      chatId: z.string().optional().describe("Only sessions of this chat thread."),
      activeOnly: z.boolean().optional().describe("True leaves out sessions that were closed."),
      limit: z.int().min(1).max(1000).optional().describe("100 when left out."),
      after: Id.optional().describe("The `sessionId` that ended the page before."),
    })
    .nullish()
    .transform((params) => params ?? {}),
  result: z.array(AgentSession),
  errors: ["session_not_found", "storage"],
  example: { params: { chatId: "chat-1", limit: 20 }, result: [sessionExample] },
});

export const sessionGet = method({
  name: "agent.session.get",
  summary: "A session with its messages, oldest first, page by page. A page holds at most `limit` messages, and fewer when they are long (about 4 MiB a page).",
  params: z.object({
    sessionId: Id,
    limit: z.int().min(1).max(1000).optional().describe("100 when left out."),
    cursor: Cursor.optional(),
  }),
  result: z.object({
    session: AgentSession,
    messages: z.array(StoredMessage).describe("In the order of the turns."),
    nextCursor: z.string().optional().describe("Absent on the last page."),
  }),
  errors: ["session_not_found", "storage"],
  example: {
    params: { sessionId: "sess_V1StGXR8Z5jdHi6B", limit: 2 },
    result: {
      session: sessionExample,
      messages: [
        {
          messageId: "str_42-0",
          turnId: "str_42",
          turnStatus: "completed",
          role: "user",
          content: "Say hi",
          partial: false,
          createdAt: "2026-01-01T10:00:00.000Z",
        },
        {
          messageId: "str_42-1",
          turnId: "str_42",
          turnStatus: "completed",
          role: "assistant",
          content: "Hi!",
          partial: false,
          createdAt: "2026-01-01T10:00:01.000Z",
        },
      ],
    },
  },
});

export const sessionClose = method({
  name: "agent.session.close",
  summary: "Marks a session as done (`isActive` false): it takes no new turns until it is resumed. A turn that is running goes on to its end.",
  params: z.object({ sessionId: Id }),
  result: AgentSession,
  errors: ["session_not_found", "storage"],
  concurrency: bySession,
  example: { params: { sessionId: "sess_V1StGXR8Z5jdHi6B" }, result: { ...sessionExample, isActive: false } },
});

export const sessionDelete = method({
  name: "agent.session.delete",
  summary: "Cancels what runs in a session and deletes it with its messages.",
  params: z.object({ sessionId: Id }),
  result: z.null(),
  errors: ["session_not_found", "storage"],
  concurrency: bySession,
  example: { params: { sessionId: "sess_V1StGXR8Z5jdHi6B" }, result: null },
});

export const sessionFork = method({
  name: "agent.session.fork",
  summary: "A new session with a copy of the turns of another, all of them or those up to one. Turns that are still running are left out.",
  params: z.object({
    sessionId: Id.describe("The session to copy."),
    throughTurnId: z.string().max(256).optional().describe("The last turn to copy (`turnId` of a message); the last one that has ended when left out."),
    newSessionId: Id.optional().describe("Made up (`sess_…`) when left out; must not exist."),
    chatId: z.string().max(256).optional().describe("Of the new session; that of the old one when left out."),
  }),
  result: AgentSession,
  errors: ["session_not_found", "turn_not_found", "storage"],
  concurrency: bySession,
  example: { params: { sessionId: "sess_9f3b2a" }, result: sessionExample },
});

/** Which model is asked, and how: what every method that calls one takes. */
export const ModelParams = z.object({
  provider: z
    .string()
    .min(1)
    .max(64)
    .describe("`openai` (also `openai_compat`, `openai-compatible`, `ollama`), `anthropic` (also `claude`), `echo` or `scripted`."),
  model: z.string().max(256).optional().describe("Needed unless the provider has one in the configuration; `echo` and `scripted` need none."),
  baseUrl: z
    .url({ protocol: /^https?$/ })
    .optional()
    .describe("Address of the model server, up to what the provider adds (`/chat/completions`, `/v1/messages`)."),
  apiKey: z
    .string()
    .max(8192)
    .optional()
    .describe(
      "Used for this call only; never stored or logged. Else the configuration's, else that of the environment (`OPENAI_API_KEY`, `ANTHROPIC_API_KEY`).",
    ),
  temperature: z.number().optional().describe("Passed to the model server as it is."),
  maxTokens: z.int().min(1).optional().describe("Longest answer of one model call."),
  idleTimeoutMs: z
    .int()
    .min(1)
    .optional()
    .describe("Milliseconds of silence from the model server before the stream fails; the configuration's when left out."),
  providerOptions: JsonObject.optional().describe("Merged into the body of the request to the model server; `null` takes a key out of it."),
});
export type ModelParams = z.output<typeof ModelParams>;

export const sessionCompress = method({
  name: "agent.session.compress",
  summary:
    "Has the model summarize the older part of a session: from then on turns send the summary in its place. The messages stay in the store, and `agent.session.get` still shows them. A call of a tool stays with its result. Waits for the turns of the session before it.",
  params: ModelParams.extend({
    sessionId: Id,
    keepTurns: z
      .int()
      .min(0)
      .max(1000)
      .optional()
      .describe("Turns at the end that stay as they are; `compaction.keepTurns` of the configuration when left out."),
    instructions: z.string().max(16_384).optional().describe("What the summary should look out for, in addition to what it always keeps."),
  }),
  result: z.object({
    summary: z.string().describe("Empty when there was nothing to summarize."),
    summarizedMessages: z.int().min(0).describe("Messages that the summary stands for, those of earlier summaries included."),
    tokensBefore: z.int().min(0).describe("Estimate of what the history took."),
    tokensAfter: z.int().min(0).describe("Estimate of what it takes now."),
    usage: Usage.optional(),
    traceId: z.string().optional().describe("Of the model call, where there was one."),
  }),
  errors: ["session_not_found", "session_closed", "storage", "budget_exhausted", "turn_failed"],
  concurrency: bySession,
  example: {
    params: { sessionId: "sess_V1StGXR8Z5jdHi6B", provider: "openai", model: "gpt-4o-mini" },
    result: { summary: "The user wants …", summarizedMessages: 42, tokensBefore: 18_000, tokensAfter: 900, traceId: "tr_9b1deb4d3b" },
  },
});

const BudgetState = z.object({ used: Spending, limits: Budget });

export const budgetGet = method({
  name: "agent.budget.get",
  summary: "What was used of the budgets, and their limits.",
  params: z
    .object({ sessionId: Id.optional() })
    .nullish()
    .transform((params) => params ?? {}),
  result: z.object({
    process: BudgetState.describe("All turns, also those of earlier runs on the same database."),
    session: BudgetState.optional().describe("All turns of the session, where one was named."),
  }),
  errors: ["session_not_found", "storage"],
  example: {
    result: { process: { used: { tokens: 1200, steps: 3, toolCalls: 1, costUsd: 0.004, wallMs: 5100 }, limits: { maxTokens: 1_000_000 } } },
  },
});

export const budgetReset = method({
  name: "agent.budget.reset",
  summary: "Sets what was used back to nothing: of the session that is named, else of the process. What runs at the moment stays counted.",
  params: z
    .object({ sessionId: Id.optional() })
    .nullish()
    .transform((params) => params ?? {}),
  result: z.null(),
  errors: ["session_not_found", "storage"],
  example: { params: { sessionId: "sess_V1StGXR8Z5jdHi6B" }, result: null },
});

export const IdempotencyKey = z
  .string()
  .min(1)
  .max(256)
  .describe("Makes a repetition harmless: the same key with the same params gives what the first call came to, also after a crash. Kept for a day.");

export const ChatParams = ModelParams.extend({
  messages: z.array(ChatMessage).min(1).describe("With a `sessionId`: the new messages only, the history is sent along. Otherwise the whole conversation."),
  sessionId: Id.optional().describe("The session that the turn belongs to; it has to exist and be open."),
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

export const chatStream = method({
  name: "agent.chat.stream",
  summary:
    "Starts a turn: the model is called, the tools of `useTools` that it asks for are run, and it is called again with their results, until it is done. The reply comes at once (with a `sessionId`: once the messages are safely on disk); chunks follow it, then exactly one `stream.done` or `stream.error`. Turns of one session run in order.",
  params: ChatParams,
  result: z.object({ streamId: z.string().describe("Names the stream in its notifications and in `agent.chat.cancel`.") }),
  errors: ["session_not_found", "session_closed", "storage"],
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

export const chatComplete = method({
  name: "agent.chat.complete",
  summary:
    "The same turn as `agent.chat.stream`, answered once, when it is done: no chunks are sent. Cancel it with `$/cancelRequest`, or by its `streamId`. A turn that fails is an error whose `data` holds `failure` (as in `stream.error`), the `message` as far as it came, and `traceId`.",
  params: ChatParams,
  result: z.object({
    message: z.object({ role: z.literal("assistant"), content: z.string() }).describe("The last answer of the model."),
    toolCalls: z
      .array(ToolCall.extend({ result: ToolResult.optional().describe("What the call came to. Absent: it is one of `tools`, which the host runs.") }))
      .describe("Every call of the turn, in order."),
    turns: z.int().min(0).describe("How often the model was called."),
    usage: Usage.optional().describe("Of all model calls together, where the model server counts."),
    costUsd: z.number().optional().describe("US dollars, where the price of the model is known."),
    finishReason: z.string().optional().describe("As in the last chunk of a stream."),
    providerData: ProviderData.optional().describe("Send it back with the assistant message when you go on without a session."),
    streamId: z.string(),
    traceId: z.string().describe("For `trace.fetch`."),
  }),
  errors: ["session_not_found", "session_closed", "storage", "budget_exhausted", "turn_failed"],
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

export const chatSteer = method({
  name: "agent.chat.steer",
  summary:
    "Adds a user message to a turn that is running: it is sent with the next model call, and where the model was about to finish there is a next one for it. Where the turn ends with calls that the host has to run, it goes with the next turn of the session (outside a session the host has to send it itself). `stream_not_found` when the turn has ended, or is about to.",
  params: z.object({
    streamId: z.string().min(1).describe("From the reply to `agent.chat.stream`."),
    content: z.union([z.string().min(1), z.array(ContentPart).min(1)]).describe("As in a message."),
  }),
  result: z.null(),
  errors: ["stream_not_found"],
  example: { params: { streamId: "str_4f90d13a42", content: "And in French, please" }, result: null },
});

export const chatCancel = method({
  name: "agent.chat.cancel",
  summary:
    "Stops a stream, the model and every tool that is running for it; it ends with `stream.done {ok: false, cancelled: true}`. Nothing happens when it has already ended.",
  params: z.object({ streamId: z.string().min(1).describe("From the reply to `agent.chat.stream`.") }),
  result: z.null(),
  errors: [],
  example: { params: { streamId: "str_4f90d13a42" }, result: null },
});

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
