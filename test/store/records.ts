import type { ChatMessage, HarnessTrace } from "../../src/contract/model.ts";
import type { SessionFields, Store, TraceRecord, TurnStart } from "../../src/store/store.ts";

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
  return { trace: trace(traceId, more), spans: [], events: [] };
}

export function turn(turnId: string, sessionId: string | undefined, ...messages: ChatMessage[]): TurnStart {
  const given = messages.length > 0 ? messages : [{ role: "user" as const, content: `ask ${turnId}` }];
  return { turnId, traceId: `tr_${turnId}`, sessionId, messages: given, trace: trace(`tr_${turnId}`, sessionId === undefined ? {} : { sessionId }) };
}

/** Begins a turn and ends it with an answer. */
export async function wholeTurn(store: Store, turnId: string, sessionId: string, text = `answer ${turnId}`): Promise<void> {
  await store.beginTurn(turn(turnId, sessionId));
  await store.endTurn({
    turnId,
    sessionId,
    status: "completed",
    answer: { text, reasoning: "", toolCalls: [] },
    trace: traceRecord(`tr_${turnId}`, { sessionId, status: "completed" }),
  });
}
