import type { ChatStreamParams } from "../contract/agent.ts";
import type { ChatMessage } from "../contract/model.ts";
import { fail, type Failure, WireError } from "../errors.ts";
import type { Log } from "../log.ts";
import type { ModelEvent, ModelRequest, Provider } from "../providers/provider.ts";
import { redactText } from "../redact.ts";
import type { Store, TurnEnd } from "../store/store.ts";
import { conversation } from "./history.ts";
import type { NewId } from "./ids.ts";
import type { Models } from "./models.ts";
import { KeyedQueue } from "./queue.ts";
import { isRetryable, nextTry } from "./retry.ts";
import { type Outcome, Run, STOPPED, type Stop, type StreamSink } from "./run.ts";
import { type LiveTraces, TraceRecorder } from "./trace.ts";
import type { TraceEvent } from "../contract/model.ts";

/** How often the text of a running turn is saved, so that a crash keeps it. Milliseconds. */
const CHECKPOINT_MS = 500;
/** Between two tries to store the end of a turn when the store has failed: doubled from the first to the last. Milliseconds. */
const FIRST_RETRY_MS = 1_000;
const LAST_RETRY_MS = 5_000;

export interface RunsDependencies {
  models: Models;
  /** Opened on first use. */
  store(): Promise<Store>;
  traces: LiveTraces;
  openSink(streamId: string): StreamSink;
  /** Streams open at a time before more are turned away. */
  maxStreams: number;
  onTraceEvent(event: TraceEvent): void;
  newId: NewId;
  now(): number;
  random(): number;
  log: Log;
}

/**
 * Custody of streams: every one that was acknowledged ends with exactly one terminal, whatever
 * happens to the model server, the host, the store or this process.
 */
export class Runs {
  readonly #deps: RunsDependencies;
  readonly #live = new Map<string, Run>();
  /** Ids of streams that are about to be acknowledged. */
  readonly #beginning = new Set<string>();
  /** Ends of turns that the store has refused so far. */
  readonly #unstored = new Set<TurnEnd>();
  readonly #turns = new KeyedQueue();

  constructor(deps: RunsDependencies) {
    this.#deps = deps;
  }

  get live(): number {
    return this.#live.size;
  }

  /** Acknowledges a turn and lets it run. With a session, its messages are durable by then. */
  async start(params: ChatStreamParams, signal: AbortSignal): Promise<{ streamId: string }> {
    const { models, newId, now, traces } = this.#deps;
    const call = models.resolve(params);
    const streamId = params.streamId ?? newId.stream();
    const release = this.#reserve(streamId);
    try {
      const session = params.sessionId === undefined ? undefined : await (await this.#deps.store()).getSession(params.sessionId);
      if (session?.isActive === false) throw fail("session_closed", { sessionId: session.sessionId }, "The session is closed; resume it first");

      // From here on the messages are in the session, whether the caller still waits or not.
      if (signal.aborted) throw fail("cancelled");
      const subject = { sessionId: session?.sessionId, chatId: session?.chatId, userId: session?.userId, modelId: call.request.model };
      const recorder = new TraceRecorder(newId.trace(), subject, now, this.#deps.onTraceEvent);
      recorder.event("lifecycle", "turn.start", { provider: call.provider, model: call.request.model ?? null, messages: params.messages.length });
      // A name that the host chose may come again after a restart, so it cannot name the turn for ever.
      const turnId = params.streamId === undefined ? streamId : newId.stream();
      const begun = this.#begin({ turnId, sessionId: session?.sessionId, messages: params.messages, recorder });
      if (session !== undefined) await begun;
      else begun.catch((error: unknown) => this.#deps.log.warn({ error, streamId }, "the trace of a turn could not be stored"));

      const run = new Run({ streamId, turnId, sessionId: session?.sessionId, call, recorder, sink: this.#deps.openSink(streamId) });
      this.#live.set(streamId, run);
      traces.add(recorder);
      void (session === undefined ? this.#turn(run) : this.#turns.run(session.sessionId, () => this.#turn(run)));
      return { streamId };
    } finally {
      release();
    }
  }

  /** Stops a stream; resolves when it has sent its terminal. Unknown streams are none of our business. */
  async cancel(streamId: string): Promise<void> {
    const run = this.#live.get(streamId);
    if (run !== undefined) await this.#stop(run, "cancelled");
  }

  async cancelSession(sessionId: string): Promise<void> {
    await Promise.all([...this.#live.values()].filter((run) => run.sessionId === sessionId).map((run) => this.#stop(run, "cancelled")));
  }

  /** Ends every stream in order; resolves when all have sent their terminal and are stored. */
  async stopAll(): Promise<void> {
    await Promise.all([...this.#live.values()].map((run) => this.#stop(run, "interrupted")));
  }

  /** Ends every stream within this call: the terminals are queued, what is to be stored is handed to `store`. */
  stopAllNow(store: Store | undefined): void {
    const keep = (end: TurnEnd) => store?.endTurn(end).catch((error: unknown) => this.#deps.log.warn({ error }, "a turn could not be stored at exit"));
    for (const end of this.#unstored) void keep(end);
    for (const run of this.#live.values()) {
      run.abort("interrupted");
      // One that is already ending has handed its end to the store; only its terminal may be missing.
      const outcome = run.outcome ?? { status: "interrupted" };
      if (run.outcome === undefined) void keep(this.#close(run, outcome));
      this.#sendTerminal(run, outcome);
      this.#forget(run);
    }
  }

  async #stop(run: Run, stop: Stop): Promise<void> {
    run.abort(stop);
    // A turn that waits for its session must not wait for the turn before it to be stopped too.
    await this.#end(run, { status: run.stop ?? stop });
  }

  /** Keeps a stream id for a turn that is about to begin; the function returned gives it up. */
  #reserve(streamId: string): () => void {
    const { maxStreams } = this.#deps;
    if (this.#live.has(streamId) || this.#beginning.has(streamId)) throw fail("invalid_params", { path: "streamId" }, "A stream with this id is still open");
    if (this.#live.size + this.#beginning.size >= maxStreams) throw fail("overloaded", { retryAfterMs: 1000 }, `More than ${maxStreams} streams are open`);
    this.#beginning.add(streamId);
    return () => this.#beginning.delete(streamId);
  }

  async #begin(turn: { turnId: string; sessionId: string | undefined; messages: readonly ChatMessage[]; recorder: TraceRecorder }): Promise<void> {
    const { turnId, sessionId, messages, recorder } = turn;
    const store = await this.#deps.store();
    await store.beginTurn({ turnId, traceId: recorder.traceId, sessionId, messages, trace: recorder.record().trace });
  }

  async #turn(run: Run): Promise<void> {
    if (run.ending !== undefined) return;
    const checkpoints = run.sessionId === undefined ? undefined : setInterval(() => this.#checkpoint(run), CHECKPOINT_MS);
    try {
      await this.#end(run, await this.#generate(run));
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

  /** Calls the model, again where that may help and nothing was said yet. */
  async #generate(run: Run): Promise<Outcome> {
    const provider = await run.call.load();
    const request = { ...run.call.request, messages: await this.#conversation(run) };
    for (let attempt = 1; ; attempt++) {
      const failure = await this.#attempt(run, provider, request, attempt);
      if (run.stop !== undefined) return { status: run.stop };
      if (failure === undefined) return { status: "completed" };
      const waitMs = run.hasSpoken ? undefined : nextTry(failure, attempt, run.call.retry, this.#deps.random);
      if (waitMs === undefined) return { status: "error", failure };
      this.#deps.log.info({ streamId: run.streamId, attempt, waitMs, kind: failure.kind, failure: failure.message }, "the model is asked again");
      run.recorder.event("retry", "llm.retry", { attempt, waitMs, kind: failure.kind, message: failure.message }, "warning");
      await run.sleep(waitMs);
      if (run.stop !== undefined) return { status: run.stop };
    }
  }

  async #conversation(run: Run): Promise<ChatMessage[]> {
    const history = run.sessionId === undefined ? [] : await (await this.#deps.store()).history(run.sessionId, run.turnId);
    return conversation(history, run.call.request.messages);
  }

  /** One try. Undefined when the model was done, or the run was stopped. */
  async #attempt(run: Run, provider: Provider, request: ModelRequest, attempt: number): Promise<Failure | undefined> {
    const facts = { provider: run.call.provider, model: request.model ?? null, attempt };
    const closeSpan = run.recorder.span("llm.generate", "llm", { ...facts, messages: request.messages.length });
    run.recorder.event("llm_request", "llm.request", facts);
    this.#deps.log.debug({ streamId: run.streamId, ...facts }, "the model is asked");
    const iterator = provider.stream(request, run.call.settings, run.signal)[Symbol.asyncIterator]();
    let failure: Failure | undefined;
    let finished = false;
    let first = true;
    while (failure === undefined && !finished) {
      const step = await run.interruptible(iterator.next());
      if (step === STOPPED) break;
      if (step.done === true) {
        failure = { kind: "truncated", message: "The answer stopped before its end" };
        break;
      }
      if (first) {
        first = false;
        run.recorder.event("llm_response", "llm.first_event", { attempt });
      }
      for (const event of step.value) {
        if (event.type === "failure") failure = event.failure;
        else if (event.type === "finish") finished = true;
        this.#pass(run, event);
      }
      const hostIsSlow = run.sink.ready();
      if (hostIsSlow !== undefined && failure === undefined && !finished && (await run.interruptible(hostIsSlow)) === STOPPED) break;
    }
    // Lets the provider close its connection; nobody waits for it.
    void Promise.resolve(iterator.return?.()).catch(() => undefined);
    if (run.stop !== undefined) closeSpan("cancelled");
    else if (failure !== undefined) closeSpan(failure.kind === "timeout" ? "timeout" : "error", { kind: failure.kind, message: failure.message });
    else closeSpan("ok", { finishReason: run.finishReason ?? null, usage: run.usage ?? null });
    return run.stop === undefined ? failure : undefined;
  }

  #pass(run: Run, event: ModelEvent): void {
    if (run.stop !== undefined) return;
    switch (event.type) {
      case "text":
        return run.say("delta", event.text);
      case "reasoning":
        return run.say("reasoningDelta", event.text);
      case "toolCall":
        run.recorder.event("tool_call", "llm.tool_call", { id: event.call.id, name: event.call.name });
        return run.ask(event.call);
      case "providerData":
        return run.attach(event.data);
      case "usage":
        // Sent with the finish reason: providers report it just before.
        run.usage = event.usage;
        return;
      case "finish":
        run.finishReason = event.reason;
        return run.sink.chunk({ finishReason: event.reason, ...(run.usage === undefined ? {} : { usage: run.usage }) });
      case "failure":
        return;
    }
  }

  /** Saves what was said since the last time; one save at a time, so that the pieces stay in order. */
  #checkpoint(run: Run): void {
    const part = run.ending === undefined ? run.takeUnsaved() : undefined;
    if (part === undefined) return;
    const save = async () => (await this.#deps.store()).appendAnswer(run.turnId, part);
    save().then(
      () => run.saved(),
      (error: unknown) => {
        run.putBack(part);
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
    if (run.sessionId === undefined) this.#sendTerminal(run, outcome);
    try {
      // Persist first: a host must never see an end that a restart forgets.
      await (await this.#deps.store()).endTurn(end);
    } catch (error) {
      this.#deps.log.error({ error, streamId: run.streamId }, "the end of a turn could not be stored");
      if (run.sessionId !== undefined) void this.#storeLater(end);
      if (outcome.status === "completed") told = { status: "error", failure: { kind: "storage", message: "The answer could not be stored" } };
    }
    this.#sendTerminal(run, told);
    this.#forget(run);
  }

  /** Tries again until it works or the process ends; then the turn counts as interrupted, with the text that was saved on the way. */
  async #storeLater(end: TurnEnd): Promise<void> {
    this.#unstored.add(end);
    for (let waitMs = FIRST_RETRY_MS; ; waitMs = Math.min(waitMs * 2, LAST_RETRY_MS)) {
      await new Promise((resolve) => setTimeout(resolve, waitMs).unref());
      try {
        await (await this.#deps.store()).endTurn(end);
        this.#unstored.delete(end);
        return;
      } catch (error) {
        if (error instanceof WireError && error.data?.["reason"] === "closed") return;
      }
    }
  }

  #close(run: Run, outcome: Outcome): TurnEnd {
    const { recorder } = run;
    const failure = outcome.status === "error" ? outcome.failure : undefined;
    if (failure !== undefined) this.#deps.log.warn({ streamId: run.streamId, traceId: recorder.traceId, ...failure }, "a turn failed");
    else this.#deps.log.debug({ streamId: run.streamId, traceId: recorder.traceId, status: outcome.status }, "a turn ended");
    if (failure !== undefined) recorder.event("error", "turn.error", { kind: failure.kind, message: failure.message }, "error");
    else recorder.event("completion", "turn.end", { status: outcome.status, finishReason: run.finishReason ?? null });
    const status = outcome.status === "interrupted" ? "cancelled" : outcome.status;
    const trace = recorder.finish(status, { errorMessage: failure?.message, totalTokens: run.usage?.totalTokens });
    return { turnId: run.turnId, sessionId: run.sessionId, status: outcome.status, answer: run.answer, trace };
  }

  #sendTerminal(run: Run, outcome: Outcome): void {
    if (run.told) return;
    run.told = true;
    const traceId = run.recorder.traceId;
    if (outcome.status === "error") {
      const { kind, message, status, retryAfterMs } = outcome.failure;
      run.sink.error({
        kind,
        message: redactText(message),
        ...(status === undefined ? {} : { status }),
        retryable: isRetryable(outcome.failure),
        ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
        traceId,
      });
      return;
    }
    const ok = outcome.status === "completed";
    run.sink.done({
      ok,
      ...(ok ? {} : { cancelled: true }),
      ...(run.finishReason === undefined ? {} : { finishReason: run.finishReason }),
      ...(run.usage === undefined ? {} : { usage: run.usage }),
      traceId,
    });
  }

  #forget(run: Run): void {
    if (this.#live.get(run.streamId) === run) this.#live.delete(run.streamId);
    this.#deps.traces.remove(run.recorder);
  }
}
