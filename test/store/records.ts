import type { ChatMessage, HarnessTrace, ToolCall } from "../../src/contract/model.ts";
import type { Answer, MessageBody, SessionFields, Store, TraceRecord, TurnEnding, TurnStart } from "../../src/store/store.ts";

/** Records as the runtime would make them, for tests to change what matters to them. */
export const START_MS = Date.UTC(2026, 0, 1);

export function session(sessionId: string, more: Partial<SessionFields> = {}): SessionFields {
  return { sessionId, userId: "local", chatId: "chat-1", currentStage: "plan", scenario: "agent-entry", ...more };
}

export function trace(traceId: string, more: Partial<HarnessTrace> = {}): HarnessTrace {
  const at = new Date(START_MS).toISOString();
  return { traceId, status: "running", hadError: false, eventCount: 0, spanCount: 0, startedAtMs: START_MS, createdAt: at, updatedAt: at, ...more };
}

export function traceRecord(traceId: string, more: Partial<HarnessTrace> = {}): TraceRecord {
  return { owner: "local", trace: trace(traceId, more), spans: [], events: [] };
}

export function turn(turnId: string, sessionId: string | undefined, ...messages: ChatMessage[]): TurnStart {
  const given = messages.length > 0 ? messages : [{ role: "user" as const, content: `ask ${turnId}` }];
  return { turnId, traceId: `tr_${turnId}`, sessionId, messages: given, trace: trace(`tr_${turnId}`, sessionId === undefined ? {} : { sessionId }) };
}

export function ending(status: TurnEnding["status"], more: Partial<TurnEnding> = {}): TurnEnding {
  return { status, steps: 1, ...more };
}

export function answer(text: string, more: Partial<Answer> = {}): Answer {
  return { text, reasoning: "", toolCalls: [], ...more };
}

/** What a model says that calls tools. */
export function calling(...ids: string[]): MessageBody {
  const toolCalls: ToolCall[] = ids.map((id) => ({ id, name: "write_file", arguments: { path: id } }));
  return { role: "assistant", content: "", toolCalls };
}

export function result(toolCallId: string, content = `result of ${toolCallId}`): MessageBody {
  return { role: "tool", toolCallId, content };
}

/** The same for a call whose end nobody has seen. */
export function unknownResult(toolCallId: string): unknown {
  const error = "The process ended while this call was running. It may or may not have had its effect; check before repeating it.";
  return { role: "tool", toolCallId, content: JSON.stringify({ success: false, error, kind: "outcome_unknown", outcomeUnknown: true }), outcomeUnknown: true };
}

/** Begins a turn and ends it with an answer. */
export async function wholeTurn(store: Store, turnId: string, sessionId: string, text = `answer ${turnId}`): Promise<void> {
  await store.beginTurn(turn(turnId, sessionId));
  await store.endTurn({
    turnId,
    sessionId,
    ending: ending("completed"),
    answer: answer(text),
    trace: traceRecord(`tr_${turnId}`, { sessionId, status: "completed" }),
  });
}
