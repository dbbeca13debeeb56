import type { NotificationParams } from "../../contract/index.ts";
import type { ChatMessage, ToolCall, ToolResult, Usage } from "../../contract/model.ts";
import type { Failure } from "../../errors.ts";
import type { ModelEvent } from "../../providers/provider.ts";
import type { MessageBody, Store, TurnEnding } from "../../store/store.ts";
import type { TurnAccount } from "../budget/budgets.ts";
import type { ModelCall } from "../models.ts";
import type { TraceRecorder } from "../trace.ts";
import { AnswerInProgress } from "./answer.ts";
import { Interruption, type Stop } from "./interruption.ts";
import { Journal } from "./journal.ts";
import { Phases } from "./phases.ts";

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

/** How a turn ended. */
export type Outcome = { status: "completed" } | { status: "cancelled" | "interrupted" } | { status: "error"; failure: Failure };

/** What a turn was started with. */
export interface RunFields {
  streamId: string;
  turnId: string;
  sessionId: string | undefined;
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
  /** Opened on first use. */
  store(): Promise<Store>;
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
  readonly idempotencyKey: string | undefined;
  readonly call: ModelCall;
  readonly useTools: readonly string[];
  readonly recorder: TraceRecorder;
  readonly sink: StreamSink;
  /** Nobody follows the turn. */
  readonly isSilent: boolean;
  readonly account: TurnAccount;
  readonly interruption = new Interruption();
  readonly journal: Journal;
  readonly phases: Phases;
  /** What the model is saying now. */
  answer: AnswerInProgress;
  /** Messages of the turn behind those that it was started with, as far as they are complete. */
  readonly messages: MessageBody[] = [];
  /** Every call that the model has made, in order; without a result those that are the host's, or were cut off. */
  readonly calls: { call: ToolCall; result: ToolResult | undefined }[] = [];
  finishReason: string | undefined;
  /** Why its time was up, when it was stopped for that. */
  exhaustion: Failure | undefined;
  /** Set once the run has begun to end; it ends once. */
  outcome: Outcome | undefined;
  ending: Promise<void> | undefined;
  /** True once the terminal was sent. */
  told = false;

  #steering: ChatMessage[] | undefined = [];

  constructor(fields: RunFields) {
    this.streamId = fields.streamId;
    this.turnId = fields.turnId;
    this.sessionId = fields.sessionId;
    this.idempotencyKey = fields.idempotencyKey;
    this.call = fields.call;
    this.useTools = fields.useTools;
    this.recorder = fields.recorder;
    this.isSilent = fields.sink === undefined;
    this.sink = fields.sink ?? silence;
    this.account = fields.account;
    this.phases = new Phases(fields.tellsStatus ? (status) => this.sink.status(status) : undefined);
    this.answer = new AnswerInProgress(this.isStored);
    this.journal = new Journal(fields.turnId, this.isStored ? fields.store : undefined);
  }

  /** Whether its messages are kept in the store. */
  get isStored(): boolean {
    return this.sessionId !== undefined || this.idempotencyKey !== undefined;
  }

  get stop(): Stop | undefined {
    return this.interruption.stop;
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
      case "toolCall":
        this.recorder.event("tool_call", "llm.tool_call", { id: event.call.id, name: event.call.name });
        answer.ask(event.call);
        this.calls.push({ call: event.call, result: undefined });
        return sink.chunk({ toolCall: event.call });
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

  /** What the newest call of this id came to. */
  resultOf(callId: string): ToolResult | undefined {
    return this.calls.findLast(({ call }) => call.id === callId)?.result;
  }

  settle(callId: string, result: ToolResult): void {
    // The id of a call is the model's own: should two be alike, the first that is open is meant.
    const open = this.calls.find(({ call, result: known }) => call.id === callId && known === undefined);
    if (open !== undefined) open.result = result;
    this.sink.chunk({ toolResult: { ...result, id: callId, name: open?.call.name ?? "" } });
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
    };
  }
}
