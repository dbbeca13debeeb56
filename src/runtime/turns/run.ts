import type { NotificationParams } from "../../contract/index.ts";
import type { ChatMessage, ToolCall, ToolResult, Usage } from "../../contract/model.ts";
import type { Failure } from "../../errors.ts";
import type { ModelEvent } from "../../providers/provider.ts";
import { answerMessage } from "../../store/messages.ts";
import type { MessageBody, Store, TurnEnding } from "../../store/store.ts";
import type { TurnAccount } from "../budget/budgets.ts";
import type { ModelCall } from "../models.ts";
import type { TraceRecorder } from "../trace.ts";
import { UNKNOWN_OUTCOME } from "../tools/invocation.ts";
import { AnswerInProgress } from "./answer.ts";
import { Interruption, type Stop } from "./interruption.ts";
import { Journal } from "./journal.ts";
import { Phases } from "./phases.ts";
import { toolMessage } from "./result-text.ts";

type Body<N extends "stream.chunk" | "stream.done" | "stream.error" | "stream.status"> = Omit<NotificationParams<N>, "streamId" | "seq">;

/** Where the notifications of one stream go. After `done` or `error` nothing more is sent. */
export interface StreamSink {
  text(field: "delta" | "reasoningDelta", text: string): void;
  chunk(body: Body<"stream.chunk">): void;
  done(body: Body<"stream.done">): void;
  error(body: Body<"stream.error">): void;
  status(body: Body<"stream.status">): void;
  /** Undefined when more may be sent; otherwise resolves when the host has caught up. */
  ready(): Promise<void> | undefined;
}

export interface CallWithResult {
  call: ToolCall;
  result: ToolResult | undefined;
}

/** How a turn ended. */
export type Outcome = { status: "completed" } | { status: "cancelled" | "interrupted" } | { status: "error"; failure: Failure };

/** What a turn was started with. */
export interface RunFields {
  streamId: string;
  turnId: string;
  sessionId: string | undefined;
  /** The subject that has asked for it. */
  owner: string;
  /** Where the sink can be read. */
  outlet: object;
  call: ModelCall;
  /** Patterns of the tools that we run. */
  useTools: readonly string[];
  idempotencyKey: string | undefined;
  recorder: TraceRecorder;
  /** Undefined when nobody follows the turn: it is told as a whole, when it is done. */
  sink: StreamSink | undefined;
  account: TurnAccount;
  /** Whether the host wants to know what the turn waits for. */
  tellsStatus: boolean;
  /** Where its messages are kept; undefined for a turn of which nothing is kept. */
  store: Store | undefined;
  newCallId(): string;
}

const silence: StreamSink = {
  text: () => undefined,
  chunk: () => undefined,
  done: () => undefined,
  error: () => undefined,
  status: () => undefined,
  ready: () => undefined,
};

/** One live turn: what was said and done so far, and the handle that stops it. */
export class Run {
  readonly streamId: string;
  readonly turnId: string;
  readonly sessionId: string | undefined;
  readonly owner: string;
  readonly idempotencyKey: string | undefined;
  readonly call: ModelCall;
  readonly useTools: readonly string[];
  readonly recorder: TraceRecorder;
  readonly sink: StreamSink;
  /** Where it is told; undefined when nobody follows it. */
  readonly outlet: object | undefined;
  readonly account: TurnAccount;
  readonly store: Store | undefined;
  readonly interruption = new Interruption();
  readonly journal: Journal;
  readonly phases: Phases;
  /** What the model is saying now. */
  answer: AnswerInProgress;
  /** Messages of the turn behind those that it was started with, as far as they are complete. */
  readonly messages: MessageBody[] = [];
  finishReason: string | undefined;
  /** True once older messages were summarized for it. */
  compacted = false;
  /** How many wait for it. */
  followers = 0;
  /** Why its time was up, when it was stopped for that. */
  exhaustion: Failure | undefined;
  /** Set once the run has begun to end; it ends once. */
  outcome: Outcome | undefined;
  ending: Promise<void> | undefined;
  /** True once the terminal was sent. */
  told = false;

  /** Undefined once nothing more is taken. */
  #steering: ChatMessage[] | undefined = [];
  /** Results of the step that is running, in the order of its calls, as far as they are there. */
  #results: (MessageBody | undefined)[] = [];
  readonly #newCallId: () => string;
  readonly #callsById = new Map<string, CallWithResult>();

  constructor(fields: RunFields) {
    this.streamId = fields.streamId;
    this.turnId = fields.turnId;
    this.sessionId = fields.sessionId;
    this.owner = fields.owner;
    this.idempotencyKey = fields.idempotencyKey;
    this.call = fields.call;
    this.useTools = fields.useTools;
    this.recorder = fields.recorder;
    this.outlet = fields.sink === undefined ? undefined : fields.outlet;
    this.sink = fields.sink ?? silence;
    this.account = fields.account;
    this.phases = new Phases(fields.tellsStatus ? (status) => this.sink.status(status) : undefined);
    this.store = fields.store;
    this.#newCallId = fields.newCallId;
    this.answer = new AnswerInProgress(this.isStored);
    this.journal = new Journal(fields.turnId, fields.store);
  }

  /** Whether its messages are kept in the store. */
  get isStored(): boolean {
    return this.store !== undefined;
  }

  get stop(): Stop | undefined {
    return this.interruption.stop;
  }

  /** Every call that the model has made, in order; without a result those that are the host's, or were cut off. */
  get calls(): readonly CallWithResult[] {
    return [...this.#callsById.values()];
  }

  get usage(): Usage | undefined {
    return this.account.usage;
  }

  /** What the model says, passed on as it comes. */
  hear(event: ModelEvent): void {
    const { answer, sink } = this;
    switch (event.type) {
      case "text":
      case "reasoning": {
        if (event.text === "") return;
        const field = event.type === "text" ? "delta" : "reasoningDelta";
        answer.add(field, event.text);
        return sink.text(field, event.text);
      }
      case "toolCall": {
        const call = this.#withOwnId(event.call);
        this.recorder.event("tool_call", "llm.tool_call", { id: call.id, name: call.name });
        answer.ask(call);
        this.#callsById.set(call.id, { call, result: undefined });
        return sink.chunk({ toolCall: call });
      }
      case "providerData":
        answer.providerData = event.data;
        return sink.chunk({ providerData: event.data });
      case "usage":
        answer.usage = event.usage;
        return;
      case "finish":
        // Told when it is clear whether the turn ends with it.
        answer.finishReason = event.reason;
        return;
      case "failure":
        return;
    }
  }

  /** A model call is done: tells what it took and, where the turn ends with it, why the model stopped. */
  tellUsage(finishReason: string | undefined): void {
    const { usage } = this.answer;
    this.finishReason = finishReason;
    if (usage !== undefined || finishReason !== undefined)
      this.sink.chunk({ ...(finishReason === undefined ? {} : { finishReason }), ...(usage === undefined ? {} : { usage }) });
  }

  /** The turn ends with calls that the host has to run. */
  tellFinish(finishReason: string | undefined): void {
    this.finishReason = finishReason;
    if (finishReason !== undefined) this.sink.chunk({ finishReason });
  }

  /** What was said becomes a message; the next answer begins. */
  nextAnswer(): void {
    this.answer = new AnswerInProgress(this.isStored);
  }

  /** A message that is complete is kept with the turn. */
  keep(message: MessageBody): void {
    this.journal.add(message);
    this.messages.push(message);
  }

  /** A result of the step that is running: it is kept when those in front of it are there, at the latest with the end of the turn. */
  keepInOrder(index: number, message: MessageBody): void {
    this.#results[index] = message;
  }

  /** The step is over. */
  keepResults(): void {
    for (const message of this.#results.splice(0)) if (message !== undefined) this.keep(message);
  }

  resultOf(callId: string): ToolResult | undefined {
    return this.#callsById.get(callId)?.result;
  }

  settle({ id, name }: ToolCall, result: ToolResult): void {
    this.#note(id, result);
    this.sink.chunk({ toolResult: { ...result, id, name } });
  }

  /** Adds a user message for the next model call. False when there will be none. */
  steer(content: ChatMessage["content"]): boolean {
    if (this.#steering === undefined || this.stop !== undefined || this.outcome !== undefined) return false;
    this.#steering.push({ role: "user", content });
    return true;
  }

  takeSteering(): ChatMessage[] {
    return this.#steering?.splice(0) ?? [];
  }

  /** True when nothing is waiting to be said to the model; from then on nothing more is taken. */
  closeSteering(): boolean {
    if (this.#steering !== undefined && this.#steering.length > 0) return false;
    this.#steering = undefined;
    return true;
  }

  /** The turn ends, maybe in the middle of a step: whatever was done and said up to here is kept. */
  close(): void {
    this.phases.close();
    this.account.close();
    this.keepResults();
    const cutOff = this.journal.close((callId) => toolMessage(callId, UNKNOWN_OUTCOME, this.idempotencyKey !== undefined));
    for (const callId of cutOff) {
      this.#note(callId, UNKNOWN_OUTCOME);
      this.messages.push(toolMessage(callId, UNKNOWN_OUTCOME, this.idempotencyKey !== undefined));
    }
    // It was taken, so it is not lost: the next turn of the session sends it.
    for (const message of this.takeSteering()) this.keep(message);
    this.#steering = undefined;
    if (this.answer.content !== undefined) this.messages.push(answerMessage(this.answer.content));
  }

  /** Stops at once whatever the turn waits for. The first reason counts. */
  abort(stop: Stop): void {
    this.interruption.abort(stop);
  }

  /** The time of the turn, or of what it shares in, is used up. */
  exhaust(failure: Failure): void {
    this.exhaustion ??= failure;
    this.abort("exhausted");
  }

  /** How a turn ends that was stopped. */
  outcomeOf(stop: Stop): Outcome {
    if (stop !== "exhausted") return { status: stop };
    return { status: "error", failure: this.exhaustion ?? { kind: "budget_exhausted", message: "A budget is used up" } };
  }

  endingOf(outcome: Outcome): TurnEnding {
    return {
      status: outcome.status,
      finishReason: this.finishReason,
      usage: this.usage,
      costUsd: this.account.costUsd,
      failure: outcome.status === "error" ? outcome.failure : undefined,
      steps: this.account.steps,
      ...(this.compacted ? { compacted: true } : {}),
    };
  }

  #note(callId: string, result: ToolResult): void {
    const known = this.#callsById.get(callId);
    if (known !== undefined) known.result = result;
  }

  /** Some servers number the calls of every answer anew; results, the journal and hosts need to tell them apart. */
  #withOwnId(call: ToolCall): ToolCall {
    const isTaken = call.id === "" || this.#callsById.has(call.id);
    return isTaken ? { ...call, id: this.#newCallId() } : call;
  }
}
