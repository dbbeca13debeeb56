/** Tasks for a session with a context of its own: what it answers, and what that would take. */
import * as z from "zod";
import { ById } from "../by-id.ts";
import { route } from "../define.ts";

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

const SESSION_ID = "550e8400-e29b-41d4-a716-446655440000";

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
      session_id: SESSION_ID,
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
      session_id: SESSION_ID,
      provider: "openai",
      model: "gpt-4o-mini",
      input_tokens: 12,
      max_output_tokens: null,
      input_cost_usd: 0.0000018,
      max_cost_usd: null,
    },
  },
});

function messagesOf({ task, task_input, system_prompt, expected_output_type }: Task) {
  const instructions = [system_prompt, expected_output_type === undefined ? undefined : `Expected type of the output: ${expected_output_type}`].filter(
    (text) => text !== undefined && text !== "",
  );
  return [
    ...(instructions.length === 0 ? [] : [{ role: "system" as const, content: instructions.join("\n\n") }]),
    { role: "user" as const, content: task ?? task_input ?? "" },
  ];
}
