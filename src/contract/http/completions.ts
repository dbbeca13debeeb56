/** Completions, one-shot or in a session, under `/v1`. */
import * as z from "zod";
import { errorOfFailure, fail } from "../../errors.ts";
import { FileRef } from "../agent/files.ts";
import type { CallParams, NotificationParams, Result } from "../index.ts";
import type { ToolResult } from "../model.ts";
import { ById } from "./by-id.ts";
import { type RouteRequest, type RouteStream, route, type ServerEvent, type StreamNotice, type StreamTeller } from "./define.ts";
import { ErrorBody } from "./errors.ts";
import { ModelId, splitModelId } from "../model-id.ts";
import { optional } from "./optional.ts";

const CompletionRequest = z.object({
  prompt: z.string().min(1).describe("What the user says."),
  model: optional(ModelId).describe("Asked instead of the session's, or the configured one: `provider:name`."),
  role: optional(z.string().min(1).max(256)).describe("Role to apply to this request."),
  agent: optional(z.string().min(1).max(256)).describe("Agent to run the request through."),
  stream: optional(z.boolean()).describe("Server-sent events instead of one answer; when left out, `Accept: text/event-stream` asks for them as well."),
  files: optional(z.array(FileRef).max(32)).describe("Attached to the prompt: paths inside the configured roots, and public addresses."),
  tools: optional(z.array(z.string().min(1).max(256)).max(1024)).describe("Tools that the model may call, by name; all that are configured when left out."),
  temperature: optional(z.number()),
  max_tokens: optional(z.int().min(1)).describe("Longest answer of one model call."),
  auto_continue: optional(z.boolean()).describe("Let an agent go on by itself. Nothing to go on with where no agent runs."),
});
type CompletionRequest = z.output<typeof CompletionRequest>;

const Call = z.object({
  id: z.string(),
  name: z.string(),
  args: z.string().describe("The arguments, as JSON text."),
});

const CallOutcome = z.object({ id: z.string(), name: z.string(), result: z.string(), is_error: z.boolean() });

const CompletionResponse = z.object({
  request_id: z.string(),
  session_id: z.string().nullable(),
  final_message: z.string().describe("The last answer of the model."),
  tool_calls: z.array(Call.extend({ result: z.string().nullable(), is_error: z.boolean() })).describe("Every call of the turn, in order."),
  turns: z.int().min(0).describe("How often the model was called."),
  compressed: z.boolean().describe("Whether older messages were summarized on the way."),
  auto_continued: z.int().min(0).describe("How often an agent went on by itself."),
  usage: z
    .object({ input_tokens: z.int().min(0), output_tokens: z.int().min(0) })
    .nullable()
    .describe("Of all model calls, where the model server counts."),
});

const events = {
  started: z.object({ request_id: z.string(), session_id: z.string().nullable() }).describe("First of all."),
  assistant_delta: z.object({ text: z.string() }).describe("Text to append to the answer."),
  tool_call: Call.describe("A call that the model asks for."),
  tool_result: CallOutcome.describe("What the call came to."),
  finished: z
    .object({ outcome: z.object({ turns: z.int().min(0), tool_calls: z.int().min(0), compressed: z.boolean() }) })
    .describe("Last, when all went well."),
  error: ErrorBody.describe("Last, when it did not."),
} as const;

/** A stream of completions in the words of this surface; `sessionOf` finds the session in the request. */
function streamed<S extends { body: typeof CompletionRequest }>(sessionOf: (request: RouteRequest<S>) => string | null): RouteStream<S> {
  const bodyOf = (request: RouteRequest<S>) => request.body as CompletionRequest;
  return {
    wanted: (request) => bodyOf(request).stream,
    params: (request) => paramsOf(bodyOf(request), sessionOf(request)),
    teller: (request) => new Teller(request.requestId, sessionOf(request)),
    events,
  };
}

const responseExample: z.output<typeof CompletionResponse> = {
  request_id: "0b9ccf0e-5d39-4f0f-8a53-1f6f2b1f6a7e",
  session_id: null,
  final_message: "The TCP handshake is a three-way protocol …",
  tool_calls: [{ id: "tc_1", name: "web_search", args: '{"query":"tcp"}', result: "…", is_error: false }],
  turns: 2,
  compressed: false,
  auto_continued: 0,
  usage: { input_tokens: 120, output_tokens: 458 },
};

export const oneShot = route({
  surface: "completions",
  verb: "POST",
  path: "/v1/completions",
  summary: "Asks a model once, outside of a session.",
  method: "agent.chat.complete",
  request: { body: CompletionRequest },
  status: 200,
  response: CompletionResponse,
  params: ({ body }) => paramsOf(body, null),
  reply: (result, { requestId }) => replyOf(result, requestId, null),
  stream: streamed<{ body: typeof CompletionRequest }>(() => null),
  errors: ["role_not_found", "agent_not_found", "unsupported_media", "cancelled"],
  example: { request: { prompt: "Explain the TCP handshake", model: "openai:gpt-4o" }, response: responseExample },
});

export const inSession = route({
  surface: "completions",
  verb: "POST",
  path: "/v1/sessions/{id}/completions",
  summary: "Says something in a session. Prompts of one session are answered one after the other.",
  method: "agent.chat.complete",
  request: { path: ById, body: CompletionRequest },
  status: 200,
  response: CompletionResponse,
  params: ({ body, path }) => paramsOf(body, path.id),
  reply: (result, { requestId, path }) => replyOf(result, requestId, path.id),
  stream: streamed<{ path: typeof ById; body: typeof CompletionRequest }>(({ path }) => path.id),
  errors: ["role_not_found", "agent_not_found", "unsupported_media", "cancelled"],
  example: {
    request: { prompt: "What was the bug we found yesterday?", stream: false },
    response: { ...responseExample, session_id: "550e8400-e29b-41d4-a716-446655440000" },
  },
});

function paramsOf(body: CompletionRequest, sessionId: string | null): CallParams<"agent.chat.complete"> & CallParams<"agent.chat.stream"> {
  if (body.role !== undefined) throw fail("role_not_found", { role: body.role });
  if (body.agent !== undefined) throw fail("agent_not_found", { agent: body.agent });
  return {
    messages: [{ role: "user", content: body.prompt }],
    ...splitModelId(body.model),
    ...(sessionId === null ? {} : { sessionId }),
    ...(body.files === undefined ? {} : { files: body.files }),
    ...(body.temperature === undefined ? {} : { temperature: body.temperature }),
    ...(body.max_tokens === undefined ? {} : { maxTokens: body.max_tokens }),
    useTools: body.tools ?? ["*"],
  };
}

function replyOf(result: Result<"agent.chat.complete">, requestId: string, sessionId: string | null): z.input<typeof CompletionResponse> {
  const { message, toolCalls, turns, compacted, usage } = result;
  return {
    request_id: requestId,
    session_id: sessionId,
    final_message: message.content,
    tool_calls: toolCalls.map(({ result: outcome, ...call }) => ({
      ...callOf(call),
      result: outcome === undefined ? null : textOf(outcome),
      is_error: outcome?.success === false,
    })),
    turns,
    compressed: compacted === true,
    auto_continued: 0,
    usage: usage === undefined ? null : { input_tokens: usage.promptTokens, output_tokens: usage.completionTokens },
  };
}

/** A stream in the words of this surface. */
class Teller implements StreamTeller {
  readonly #requestId: string;
  readonly #sessionId: string | null;
  #calls = 0;

  constructor(requestId: string, sessionId: string | null) {
    this.#requestId = requestId;
    this.#sessionId = sessionId;
  }

  begin(): ServerEvent[] {
    return [{ event: "started", data: { request_id: this.#requestId, session_id: this.#sessionId } }];
  }

  tell(notice: StreamNotice): ServerEvent[] {
    if (notice.method === "stream.chunk") return this.#chunk(notice.params);
    if (notice.method === "stream.error") return [this.#error(errorOfFailure(notice.params.kind), notice.params.message)];
    const { ok, turns = 0, compacted } = notice.params;
    if (!ok) return [this.#error("cancelled", "The turn was stopped")];
    return [{ event: "finished", data: { outcome: { turns, tool_calls: this.#calls, compressed: compacted === true } } }];
  }

  #chunk({ delta, toolCall, toolResult }: Omit<NotificationParams<"stream.chunk">, "streamId" | "seq">): ServerEvent[] {
    const told: ServerEvent[] = [];
    if (delta !== undefined) told.push({ event: "assistant_delta", data: { text: delta } });
    if (toolCall !== undefined) {
      this.#calls++;
      told.push({ event: "tool_call", data: callOf(toolCall) });
    }
    if (toolResult !== undefined) {
      const { id, name } = toolResult;
      told.push({ event: "tool_result", data: { id, name, result: textOf(toolResult), is_error: !toolResult.success } });
    }
    return told;
  }

  #error(code: string, message: string): ServerEvent {
    return { event: "error", data: { error: { code, message, request_id: this.#requestId } } satisfies ErrorBody };
  }
}

function callOf(call: { id: string; name: string; arguments: Record<string, unknown>; argumentsText?: string | undefined }): z.output<typeof Call> {
  return { id: call.id, name: call.name, args: call.argumentsText ?? JSON.stringify(call.arguments) };
}

/** What a tool said, as text. */
function textOf({ success, error, message, data = {} }: ToolResult): string {
  if (!success && error !== undefined) return error;
  const { durationMs: _, ...own } = data;
  const [first, ...others] = Object.values(own);
  if (others.length === 0 && typeof first === "string") return first;
  return Object.keys(own).length === 0 ? (message ?? "") : JSON.stringify(own);
}
