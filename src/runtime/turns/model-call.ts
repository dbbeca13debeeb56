import type { Usage } from "../../contract/model.ts";
import type { Failure } from "../../errors.ts";
import type { Log } from "../../log.ts";
import type { ModelEvent, ModelRequest, Provider } from "../../providers/provider.ts";
import type { Meter } from "../meter.ts";
import type { ModelCall } from "../models.ts";
import type { TraceRecorder } from "../trace.ts";
import type { AnswerInProgress } from "./answer.ts";
import { Clock, type Interruption, LATE, STOPPED } from "./interruption.ts";
import type { Phases } from "./phases.ts";
import { nextTry } from "./retry.ts";

/** Where the answer goes while it comes. */
export interface ModelListener {
  answer: AnswerInProgress;
  /** Must not throw. */
  onEvent(event: ModelEvent): void;
  /** Undefined when more may be said; otherwise resolves when the host has caught up. */
  ready(): Promise<void> | undefined;
}

export interface ModelCallContext {
  call: ModelCall;
  provider: Provider;
  recorder: TraceRecorder;
  interruption: Interruption;
  phases: Phases;
  random(): number;
  log: Log;
  meter: Meter;
  /** For the log. */
  streamId: string;
}

/** Calls the model, again where that may help and nothing was said yet. Undefined when it was done, or stopped. */
export async function callModel(request: ModelRequest, listener: ModelListener, context: ModelCallContext): Promise<Failure | undefined> {
  const { call, interruption, phases, recorder, log, streamId } = context;
  for (let attempt = 1; ; attempt++) {
    const failure = await tryOnce(request, listener, context, attempt);
    if (interruption.stop !== undefined || failure === undefined) return undefined;
    const waitMs = listener.answer.hasSpoken ? undefined : nextTry(failure, attempt, call.retry, context.random);
    if (waitMs === undefined) return failure;
    log.info({ streamId, attempt, waitMs, kind: failure.kind, failure: failure.message }, "the model is asked again");
    recorder.event("retry", "llm.retry", { attempt, waitMs, kind: failure.kind, message: failure.message }, "warning");
    phases.enter("backoff", waitMs);
    if (!(await interruption.sleep(waitMs))) return undefined;
  }
}

async function tryOnce(request: ModelRequest, listener: ModelListener, context: ModelCallContext, attempt: number): Promise<Failure | undefined> {
  const { call, provider, recorder, interruption, log, streamId } = context;
  const facts = { provider: call.provider, model: request.model ?? null, attempt };
  const closeSpan = recorder.span("llm.generate", "llm", { ...facts, messages: request.messages.length });
  recorder.event("llm_request", "llm.request", facts);
  log.debug({ streamId, ...facts }, "the model is asked");
  const iterator = provider.stream(request, call.settings, interruption.signal)[Symbol.asyncIterator]();
  const failure = await read(iterator, listener, context, attempt);
  // Lets the provider close its connection; nobody waits for it.
  void Promise.resolve(iterator.return?.()).catch(() => undefined);
  const { answer } = listener;
  if (interruption.stop !== undefined) closeSpan("cancelled");
  else if (failure !== undefined) closeSpan(failure.kind === "timeout" ? "timeout" : "error", { kind: failure.kind, message: failure.message });
  else closeSpan("ok", { finishReason: answer.finishReason ?? null, usage: answer.usage ?? null });
  return failure;
}

/** Reads one answer to its end. */
async function read(
  iterator: AsyncIterator<readonly ModelEvent[]>,
  listener: ModelListener,
  { call, interruption, phases, recorder, meter }: ModelCallContext,
  attempt: number,
): Promise<Failure | undefined> {
  const { answerTimeoutMs } = call;
  const asked = { provider: call.provider, model: call.request.model };
  let onFirstToken = meter.firstToken(asked);
  /** Servers that count while they speak say it several times; the last word holds. */
  let usage: Usage | undefined;
  phases.enter("awaiting_first_token", call.settings.idleTimeoutMs);
  let failure: Failure | undefined;
  let finished = false;
  /** Runs from the first event on. */
  let clock: Clock | undefined;
  try {
    while (failure === undefined && !finished) {
      const step = await interruption.race(iterator.next(), clock);
      if (step === STOPPED) return undefined;
      if (step === LATE) return { kind: "timeout", message: `The answer was not done ${answerTimeoutMs} ms after its first token` };
      if (step.done === true) return { kind: "truncated", message: "The answer stopped before its end" };
      if (clock === undefined && step.value.some(({ type }) => type !== "failure")) {
        clock = new Clock(answerTimeoutMs);
        recorder.event("llm_response", "llm.first_event", { attempt });
        phases.enter("streaming", answerTimeoutMs);
      }
      for (const event of step.value) {
        if (event.type === "failure") failure = event.failure;
        else if (event.type === "finish") finished = true;
        else if (event.type === "usage") ({ usage } = event);
        else if (onFirstToken !== undefined && isSpoken(event)) {
          onFirstToken();
          onFirstToken = undefined;
        }
        if (interruption.stop === undefined) listener.onEvent(event);
      }
      const hostIsSlow = listener.ready();
      if (hostIsSlow === undefined || failure !== undefined || finished) continue;
      // The time that a slow host takes is not the model's.
      clock?.halt();
      if ((await interruption.race(hostIsSlow)) === STOPPED) return undefined;
      clock?.go();
    }
    return interruption.stop === undefined ? failure : undefined;
  } finally {
    clock?.halt();
    if (usage !== undefined) meter.tokens(asked, usage);
  }
}

/** Whether it is a piece of the answer. */
function isSpoken(event: ModelEvent): boolean {
  return event.type === "toolCall" || ((event.type === "text" || event.type === "reasoning") && event.text !== "");
}
