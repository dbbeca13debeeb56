/**
 * Changes run a moment after they were asked for. What a caller passed is put into the form of the tables
 * at the time of the call, so that nothing that happens to its objects meanwhile gets there.
 */
import type { Spending } from "../../contract/model.ts";
import { answerMessage } from "../messages.ts";
import type { Fork, NewSummary, SessionFields, SpendingScope, TraceRecord, TurnEnd, TurnEnding, TurnStart, TurnStep } from "../store.ts";
import { jsonCopy, toJson } from "../text.ts";

/** Messages as JSON. */
export type NewTurn = Omit<TurnStart, "messages"> & { bodies: readonly string[] };
export type NewStep = Omit<TurnStep, "messages" | "durable"> & { bodies: readonly string[] };
export interface NewEnd {
  turnId: string;
  status: TurnEnding["status"];
  /** As JSON. */
  answer: string | undefined;
  ending: string;
  trace: TraceRecord;
}
/** The system message as JSON. */
export type SummaryRow = Omit<NewSummary, "system"> & { system: string | null };

export function snapshotFields(fields: SessionFields): SessionFields {
  return fields.stageData === undefined ? { ...fields } : { ...fields, stageData: jsonCopy(fields.stageData) };
}

export function snapshotFork(fork: Fork): Fork {
  return { from: fork.from, throughTurnId: fork.throughTurnId, fields: snapshotFields(fork.fields), newTurnId: () => fork.newTurnId() };
}

export function snapshotSummary(summary: NewSummary): SummaryRow {
  return { ...summary, system: summary.system === undefined ? null : toJson(summary.system) };
}

export function snapshotTurn({ messages, ...start }: TurnStart): NewTurn {
  return {
    ...start,
    bodies: messages.map(toJson),
    trace: { ...start.trace },
    idempotency: start.idempotency === undefined ? undefined : { ...start.idempotency },
  };
}

export function snapshotStep(step: TurnStep): NewStep {
  return { turnId: step.turnId, bodies: step.messages.map(toJson), begun: [...(step.begun ?? [])], ended: [...(step.ended ?? [])] };
}

export function snapshotEnd(end: TurnEnd): NewEnd {
  return {
    turnId: end.turnId,
    status: end.ending.status,
    answer: end.answer === undefined ? undefined : toJson(answerMessage(end.answer)),
    ending: toJson(end.ending),
    trace: snapshotTrace(end.trace),
  };
}

/** Spans and events are not changed once they are in the lists of a record. */
export function snapshotTrace(record: TraceRecord): TraceRecord {
  return { owner: record.owner, trace: { ...record.trace }, spans: [...record.spans], events: [...record.events] };
}

export function snapshotAmounts(amounts: readonly { scope: SpendingScope; amount: Spending }[]): { scope: SpendingScope; amount: Spending }[] {
  return amounts.map(({ scope, amount }) => ({ scope: { ...scope }, amount: { ...amount } }));
}
