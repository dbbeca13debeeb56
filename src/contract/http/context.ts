/** Sessions with a context of their own, at the root: made, asked, watched, closed. */
import * as z from "zod";
import { fail } from "../../errors.ts";
import { type AgentSession, Id } from "../model.ts";
import { CONTEXT_SCENARIO } from "../scenarios.ts";
import { ById } from "./by-id.ts";
import { route } from "./define.ts";

/** Of the specification that these routes follow. */
const CONTEXT_PROTOCOL = "2.0.0";

const ProviderName = z.string().min(1).max(64).describe("`openai`, `ollama`, `anthropic`, …");
const ModelName = z.string().min(1).max(256);

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
    body: z
      .object({
        provider: ProviderName.optional(),
        model: ModelName.optional(),
        base_url: z
          .url({ protocol: /^https?$/ })
          .optional()
          .describe("Address of the model server, `http:` or `https:`."),
      })
      .nullish()
      .transform((body) => body ?? {}),
  },
  status: 201,
  response: Session,
  params: ({ body: { provider, model, base_url } }) => ({
    sessionId: crypto.randomUUID(),
    scenario: CONTEXT_SCENARIO,
    ...(provider === undefined ? {} : { provider }),
    ...(model === undefined ? {} : { model }),
    ...(base_url === undefined ? {} : { baseUrl: base_url }),
  }),
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
    query: z.object({
      limit: z.coerce.number<string>().int().min(1).max(1000).optional().describe("100 when left out."),
      after: Id.optional().describe("The `session_id` that ended the page before."),
    }),
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
      provider: ProviderName.optional(),
      model: ModelName.optional(),
      base_url: z
        .url({ protocol: /^https?$/ })
        .optional()
        .describe("Address of the model server, `http:` or `https:`."),
      api_key: z.string().min(1).max(8192).optional().describe("Never stored or logged; said again after a restart."),
    }),
  },
  status: 200,
  response: Session,
  params: ({ path, body: { provider, model, base_url, api_key } }) => ({
    sessionId: path.id,
    ...(provider === undefined ? {} : { provider }),
    ...(model === undefined ? {} : { model }),
    ...(base_url === undefined ? {} : { baseUrl: base_url }),
    ...(api_key === undefined ? {} : { apiKey: api_key }),
  }),
  reply: sessionOf,
  example: { request: { provider: "openai", model: "gpt-4o-mini" }, response: { ...sessionExample, provider: "openai", model: "gpt-4o-mini" } },
});

const Task = z
  .object({
    task: z.string().min(1).optional().describe("What is to be done. Has to be there, unless `task_input` is."),
    task_input: z.string().min(1).optional().describe("Another name for it. One of the two is given, not both."),
    system_prompt: z.string().optional(),
    expected_output_type: z.string().min(1).max(256).optional().describe("What the answer should be: `markdown`, `json`, …"),
    max_tokens: z.int().min(1).optional().describe("Longest answer."),
    temperature: z.number().optional(),
  })
  .refine(({ task, task_input }) => (task === undefined) !== (task_input === undefined), { path: ["task"], message: "give either task or task_input" })
  // For JSON Schema, which does not see the rule above.
  .meta({ oneOf: [{ required: ["task"] }, { required: ["task_input"] }] });
type Task = z.output<typeof Task>;

export const dispatch = route({
  surface: "context",
  verb: "POST",
  path: "/sessions/{id}/dispatch",
  summary: "Gives a session a task and waits for the answer.",
  method: "agent.chat.complete",
  isDispatch: true,
  request: { path: ById, body: Task },
  status: 200,
  response: z.object({
    session_id: z.string(),
    output: z.string(),
    quality_tier: z.string().nullable().describe("Null where the answer was not rated."),
    facts_extracted: z.int().min(0),
    finish_reason: z.string().nullable(),
    usage: z.object({ input_tokens: z.int().min(0), output_tokens: z.int().min(0) }).nullable(),
    cost_usd: z.number().min(0).nullable().describe("Where the price of the model is known."),
  }),
  params: ({ path, body }) => ({
    sessionId: path.id,
    messages: messagesOf(body),
    ...(body.max_tokens === undefined ? {} : { maxTokens: body.max_tokens }),
    ...(body.temperature === undefined ? {} : { temperature: body.temperature }),
  }),
  reply: ({ message, finishReason, usage, costUsd }, { path }) => ({
    session_id: path.id,
    output: message.content,
    quality_tier: null,
    facts_extracted: 0,
    finish_reason: finishReason ?? null,
    usage: usage === undefined ? null : { input_tokens: usage.promptTokens, output_tokens: usage.completionTokens },
    cost_usd: costUsd ?? null,
  }),
  errors: ["cancelled"],
  example: {
    request: { task: "Explain the CAP theorem", expected_output_type: "markdown" },
    response: {
      session_id: sessionExample.session_id,
      output: "# CAP\n…",
      quality_tier: null,
      facts_extracted: 0,
      finish_reason: "stop",
      usage: { input_tokens: 21, output_tokens: 340 },
      cost_usd: null,
    },
  },
});

export const estimate = route({
  surface: "context",
  verb: "POST",
  path: "/sessions/{id}/estimate",
  summary: "What a task would take, the history of the session included. No model is asked.",
  method: "agent.chat.estimate",
  request: { path: ById, body: Task },
  status: 200,
  response: z.object({
    session_id: z.string(),
    provider: z.string(),
    model: z.string().nullable(),
    input_tokens: z.int().min(0),
    max_output_tokens: z.int().min(0).nullable(),
    input_cost_usd: z.number().min(0).nullable().describe("Where the price of the model is known."),
    max_cost_usd: z.number().min(0).nullable(),
  }),
  params: ({ path, body }) => ({
    sessionId: path.id,
    messages: messagesOf(body),
    ...(body.max_tokens === undefined ? {} : { maxTokens: body.max_tokens }),
  }),
  reply: ({ provider, model, promptTokens, maxTokens, costUsd, maxCostUsd }, { path }) => ({
    session_id: path.id,
    provider,
    model: model ?? null,
    input_tokens: promptTokens,
    max_output_tokens: maxTokens ?? null,
    input_cost_usd: costUsd ?? null,
    max_cost_usd: maxCostUsd ?? null,
  }),
  example: {
    request: { task: "Explain the CAP theorem" },
    response: {
      session_id: sessionExample.session_id,
      provider: "openai",
      model: "gpt-4o-mini",
      input_tokens: 12,
      max_output_tokens: null,
      input_cost_usd: 0.0000018,
      max_cost_usd: null,
    },
  },
});

/** What belongs to this surface and is not there. */
export const notEnabled = [
  ...["tools", "reflexive", "progressive", "stream-augmented", "agentic"].map((kind) =>
    absent("POST", `/sessions/{id}/dispatch/${kind}`, `Dispatch, ${kind}.`),
  ),
  absent("POST", "/sessions/{id}/ingest", "Takes in data from elsewhere."),
  absent("GET", "/sessions/{id}/facts", "The facts of a session."),
  absent("POST", "/sessions/{id}/facts/share", "Shares facts with another session."),
  absent("POST", "/sessions/{id}/facts/feedback", "Says how good a fact is."),
  absent("GET", "/sessions/{id}/envelope", "What would be sent along with a task."),
];

function absent(verb: "GET" | "POST", path: string, summary: string) {
  return route({
    surface: "context",
    verb,
    path,
    summary: `${summary} Not enabled: answered with 404.`,
    method: "system.ping",
    scope: verb === "GET" ? "read" : "write",
    request: { path: ById },
    status: 200,
    response: z.null(),
    params: () => ({}),
    reply: () => {
      throw fail("not_enabled");
    },
    errors: ["not_enabled"],
    example: {},
  });
}

function messagesOf({ task, task_input, system_prompt, expected_output_type }: Task) {
  const instructions = [system_prompt, expected_output_type === undefined ? undefined : `Expected type of the output: ${expected_output_type}`].filter(
    (text) => text !== undefined && text !== "",
  );
  return [
    ...(instructions.length === 0 ? [] : [{ role: "system" as const, content: instructions.join("\n\n") }]),
    { role: "user" as const, content: task ?? task_input ?? "" },
  ];
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
