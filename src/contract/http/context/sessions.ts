/** Sessions with a context of their own, at the root: made, watched, configured, closed. */
import * as z from "zod";
import type { AgentSession } from "../../model.ts";
import { CONTEXT_SCENARIO } from "../../scenarios.ts";
import { ById, sessionPage } from "../by-id.ts";
import { route } from "../define.ts";
import { optionalBody } from "../optional.ts";

/** Of the specification that these routes follow. */
const CONTEXT_PROTOCOL = "2.0.0";

/** Who is asked, and where. */
const ModelServer = {
  provider: z.string().min(1).max(64).optional().describe("`openai`, `ollama`, `anthropic`, …"),
  model: z.string().min(1).max(256).optional(),
  base_url: z
    .url({ protocol: /^https?$/ })
    .optional()
    .describe("Address of the model server, `http:` or `https:`."),
};

const Session = z.object({
  session_id: z.string(),
  protocol_version: z.literal(CONTEXT_PROTOCOL),
  status: z.enum(["active", "closed"]),
  provider: z.string().nullable(),
  model: z.string().nullable(),
  created_at: z.iso.datetime(),
  updated_at: z.iso.datetime(),
});

const sessionExample: z.output<typeof Session> = {
  session_id: "550e8400-e29b-41d4-a716-446655440000",
  protocol_version: CONTEXT_PROTOCOL,
  status: "active",
  provider: "ollama",
  model: "qwen3-4b",
  created_at: "2026-01-01T10:00:00.000Z",
  updated_at: "2026-01-01T10:00:00.000Z",
};

export const create = route({
  surface: "context",
  verb: "POST",
  path: "/sessions",
  summary: "Creates a session that belongs to the caller. How many may be open at a time is limited.",
  method: "agent.session.create",
  makesSession: true,
  request: {
    body: optionalBody(ModelServer),
  },
  status: 201,
  response: Session,
  params: ({ body }) => ({ sessionId: crypto.randomUUID(), scenario: CONTEXT_SCENARIO, ...serverOf(body) }),
  reply: sessionOf,
  errors: ["too_many_sessions"],
  example: { request: { provider: "ollama", model: "qwen3-4b" }, response: sessionExample },
});

export const list = route({
  surface: "context",
  verb: "GET",
  path: "/sessions",
  summary: "The caller's sessions that are open, the one used last first.",
  method: "agent.session.list",
  request: {
    query: sessionPage("session_id"),
  },
  status: 200,
  response: z.object({ sessions: z.array(Session) }),
  params: ({ query }) => ({ ...query, activeOnly: true }),
  reply: (sessions) => ({ sessions: sessions.map(sessionOf) }),
  example: { response: { sessions: [sessionExample] } },
});

export const status = route({
  surface: "context",
  verb: "GET",
  path: "/sessions/{id}/status",
  summary: "How a session stands.",
  method: "agent.session.get",
  request: { path: ById },
  status: 200,
  response: Session,
  params: ({ path }) => ({ sessionId: path.id, limit: 1 }),
  reply: ({ session }) => sessionOf(session),
  example: { response: sessionExample },
});

export const close = route({
  surface: "context",
  verb: "POST",
  path: "/sessions/{id}/close",
  summary: "Closes a session: it takes no more tasks. A task that is running goes on to its end.",
  method: "agent.session.close",
  request: { path: ById },
  status: 200,
  response: Session,
  params: ({ path }) => ({ sessionId: path.id }),
  reply: sessionOf,
  example: { response: { ...sessionExample, status: "closed" } },
});

export const providers = route({
  surface: "context",
  verb: "POST",
  path: "/sessions/{id}/providers",
  summary: "Says which model a session asks, where, and with which key. The key is kept in memory only.",
  method: "agent.session.configure",
  request: {
    path: ById,
    body: z.object({
      ...ModelServer,
      api_key: z.string().min(1).max(8192).optional().describe("Never stored or logged; said again after a restart."),
    }),
  },
  status: 200,
  response: Session,
  params: ({ path, body }) => ({ sessionId: path.id, ...serverOf(body), ...(body.api_key === undefined ? {} : { apiKey: body.api_key }) }),
  reply: sessionOf,
  example: { request: { provider: "openai", model: "gpt-4o-mini" }, response: { ...sessionExample, provider: "openai", model: "gpt-4o-mini" } },
});

function serverOf({ provider, model, base_url }: { provider?: string | undefined; model?: string | undefined; base_url?: string | undefined }) {
  return {
    ...(provider === undefined ? {} : { provider }),
    ...(model === undefined ? {} : { model }),
    ...(base_url === undefined ? {} : { baseUrl: base_url }),
  };
}

function sessionOf({ sessionId, isActive, provider, model, createdAt, updatedAt }: AgentSession): z.output<typeof Session> {
  return {
    session_id: sessionId,
    protocol_version: CONTEXT_PROTOCOL,
    status: isActive ? "active" : "closed",
    provider: provider ?? null,
    model: model ?? null,
    created_at: createdAt,
    updated_at: updatedAt,
  };
}
