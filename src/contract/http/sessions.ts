/** Sessions, and what there is to attach to them, under `/v1`. */
import * as z from "zod";
import { type ErrorName, fail } from "../../errors.ts";
import type { AgentSession, StoredMessage } from "../model.ts";
import { ById, sessionPage } from "./by-id.ts";
import { route } from "./define.ts";
import { ModelId, modelIdOf, splitModelId } from "../model-id.ts";
import { optional, optionalBody } from "./optional.ts";

type Kind = "role" | "agent" | "rag";
const notFound: Record<Kind, ErrorName> = { role: "role_not_found", agent: "agent_not_found", rag: "rag_not_found" };

const Name = z.string().min(1).max(256);

const Session = z
  .object({
    id: z.string().describe("A UUID, unless the session was made elsewhere."),
    alias: z.string().nullable(),
    agent: z.string().nullable(),
    role: z.string().nullable(),
    rag: z.string().nullable(),
    model: z.string().nullable().describe("`provider:name`"),
    is_active: z.boolean().describe("False once it was closed."),
    created_at: z.iso.datetime(),
    updated_at: z.iso.datetime(),
  })
  .describe("A session.");

const Message = z.object({
  id: z.string(),
  role: z.enum(["system", "user", "assistant", "tool"]),
  content: z.union([z.string(), z.array(z.looseObject({ type: z.string() }))]).describe("Text, or parts (text and images)."),
  tool_calls: z.array(z.object({ id: z.string(), name: z.string(), args: z.string() })).optional(),
  tool_call_id: z.string().optional(),
  partial: z.boolean().describe("True where the text stops before the model was done."),
  created_at: z.iso.datetime(),
});

const sessionExample: z.output<typeof Session> = {
  id: "550e8400-e29b-41d4-a716-446655440000",
  alias: "my-project",
  agent: null,
  role: null,
  rag: null,
  model: "openai:gpt-4o",
  is_active: true,
  created_at: "2026-01-01T10:00:00.000Z",
  updated_at: "2026-01-01T10:00:00.000Z",
};

export const create = route({
  surface: "completions",
  verb: "POST",
  path: "/v1/sessions",
  summary: "Creates a session that belongs to the caller.",
  method: "agent.session.create",
  request: {
    body: optionalBody({
      alias: optional(Name).describe("What people call it."),
      role: optional(Name),
      agent: optional(Name),
      rag: optional(Name),
      model: optional(ModelId).describe("Asked where a prompt names no model: `provider:name`."),
    }),
  },
  status: 201,
  response: Session,
  params: ({ body }) => {
    for (const kind of ["role", "agent", "rag"] as const) if (body[kind] !== undefined) throw unknown(kind, body[kind]);
    return { sessionId: crypto.randomUUID(), ...splitModelId(body.model), ...(body.alias === undefined ? {} : { alias: body.alias }) };
  },
  reply: sessionOf,
  errors: ["role_not_found", "agent_not_found", "rag_not_found"],
  example: { request: { alias: "my-project", model: "openai:gpt-4o" }, response: sessionExample },
});

export const list = route({
  surface: "completions",
  verb: "GET",
  path: "/v1/sessions",
  summary: "The caller's sessions, the one used last first.",
  method: "agent.session.list",
  request: {
    query: sessionPage("id"),
  },
  status: 200,
  response: z.array(Session),
  params: ({ query }) => query,
  reply: (sessions) => sessions.map(sessionOf),
  example: { response: [sessionExample] },
});

export const get = route({
  surface: "completions",
  verb: "GET",
  path: "/v1/sessions/{id}",
  summary: "A session with its messages, oldest first.",
  method: "agent.session.get",
  request: {
    path: ById,
    query: z.object({
      limit: z.coerce.number<string>().int().min(1).max(1000).optional().describe("Messages; 1,000 when left out, fewer when they are long."),
      cursor: z.string().max(256).optional().describe("`next_cursor` of the page before."),
    }),
  },
  status: 200,
  response: Session.extend({ messages: z.array(Message), next_cursor: z.string().nullable().describe("Null on the last page.") }),
  params: ({ path, query }) => ({ sessionId: path.id, limit: query.limit ?? 1000, ...(query.cursor === undefined ? {} : { cursor: query.cursor }) }),
  reply: ({ session, messages, nextCursor }) => ({ ...sessionOf(session), messages: messages.map(messageOf), next_cursor: nextCursor ?? null }),
  example: { response: { ...sessionExample, messages: [], next_cursor: null } },
});

export const remove = route({
  surface: "completions",
  verb: "DELETE",
  path: "/v1/sessions/{id}",
  summary: "Cancels what runs in a session and deletes it with its messages.",
  method: "agent.session.delete",
  isSpared: true,
  request: { path: ById },
  status: 204,
  response: z.null(),
  params: ({ path }) => ({ sessionId: path.id }),
  reply: () => null,
  example: {},
});

export const compress = route({
  surface: "completions",
  verb: "POST",
  path: "/v1/sessions/{id}/compress",
  summary: "Has the model summarize the older part of a session.",
  method: "agent.session.compress",
  request: {
    path: ById,
    body: optionalBody({ model: optional(ModelId).describe("Makes the summary; the session's when left out.") }),
  },
  status: 200,
  response: z.object({
    session_id: z.string(),
    compressed: z.boolean().describe("False when there was nothing to summarize."),
    summary: z.string(),
    summarized_messages: z.int().min(0),
    tokens_before: z.int().min(0),
    tokens_after: z.int().min(0),
  }),
  params: ({ path, body }) => ({ sessionId: path.id, ...splitModelId(body.model) }),
  reply: ({ summary, summarizedMessages, tokensBefore, tokensAfter }, { path }) => ({
    session_id: path.id,
    compressed: summarizedMessages > 0,
    summary,
    summarized_messages: summarizedMessages,
    tokens_before: tokensBefore,
    tokens_after: tokensAfter,
  }),
  errors: ["cancelled"],
  example: {
    response: {
      session_id: sessionExample.id,
      compressed: true,
      summary: "The user wants …",
      summarized_messages: 42,
      tokens_before: 18_000,
      tokens_after: 900,
    },
  },
});

export const empty = route({
  surface: "completions",
  verb: "POST",
  path: "/v1/sessions/{id}/empty",
  summary: "Deletes the messages of a session; the session stays.",
  method: "agent.session.empty",
  request: { path: ById },
  status: 200,
  response: Session,
  params: ({ path }) => ({ sessionId: path.id }),
  reply: sessionOf,
  example: { response: sessionExample },
});

export const attachRole = attach("role");
export const attachAgent = attach("agent");
export const attachRag = attach("rag");
export const detachRole = detach("role");
export const detachAgent = detach("agent");
export const detachRag = detach("rag");

/** There is none of them yet that could be attached. */
function attach(kind: Kind) {
  return route({
    surface: "completions",
    verb: "POST",
    path: `/v1/sessions/{id}/${kind}`,
    summary: `Attaches ${withArticle(kind)} to a session.`,
    method: "agent.session.get",
    scope: "write",
    request: { path: ById, body: z.object({ name: Name }) },
    status: 200,
    response: Session,
    params: ({ path }) => ({ sessionId: path.id, limit: 1 }),
    reply: (_, { body }) => {
      throw unknown(kind, body.name);
    },
    errors: [notFound[kind]],
    example: { request: { name: "explain" } },
  });
}

function detach(kind: Kind) {
  return route({
    surface: "completions",
    verb: "DELETE",
    path: `/v1/sessions/{id}/${kind}`,
    summary: `Detaches the ${kind} of a session; nothing happens where there is none.`,
    method: "agent.session.get",
    scope: "write",
    request: { path: ById },
    status: 204,
    response: z.null(),
    params: ({ path }) => ({ sessionId: path.id, limit: 1 }),
    reply: () => null,
    example: {},
  });
}

function unknown(kind: Kind, name: string) {
  return fail(notFound[kind], { [kind]: name });
}

function withArticle(kind: Kind): string {
  return kind === "agent" ? "an agent" : `a ${kind}`;
}

function sessionOf({ sessionId, alias, provider, model, isActive, createdAt, updatedAt }: AgentSession): z.output<typeof Session> {
  return {
    id: sessionId,
    alias: alias ?? null,
    agent: null,
    role: null,
    rag: null,
    model: modelIdOf({ provider, model }),
    is_active: isActive,
    created_at: createdAt,
    updated_at: updatedAt,
  };
}

function messageOf({ messageId, role, content, toolCalls, toolCallId, partial, createdAt }: StoredMessage): z.output<typeof Message> {
  return {
    id: messageId,
    role,
    content,
    ...(toolCalls === undefined
      ? {}
      : { tool_calls: toolCalls.map(({ id, name, arguments: args, argumentsText }) => ({ id, name, args: argumentsText ?? JSON.stringify(args) })) }),
    ...(toolCallId === undefined ? {} : { tool_call_id: toolCallId }),
    partial,
    created_at: createdAt,
  };
}
