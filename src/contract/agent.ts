import * as z from "zod";
import { method, notification } from "./define.ts";
import { AgentSession, ChatMessage, Cursor, FailureKindSchema, Id, JsonObject, ProviderData, StoredMessage, ToolCall, ToolDescriptor, Usage } from "./model.ts";

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

export const ChatStreamParams = z.object({
  provider: z
    .string()
    .min(1)
    .max(64)
    .describe("`openai` (also `openai_compat`, `openai-compatible`, `ollama`), `anthropic` (also `claude`), `echo` or `scripted`."),
  model: z.string().max(256).optional().describe("Needed unless the provider has one in the configuration; `echo` and `scripted` need none."),
  messages: z.array(ChatMessage).min(1).describe("With a `sessionId`: the new messages only, the history is sent along. Otherwise the whole conversation."),
  sessionId: Id.optional().describe("The session that the turn belongs to; it has to exist and be open."),
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
  maxTokens: z.int().min(1).optional().describe("Longest answer."),
  tools: z
    .array(ToolDescriptor)
    .optional()
    .describe("Tools that the host runs: the model's calls come as `toolCall`, the host answers with a tool message in its next call."),
  streamId: Id.optional().describe("Made up (`str_…`) when left out; must not be that of a stream that is still open."),
  idleTimeoutMs: z
    .int()
    .min(1)
    .optional()
    .describe("Milliseconds of silence from the model server before the stream fails; the configuration's when left out."),
  providerOptions: JsonObject.optional().describe("Merged into the body of the request to the model server; `null` takes a key out of it."),
});
export type ChatStreamParams = z.output<typeof ChatStreamParams>;

export const chatStream = method({
  name: "agent.chat.stream",
  summary:
    "Starts a turn. The reply comes at once (with a `sessionId`: once the messages are safely on disk); chunks follow it, then exactly one `stream.done` or `stream.error`. Turns of one session run in order.",
  params: ChatStreamParams,
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

export const chatCancel = method({
  name: "agent.chat.cancel",
  summary: "Stops a stream; it ends with `stream.done {ok: false, cancelled: true}`. Nothing happens when it has already ended.",
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
    toolCall: ToolCall.optional().describe("A call that the model asks for."),
    providerData: ProviderData.optional().describe("Send it back with the assistant message when you go on without a session."),
    usage: Usage.optional().describe("Comes with the finish reason, where the model server counts."),
    finishReason: z.string().optional().describe("`stop`, `length`, `tool_calls`, `content_filter`, or the model server's own word."),
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
    usage: Usage.optional().describe("As in the last chunk."),
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
