import { type Answer, type ModelServer, openaiStream, type SeenRequest, startModelServer } from "./model-server.ts";
import { onTestFinished } from "vitest";
import type { Frame, TestSidecar } from "./sidecar.ts";

/** A message as an OpenAI-compatible server is sent it. */
export interface SentMessage {
  role: string;
  content?: unknown;
  tool_calls?: { id: string; function: { name: string; arguments: string } }[];
  tool_call_id?: string;
}

export interface AskedFor {
  id: string;
  name: string;
  arguments?: unknown;
}

/** What a model server says in one answer: text, or calls of tools. */
export type Reply = string | readonly AskedFor[];

/** The stream of one answer. */
export function reply(what: Reply, usage: { prompt_tokens: number; completion_tokens: number; total_tokens: number } | undefined = undefined): string[] {
  if (typeof what === "string") return openaiStream([what], { usage });
  const calls = what.map(({ id, name, arguments: args = {} }, index) => ({ index, id, type: "function", function: { name, arguments: JSON.stringify(args) } }));
  return openaiStream([{ tool_calls: calls }], { finishReason: "tool_calls", usage });
}

export const messagesOf = (request: SeenRequest): SentMessage[] => (request.json as { messages: SentMessage[] }).messages;
export const toolsOf = (request: SeenRequest): string[] =>
  ((request.json as { tools?: { function: { name: string } }[] }).tools ?? []).map(({ function: { name } }) => name);

/** How often the model has spoken in the conversation that a request brings. */
export const stepOf = (request: SeenRequest): number => messagesOf(request).filter(({ role }) => role === "assistant").length;

/** A model server that answers the n-th model call of a turn with the n-th of `replies`, the last one ever after. Closed with the test. */
export async function startModel(
  replies: readonly Reply[] | ((request: SeenRequest, answer: Answer) => Reply | undefined | Promise<Reply | undefined>),
  usage = { prompt_tokens: 10, completion_tokens: 5, total_tokens: 15 },
): Promise<ModelServer> {
  const server = await startModelServer(async (request, answer) => {
    const what = typeof replies === "function" ? await replies(request, answer) : replies[Math.min(stepOf(request), replies.length - 1)];
    if (what !== undefined) await answer.sse(reply(what, usage));
  });
  onTestFinished(() => server.close());
  return server;
}

/** Params of a turn at a model server of `startModel`. */
export const at = (server: ModelServer, more: Record<string, unknown> = {}) => ({
  provider: "openai",
  model: "test-model",
  baseUrl: `${server.url}/v1`,
  messages: [{ role: "user", content: "Go" }],
  ...more,
});

export const descriptor = (name: string, more: Record<string, unknown> = {}) => ({
  type: "function",
  function: { name, description: `Does ${name}.`, parameters: { type: "object" } },
  ...more,
});

/** What the notifications of a stream brought, in short and in order: `text Hi`, `call get_x`, `result get_x ok`, `finish stop`, `done`. */
export function story(sidecar: TestSidecar, streamId: string): string[] {
  const told = sidecar.notifications(streamId).flatMap((frame) => tell(frame));
  // Deltas that follow each other are one text.
  return told.reduce<string[]>((all, line) => {
    const last = all.at(-1);
    if (line.startsWith("text ") && last?.startsWith("text ")) all[all.length - 1] = last + line.slice(5);
    else all.push(line);
    return all;
  }, []);
}

function tell({ method, params = {} }: Frame): string[] {
  if (method === "stream.status") return [];
  if (method === "stream.done") return [params["ok"] === true ? "done" : "cancelled"];
  if (method === "stream.error") return [`error ${String(params["kind"])}`];
  const { delta, toolCall, toolResult, finishReason } = params as {
    delta?: string;
    toolCall?: { name: string };
    toolResult?: { name: string; success: boolean; kind?: string };
    finishReason?: string;
  };
  return [
    ...(delta === undefined ? [] : [`text ${delta}`]),
    ...(toolCall === undefined ? [] : [`call ${toolCall.name}`]),
    ...(toolResult === undefined ? [] : [`result ${toolResult.name} ${toolResult.success ? "ok" : toolResult.kind}`]),
    ...(finishReason === undefined ? [] : [`finish ${finishReason}`]),
  ];
}
