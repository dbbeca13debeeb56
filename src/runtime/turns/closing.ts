import type { Log } from "../../log.ts";
import type { TurnEnd } from "../../store/store.ts";
import type { Journal } from "./journal.ts";
import type { Outcome, Run } from "./run.ts";

/** How a turn ended, with what its journal has not stored yet. */
export interface Closing {
  journal: Journal;
  end: TurnEnd;
  /** Whether it is tried again when the store fails. */
  isStored: boolean;
  /** Called when the store knows it, or never will. */
  onSettled(): void;
}

/** Closes a run: from now on nothing is added to it. Gives what is to be stored of its end. */
export function closingOf(run: Run, outcome: Outcome, log: Log, onSettled: () => void): Closing {
  const { recorder, turnId, sessionId, streamId, isStored, journal } = run;
  run.close();
  const failure = outcome.status === "error" ? outcome.failure : undefined;
  if (failure !== undefined) log.warn({ streamId, traceId: recorder.traceId, ...failure }, "a turn failed");
  else log.debug({ streamId, traceId: recorder.traceId, status: outcome.status }, "a turn ended");
  if (failure?.kind === "budget_exhausted") recorder.event("budget", "budget.exhausted", { message: failure.message }, "error");
  if (failure !== undefined) recorder.event("error", "turn.error", { kind: failure.kind, message: failure.message }, "error");
  else recorder.event("completion", "turn.end", { status: outcome.status, finishReason: run.finishReason ?? null });
  const trace = recorder.finish(traceStatus(outcome), { errorMessage: failure?.message, totalTokens: run.usage?.totalTokens });
  const answer = isStored ? run.answer.content : undefined;
  return { journal, end: { turnId, sessionId, answer, ending: run.endingOf(outcome), trace }, isStored, onSettled };
}

function traceStatus(outcome: Outcome) {
  if (outcome.status === "interrupted") return "cancelled";
  return outcome.status === "error" && outcome.failure.kind === "budget_exhausted" ? "budget_exhausted" : outcome.status;
}
