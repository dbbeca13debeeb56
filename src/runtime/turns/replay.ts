import type { Result } from "../../contract/index.ts";
import { type Failure, fail, type WireError } from "../../errors.ts";
import type { MessageBody } from "../../store/messages.ts";
import type { TurnEnding } from "../../store/store.ts";
import { failureFacts } from "./failure.ts";
import type { CallWithResult, StreamSink } from "./run.ts";

type Report = Result<"agent.chat.complete">;

/** A turn that has ended, from memory or from the store. */
export interface EndedTurn {
  streamId: string;
  traceId: string;
  messages: readonly MessageBody[];
  calls: readonly CallWithResult[];
  ending: TurnEnding;
}

/** Told where the process ended in the middle of a turn that is asked for again. */
export const CUT_OFF: Failure = { kind: "interrupted", message: "The process ended in the middle of this turn; what was said and done is kept" };

/** The terminal of a stream. */
export function sendTerminal(sink: StreamSink, traceId: string, { status, finishReason, usage, costUsd, failure, steps, compacted }: TurnEnding): void {
  if (status === "error" && failure !== undefined) {
    sink.error({ ...failureFacts(failure), traceId });
    return;
  }
  const ok = status === "completed";
  sink.done({
    ok,
    ...(ok ? {} : { cancelled: true }),
    ...(finishReason === undefined ? {} : { finishReason }),
    ...(usage === undefined ? {} : { usage }),
    ...(costUsd === undefined ? {} : { costUsd }),
    turns: steps,
    ...(compacted === true ? { compacted } : {}),
    traceId,
  });
}

/** Sends a turn again, as one that was asked for twice with the same key: the same content in as few frames as possible. Nothing more once `isStopped`. */
export async function replay(turn: EndedTurn, sink: StreamSink, isStopped: () => boolean): Promise<void> {
  const results = new Map(turn.calls.map(({ call, result }) => [call.id, { call, result }]));
  for (const message of turn.messages) {
    if (isStopped()) return;
    if (message.reasoning !== undefined) sink.text("reasoningDelta", message.reasoning);
    if (message.role === "assistant" && typeof message.content === "string" && message.content !== "") sink.text("delta", message.content);
    for (const toolCall of message.toolCalls ?? []) sink.chunk({ toolCall });
    if (message.providerData !== undefined) sink.chunk({ providerData: message.providerData });
    const answered = message.toolCallId === undefined ? undefined : results.get(message.toolCallId);
    if (answered?.result !== undefined) sink.chunk({ toolResult: { ...answered.result, id: answered.call.id, name: answered.call.name } });
    await sink.ready();
  }
  if (isStopped()) return;
  const { finishReason, usage } = turn.ending;
  if (finishReason !== undefined) sink.chunk({ finishReason, ...(usage === undefined ? {} : { usage }) });
  sendTerminal(sink, turn.traceId, turn.ending);
}

/** The turn as one reply. Throws what a turn that failed or was stopped is answered with. */
export function reportOf(turn: EndedTurn): Report {
  const { ending, streamId, traceId } = turn;
  const said = turn.messages.findLast(({ role }) => role === "assistant");
  const content = typeof said?.content === "string" ? said.content : "";
  if (ending.status !== "completed") throw refusal(turn, content);
  return {
    message: { role: "assistant", content },
    toolCalls: turn.calls.map(({ call, result }) => ({ ...call, ...(result === undefined ? {} : { result }) })),
    turns: ending.steps,
    ...(ending.compacted === true ? { compacted: true } : {}),
    ...(ending.usage === undefined ? {} : { usage: ending.usage }),
    ...(ending.costUsd === undefined ? {} : { costUsd: ending.costUsd }),
    ...(ending.finishReason === undefined ? {} : { finishReason: ending.finishReason }),
    ...(said?.providerData === undefined ? {} : { providerData: said.providerData }),
    streamId,
    traceId,
  };
}

function refusal({ streamId, traceId, ending }: EndedTurn, content: string): WireError {
  const more = { message: { role: "assistant", content }, streamId, traceId };
  const { failure } = ending;
  if (failure === undefined) return fail("cancelled", more, ending.status === "interrupted" ? "The process ended in the middle of the turn" : undefined);
  const facts = failureFacts(failure);
  return fail(
    failure.kind === "budget_exhausted" ? "budget_exhausted" : failure.kind === "storage" ? "storage" : "turn_failed",
    { failure: facts, ...more },
    facts.message,
  );
}
