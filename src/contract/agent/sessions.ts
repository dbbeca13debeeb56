import * as z from "zod";
import { method } from "../define.ts";
import { AgentSession, Cursor, Id, JsonObject, StoredMessage, Usage } from "../model.ts";
import { KeptUrl, ModelParams } from "./model-params.ts";

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

/** Calls on one session run in the order in which they came. */
export const bySession = {
  description: "calls on one session run in order",
  key: (params: { sessionId?: string | undefined }) => (params.sessionId === undefined ? undefined : `session:${params.sessionId}`),
};

/** What a session says about the model that its turns ask. */
const choice = {
  provider: z
    .string()
    .min(1)
    .max(64)
    .nullish()
    .describe(
      "Asked by turns of the session that name none; `null` takes it away. Another provider than before takes `model` and `baseUrl` away, unless they come with it.",
    ),
  model: z.string().min(1).max(256).nullish().describe("The same for the model; without a `provider` it may name one as well: `openai:gpt-4o`."),
  baseUrl: KeptUrl.nullish().describe(
    "The same for the address of the model server. Keys of the configuration and the environment never go to it, unless it is on the server that is configured for the provider.",
  ),
};

export const create = method({
  name: "agent.session.create",
  scope: "write",
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
      alias: z.string().max(256).nullish().describe("What people call the session; `null` takes it away."),
      ...choice,
    })
    .nullish()
    .transform((params) => params ?? {}),
  result: AgentSession,
  touches: { session: ({ sessionId }) => sessionId },
  errors: ["storage"],
  concurrency: bySession,
  example: { params: { chatId: "chat-1" }, result: sessionExample },
});

export const resume = method({
  name: "agent.session.resume",
  scope: "write",
  summary: "The session, open for new turns again if it was closed.",
  params: z.object({ sessionId: Id }),
  result: AgentSession,
  touches: { session: ({ sessionId }) => sessionId },
  errors: ["session_not_found", "storage"],
  concurrency: bySession,
  example: { params: { sessionId: "sess_V1StGXR8Z5jdHi6B" }, result: sessionExample },
});

export const list = method({
  name: "agent.session.list",
  scope: "read",
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

export const get = method({
  name: "agent.session.get",
  scope: "read",
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
  touches: { session: ({ sessionId }) => sessionId },
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

export const close = method({
  name: "agent.session.close",
  scope: "write",
  summary: "Marks a session as done (`isActive` false): it takes no new turns until it is resumed. A turn that is running goes on to its end.",
  params: z.object({ sessionId: Id }),
  result: AgentSession,
  touches: { session: ({ sessionId }) => sessionId },
  errors: ["session_not_found", "storage"],
  concurrency: bySession,
  example: { params: { sessionId: "sess_V1StGXR8Z5jdHi6B" }, result: { ...sessionExample, isActive: false } },
});

export const remove = method({
  name: "agent.session.delete",
  scope: "write",
  summary: "Cancels what runs in a session and deletes it with its messages.",
  params: z.object({ sessionId: Id }),
  result: z.null(),
  touches: { session: ({ sessionId }) => sessionId },
  errors: ["session_not_found", "storage"],
  concurrency: bySession,
  example: { params: { sessionId: "sess_V1StGXR8Z5jdHi6B" }, result: null },
});

export const fork = method({
  name: "agent.session.fork",
  scope: "write",
  summary: "A new session with a copy of the turns of another, all of them or those up to one. Turns that are still running are left out.",
  params: z.object({
    sessionId: Id.describe("The session to copy."),
    throughTurnId: z.string().max(256).optional().describe("The last turn to copy (`turnId` of a message); the last one that has ended when left out."),
    newSessionId: Id.optional().describe("Made up (`sess_…`) when left out; must not exist."),
    chatId: z.string().max(256).optional().describe("Of the new session; that of the old one when left out."),
  }),
  result: AgentSession,
  touches: { session: ({ sessionId }) => sessionId },
  errors: ["session_not_found", "turn_not_found", "storage"],
  concurrency: bySession,
  example: { params: { sessionId: "sess_9f3b2a" }, result: sessionExample },
});

export const compress = method({
  name: "agent.session.compress",
  scope: "write",
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
  touches: { session: ({ sessionId }) => sessionId },
  errors: ["session_not_found", "session_closed", "storage", "budget_exhausted", "turn_failed"],
  concurrency: bySession,
  example: {
    params: { sessionId: "sess_V1StGXR8Z5jdHi6B", provider: "openai", model: "gpt-4o-mini" },
    result: { summary: "The user wants …", summarizedMessages: 42, tokensBefore: 18_000, tokensAfter: 900, traceId: "tr_9b1deb4d3b" },
  },
});

export const configure = method({
  name: "agent.session.configure",
  scope: "write",
  summary:
    "Says which model turns of a session ask, where, with which key and how, as far as they do not say so themselves. What is left out stays, `null` takes it away. Provider, model and address are stored with the session. The key is kept in memory only and goes to no other server than the one that the session asked when it was given; it, `temperature` and `maxTokens` are forgotten when the process ends, and when the session is deleted.",
  params: z.object({
    sessionId: Id,
    ...choice,
    apiKey: z.string().min(1).max(8192).nullish().describe("Never stored or logged. Not copied by `agent.session.fork`."),
    temperature: z.number().nullish().describe("Passed to the model server as it is."),
    maxTokens: z.int().min(1).nullish().describe("Longest answer of one model call."),
  }),
  result: AgentSession,
  touches: { session: ({ sessionId }) => sessionId },
  errors: ["session_not_found", "session_closed", "storage"],
  concurrency: bySession,
  example: {
    params: { sessionId: "sess_V1StGXR8Z5jdHi6B", provider: "openai", model: "gpt-4o-mini", apiKey: "example-key" },
    result: { ...sessionExample, provider: "openai", model: "gpt-4o-mini" },
  },
});

export const empty = method({
  name: "agent.session.empty",
  scope: "write",
  summary:
    "Deletes the messages of a session, and their summaries; the session and what was used of its budget stay. Waits for the turns of the session before it, and calls on the session that come later wait for it.",
  params: z.object({ sessionId: Id }),
  result: AgentSession,
  touches: { session: ({ sessionId }) => sessionId },
  errors: ["session_not_found", "storage"],
  concurrency: bySession,
  example: { params: { sessionId: "sess_V1StGXR8Z5jdHi6B" }, result: sessionExample },
});
