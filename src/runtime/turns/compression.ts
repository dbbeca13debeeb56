import type { Caller } from "../../contract/caller.ts";
import type { Params, Result } from "../../contract/index.ts";
import { type Failure, fail } from "../../errors.ts";
import type { RuntimeBase } from "../base.ts";
import type { Budgets } from "../budget/budgets.ts";
import { windowOf } from "../budget/prices.ts";
import { estimateTextTokens, estimateTokens } from "../budget/tokens.ts";
import type { ModelCall, Models } from "../models.ts";
import type { SessionModels } from "../session-models.ts";
import { TraceRecorder } from "../trace.ts";
import { keepSummary, summarize, summaryRequest } from "./compaction.ts";
import { Conversation, type Head } from "./conversation.ts";
import { failureFacts } from "./failure.ts";
import { Interruption } from "./interruption.ts";
import { Phases } from "./phases.ts";

type CompressParams = Params<"agent.session.compress">;
type CompressResult = Result<"agent.session.compress">;

export interface CompressionDependencies extends RuntimeBase {
  models: Models;
  sessionModels: SessionModels;
  budgets: Budgets;
  /** Runs the task when the turns of the session that were started before are done. */
  afterTurns<T>(sessionId: string, task: () => Promise<T>): Promise<T>;
}

/** `agent.session.compress`: the older part of a session is summarized when the host says so. */
export class Compression {
  readonly #deps: CompressionDependencies;

  constructor(deps: CompressionDependencies) {
    this.#deps = deps;
  }

  async compress(params: CompressParams, signal: AbortSignal, caller: Caller): Promise<CompressResult> {
    const { models, sessionModels, store, afterTurns } = this.#deps;
    const { sessionId } = params;
    // What is wrong is said at once, not when the turns before are done.
    const session = await (await store()).getSession(sessionId);
    if (!session.isActive) throw fail("session_closed", { sessionId });
    // How long answers may be says nothing about summaries.
    const chosen = { ...sessionModels.of(session), maxTokens: undefined };
    const call = models.resolve(params, { messages: [], tools: undefined }, caller, chosen);
    return afterTurns(sessionId, () => this.#compress(params, call, signal, caller.subject));
  }

  async #compress(params: CompressParams, call: ModelCall, signal: AbortSignal, owner: string): Promise<CompressResult> {
    if (signal.aborted) throw fail("cancelled");
    const { config, store } = this.#deps;
    const { sessionId } = params;
    const conversation = new Conversation("", await (await store()).history(sessionId, undefined), []);
    const tokensBefore = estimateTokens(conversation.messages());
    const cut = conversation.cutOfAll(params.keepTurns ?? config().compaction.keepTurns);
    if (cut === 0) return { summary: "", summarizedMessages: 0, tokensBefore, tokensAfter: tokensBefore };
    const head = conversation.head(cut);
    const made = await this.#ask(params, call, head, signal, owner);
    await keepSummary(await store(), sessionId, head, made.text);
    conversation.summarize(cut, made.text);
    const { usage, traceId } = made;
    return {
      summary: made.text,
      summarizedMessages: head.count,
      tokensBefore,
      tokensAfter: estimateTokens(conversation.messages()),
      ...(usage === undefined ? {} : { usage }),
      traceId,
    };
  }

  /** One model call with everything that belongs to one: a budget, a trace, an end when it is cancelled. */
  async #ask({ sessionId, instructions }: CompressParams, call: ModelCall, head: Head, signal: AbortSignal, owner: string) {
    const { budgets, config, traces, newId, now, onTraceEvent, random, log, meter } = this.#deps;
    const recorder = new TraceRecorder({ traceId: newId.trace(), owner }, { sessionId, modelId: call.request.model }, now, onTraceEvent);
    recorder.event("lifecycle", "session.compress", { messages: head.count });
    const interruption = new Interruption();
    const cancel = () => interruption.abort("cancelled");
    const account = await budgets.open({ sessionId, budget: undefined, provider: call.provider, model: call.request.model, prices: config().prices });
    traces.add(recorder);
    let failure: Failure | undefined;
    account.onExhausted((exhausted) => {
      failure = exhausted;
      interruption.abort("exhausted");
    });
    signal.addEventListener("abort", cancel, { once: true });
    if (signal.aborted) cancel();
    account.begin();
    try {
      const messages = summaryRequest(head, windowOf(call.request.model, config().compaction.windows), instructions);
      const promptTokens = estimateTokens(messages);
      const room = await account.reserveCall({ promptTokens, maxTokens: call.request.maxTokens }, interruption.signal);
      if (room !== "aborted" && "failure" in room) throw this.#failed(recorder, room.failure);
      if (room === "aborted") throw this.#failed(recorder, failure);
      const context = {
        call,
        provider: await call.load(),
        recorder,
        interruption,
        phases: new Phases(undefined),
        random,
        log,
        meter,
        streamId: recorder.traceId,
      };
      const made = await summarize({ ...call.request, messages, maxTokens: room.maxTokens }, context);
      const passed = account.settleCall(made.answer.usage, { promptTokens, completionTokens: estimateTextTokens(made.answer.length) });
      if (interruption.stop !== undefined) throw this.#failed(recorder, failure);
      if (made.failure !== undefined || passed !== undefined) throw this.#failed(recorder, made.failure ?? passed);
      if (made.text === "") throw this.#failed(recorder, { kind: "malformed_response", message: "The model gave no summary" });
      const usage = account.usage;
      await this.#save(recorder, "completed", undefined, usage?.totalTokens);
      return { text: made.text, usage, traceId: recorder.traceId };
    } finally {
      signal.removeEventListener("abort", cancel);
      account.close();
      traces.remove(recorder);
    }
  }

  /** The error of the reply; without a failure the call was cancelled. */
  #failed(recorder: TraceRecorder, failure: Failure | undefined) {
    const status = failure === undefined ? "cancelled" : failure.kind === "budget_exhausted" ? "budget_exhausted" : "error";
    void this.#save(recorder, status, failure?.message, undefined);
    const { traceId } = recorder;
    if (failure === undefined) return fail("cancelled", { traceId });
    return fail(failure.kind === "budget_exhausted" ? "budget_exhausted" : "turn_failed", { failure: failureFacts(failure), traceId }, failure.message);
  }

  async #save(
    recorder: TraceRecorder,
    status: "completed" | "error" | "cancelled" | "budget_exhausted",
    errorMessage: string | undefined,
    totalTokens: number | undefined,
  ) {
    const record = recorder.finish(status, { errorMessage, totalTokens });
    try {
      await (await this.#deps.store()).saveTrace(record);
    } catch (error) {
      this.#deps.log.warn({ error, traceId: recorder.traceId }, "the trace of a summary could not be stored");
    }
  }
}
