import type { ChatParams } from "../../contract/agent.ts";
import type { Result } from "../../contract/index.ts";
import type { ChatMessage, TraceEvent } from "../../contract/model.ts";
import { fail, type Failure, WireError } from "../../errors.ts";
import type { IdempotencyMark, Store, TurnEnd } from "../../store/store.ts";
import { answerMessage } from "../../store/messages.ts";
import type { Budgets, TurnAccount } from "../budget/budgets.ts";
import type { Host } from "../host.ts";
import type { NewId } from "../ids.ts";
import { Keys, refuseOther } from "../keys.ts";
import type { Models } from "../models.ts";
import type { Grants } from "../policy/grants.ts";
import { KeyedQueue } from "../queue.ts";
import { type LiveTraces, TraceRecorder } from "../trace.ts";
import { Endings } from "./endings.ts";
import { endedTurnOf, markOf } from "./kept.ts";
import { type LoopDependencies, play } from "./loop.ts";
import { type EndedTurn, replay, reportOf, sendTerminal } from "./replay.ts";
import { type Outcome, Run, type StreamSink } from "./run.ts";
import type { Stop } from "./interruption.ts";

/** How often the text of a running turn is saved, so that a crash keeps it. Milliseconds. */
const CHECKPOINT_MS = 500;

export interface RunsDependencies extends LoopDependencies {
  models: Models;
  budgets: Budgets;
  grants: Grants;
  host: Host;
  traces: LiveTraces;
  openSink(streamId: string): StreamSink;
  /** Streams open at a time before more are turned away. */
  maxStreams: number;
  onTraceEvent(event: TraceEvent): void;
  newId: NewId;
  now(): number;
}

/** A turn that was asked for: one that has begun, or one that an earlier call with the same key has come to. */
type Opened = { run: Run } | { ended: EndedTurn };

/**
 * Custody of streams: every one that was acknowledged ends with exactly one terminal, whatever
 * happens to the model server, the host, the store or this process.
 */
export class Runs {
  readonly #deps: RunsDependencies;
  readonly #live = new Map<string, Run>();
  /** Ids of streams that are about to be acknowledged. */
  readonly #beginning = new Set<string>();
  readonly #finished = new WeakMap<Run, { promise: Promise<EndedTurn>; resolve(turn: EndedTurn): void }>();
  readonly #keys = new Keys<Opened>();
  readonly #endings: Endings;
  readonly #turns = new KeyedQueue();

  constructor(deps: RunsDependencies) {
    this.#deps = deps;
    this.#endings = new Endings(deps.store, deps.log);
  }

  get live(): number {
    return this.#live.size;
  }

  /** Acknowledges a turn and lets it run. With a session, its messages are durable by then. */
  async start(params: ChatParams, signal: AbortSignal): Promise<{ streamId: string }> {
    const { openSink, log } = this.#deps;
    let isNew = false;
    const opened = await this.#open(params, signal, (streamId) => {
      isNew = true;
      return openSink(streamId);
    });
    if ("run" in opened && (isNew || !opened.run.isSilent)) return { streamId: opened.run.streamId };
    const streamId = "run" in opened ? opened.run.streamId : opened.ended.streamId;
    // Opened before the reply lets it go.
    const sink = openSink(streamId);
    const again = async () => replay("run" in opened ? await this.#finishedOf(opened.run).promise : opened.ended, sink);
    again().catch((error: unknown) => log.error({ error, streamId }, "a turn could not be told again"));
    return { streamId };
  }

  /** The same turn, answered when it is done. `onBegun`: its messages are stored, so later calls of the session may follow. */
  async complete(params: ChatParams, signal: AbortSignal, onBegun: () => void): Promise<Result<"agent.chat.complete">> {
    const opened = await this.#open(params, signal, undefined);
    onBegun();
    if ("ended" in opened) return reportOf(opened.ended);
    const { run } = opened;
    const cancel = () => void this.#stop(run, "cancelled");
    signal.addEventListener("abort", cancel, { once: true });
    if (signal.aborted) cancel();
    try {
      return reportOf(await this.#finishedOf(run).promise);
    } finally {
      signal.removeEventListener("abort", cancel);
    }
  }

  steer(streamId: string, content: ChatMessage["content"]): void {
    if (this.#live.get(streamId)?.steer(content) !== true) throw fail("stream_not_found", { streamId });
  }

  /** Stops a stream; resolves when it has sent its terminal. Unknown streams are none of our business. */
  async cancel(streamId: string): Promise<void> {
    const run = this.#live.get(streamId);
    if (run !== undefined) await this.#stop(run, "cancelled");
  }

  async cancelSession(sessionId: string): Promise<void> {
    await Promise.all([...this.#live.values()].filter((run) => run.sessionId === sessionId).map((run) => this.#stop(run, "cancelled")));
  }

  /** Runs `task` when the turns of the session that were started before are done. */
  afterTurns<T>(sessionId: string, task: () => Promise<T>): Promise<T> {
    return this.#turns.run(sessionId, task);
  }

  /** Ends every stream in order; resolves when all have sent their terminal and are stored. */
  async stopAll(): Promise<void> {
    await Promise.all([...this.#live.values()].map((run) => this.#stop(run, "interrupted")));
  }

  /** Ends every stream within this call: the terminals are queued, what is to be stored is handed to `store`. */
  stopAllNow(store: Store | undefined): void {
    this.#endings.handOver(store);
    for (const run of this.#live.values()) {
      run.abort("interrupted");
      // One that is already ending has handed its end to the store; only its terminal may be missing.
      const outcome = run.outcome ?? { status: "interrupted" };
      if (run.outcome === undefined) this.#endings.handOver(store, this.#close(run, outcome));
      this.#sendTerminal(run, outcome);
      this.#forget(run, outcome);
    }
  }

  #open(params: ChatParams, signal: AbortSignal, openSink: ((streamId: string) => StreamSink) | undefined): Promise<Opened> {
    const mark = markOf(params);
    const begin = async (): Promise<Opened> => ({ run: await this.#begin(params, mark, signal, openSink) });
    if (mark === undefined) return begin();
    return this.#keys.join(mark, async () => {
      const kept = await (await this.#deps.store()).findTurn(mark.key);
      if (kept === undefined) return begin();
      refuseOther(kept.digest, mark.digest);
      // What has ended is looked up again by whoever asks next.
      queueMicrotask(() => this.#keys.release(mark.key));
      return { ended: endedTurnOf(kept) };
    });
  }

  async #begin(
    params: ChatParams,
    mark: IdempotencyMark | undefined,
    signal: AbortSignal,
    openSink: ((streamId: string) => StreamSink) | undefined,
  ): Promise<Run> {
    const { models, budgets, registry, newId, now, traces, host, log, config } = this.#deps;
    const call = models.resolve(params, { messages: params.messages, tools: params.tools });
    const useTools = params.useTools ?? [];
    registry.check(useTools);
    const streamId = params.streamId ?? newId.stream();
    const release = this.#reserve(streamId);
    let account: TurnAccount | undefined;
    try {
      const session = params.sessionId === undefined ? undefined : await (await this.#deps.store()).getSession(params.sessionId);
      if (session?.isActive === false) throw fail("session_closed", { sessionId: session.sessionId }, "The session is closed; resume it first");
      account = await budgets.open({
        sessionId: session?.sessionId,
        budget: params.budget,
        provider: call.provider,
        model: call.request.model,
        prices: config().prices,
      });

      // From here on the messages are in the session, whether the caller still waits or not.
      if (signal.aborted) throw fail("cancelled");
      const subject = { sessionId: session?.sessionId, chatId: session?.chatId, userId: session?.userId, modelId: call.request.model };
      const recorder = new TraceRecorder(newId.trace(), subject, now, this.#deps.onTraceEvent);
      recorder.event("lifecycle", "turn.start", { provider: call.provider, model: call.request.model ?? null, messages: params.messages.length });
      // A name that the host chose may come again after a restart, so it cannot name the turn for ever.
      const turnId = params.streamId === undefined ? streamId : newId.stream();
      const begun = this.#store({ turnId, streamId, sessionId: session?.sessionId, messages: params.messages, mark, recorder });
      if (session !== undefined || mark !== undefined) await begun;
      else begun.catch((error: unknown) => log.warn({ error, streamId }, "the trace of a turn could not be stored"));

      const run = new Run({
        streamId,
        turnId,
        sessionId: session?.sessionId,
        call,
        useTools,
        idempotencyKey: mark?.key,
        recorder,
        sink: openSink?.(streamId),
        account,
        tellsStatus: host.capabilities.status,
        store: this.#deps.store,
      });
      account.onExhausted((failure) => run.exhaust(failure));
      this.#live.set(streamId, run);
      traces.add(recorder);
      if (session === undefined) void this.#turn(run);
      else {
        if (this.#turns.isBusy(session.sessionId)) run.phases.enter("queued", undefined);
        void this.#turns.run(session.sessionId, () => this.#turn(run));
      }
      return run;
    } catch (error) {
      account?.close();
      throw error;
    } finally {
      release();
    }
  }

  async #stop(run: Run, stop: Stop): Promise<void> {
    run.abort(stop);
    // A turn that waits for its session must not wait for the turn before it to be stopped too.
    await this.#end(run, run.outcomeOf(run.stop ?? stop));
  }

  /** Keeps a stream id for a turn that is about to begin; the function returned gives it up. */
  #reserve(streamId: string): () => void {
    const { maxStreams } = this.#deps;
    if (this.#live.has(streamId) || this.#beginning.has(streamId)) throw fail("invalid_params", { path: "streamId" }, "A stream with this id is still open");
    if (this.#live.size + this.#beginning.size >= maxStreams) throw fail("overloaded", { retryAfterMs: 1000 }, `More than ${maxStreams} streams are open`);
    this.#beginning.add(streamId);
    return () => this.#beginning.delete(streamId);
  }

  async #store(turn: {
    turnId: string;
    streamId: string;
    sessionId: string | undefined;
    messages: readonly ChatMessage[];
    mark: IdempotencyMark | undefined;
    recorder: TraceRecorder;
  }): Promise<void> {
    const { turnId, streamId, sessionId, messages, mark, recorder } = turn;
    const store = await this.#deps.store();
    const idempotency = mark === undefined ? undefined : { ...mark, streamId };
    await store.beginTurn({ turnId, traceId: recorder.traceId, sessionId, messages, trace: recorder.record().trace, idempotency });
  }

  async #turn(run: Run): Promise<void> {
    if (run.ending !== undefined) return;
    const checkpoints = run.isStored ? setInterval(() => this.#checkpoint(run), CHECKPOINT_MS) : undefined;
    try {
      run.account.begin();
      await this.#end(run, await play(run, this.#deps));
    } catch (error) {
      this.#deps.log.error({ error, streamId: run.streamId }, "a turn failed inside the sidecar");
      // The history could not be read, for example.
      const isStorage = error instanceof WireError && error.errorName === "storage";
      const failure: Failure = isStorage
        ? { kind: "storage", message: error.message }
        : { kind: "internal", message: "Something went wrong inside the sidecar" };
      await this.#end(run, { status: "error", failure });
    } finally {
      clearInterval(checkpoints);
    }
  }

  /** Saves what was said since the last time; one save at a time, so that the pieces stay in order. */
  #checkpoint(run: Run): void {
    const { answer } = run;
    const part = run.ending === undefined ? answer.takeUnsaved() : undefined;
    if (part === undefined) return;
    const save = async () => (await this.#deps.store()).appendAnswer(run.turnId, part);
    save().then(
      () => answer.saved(),
      (error: unknown) => {
        answer.putBack(part);
        this.#deps.log.warn({ error, streamId: run.streamId }, "the text of a running turn could not be saved yet");
      },
    );
  }

  #end(run: Run, outcome: Outcome): Promise<void> {
    run.outcome ??= outcome;
    run.ending ??= this.#endOnce(run, run.outcome);
    return run.ending;
  }

  async #endOnce(run: Run, outcome: Outcome): Promise<void> {
    let told = outcome;
    const end = this.#close(run, outcome);
    // Nobody resumes a turn outside a session, so its terminal does not wait for the disk.
    if (!run.isStored) this.#sendTerminal(run, outcome);
    try {
      // Persist first: a host must never see an end that a restart forgets.
      await this.#endings.save(end, run.isStored);
    } catch (error) {
      this.#deps.log.error({ error, streamId: run.streamId }, "the end of a turn could not be stored");
      if (outcome.status === "completed") told = { status: "error", failure: { kind: "storage", message: "The answer could not be stored" } };
    }
    this.#sendTerminal(run, told);
    this.#forget(run, told);
  }

  #close(run: Run, outcome: Outcome): TurnEnd {
    const { recorder, account, answer } = run;
    run.phases.close();
    account.close();
    const failure = outcome.status === "error" ? outcome.failure : undefined;
    if (failure !== undefined) this.#deps.log.warn({ streamId: run.streamId, traceId: recorder.traceId, ...failure }, "a turn failed");
    else this.#deps.log.debug({ streamId: run.streamId, traceId: recorder.traceId, status: outcome.status }, "a turn ended");
    if (failure?.kind === "budget_exhausted") recorder.event("budget", "budget.exhausted", { message: failure.message }, "error");
    if (failure !== undefined) recorder.event("error", "turn.error", { kind: failure.kind, message: failure.message }, "error");
    else recorder.event("completion", "turn.end", { status: outcome.status, finishReason: run.finishReason ?? null });
    const trace = recorder.finish(traceStatus(outcome), { errorMessage: failure?.message, totalTokens: run.usage?.totalTokens });
    if (answer.content !== undefined) run.messages.push(answerMessage(answer.content));
    return { turnId: run.turnId, sessionId: run.sessionId, answer: run.isStored ? answer.content : undefined, ending: run.endingOf(outcome), trace };
  }

  #sendTerminal(run: Run, outcome: Outcome): void {
    if (run.told) return;
    run.told = true;
    sendTerminal(run.sink, run.recorder.traceId, run.endingOf(outcome));
  }

  #forget(run: Run, outcome: Outcome): void {
    if (this.#live.get(run.streamId) === run) this.#live.delete(run.streamId);
    this.#deps.traces.remove(run.recorder);
    if (run.idempotencyKey !== undefined) this.#keys.release(run.idempotencyKey);
    if (run.sessionId === undefined) this.#deps.grants.forget(run.streamId);
    const { streamId, messages, calls } = run;
    this.#finishedOf(run).resolve({ streamId, traceId: run.recorder.traceId, messages, calls, ending: run.endingOf(outcome) });
  }

  #finishedOf(run: Run) {
    const known = this.#finished.get(run);
    if (known !== undefined) return known;
    let resolve: (turn: EndedTurn) => void = () => undefined;
    const promise = new Promise<EndedTurn>((settle) => {
      resolve = settle;
    });
    const made = { promise, resolve };
    this.#finished.set(run, made);
    return made;
  }
}

function traceStatus(outcome: Outcome) {
  if (outcome.status === "interrupted") return "cancelled";
  return outcome.status === "error" && outcome.failure.kind === "budget_exhausted" ? "budget_exhausted" : outcome.status;
}
