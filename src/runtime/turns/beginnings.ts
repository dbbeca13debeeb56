import type { ChatParams } from "../../contract/agent/chat.ts";
import type { FileRef } from "../../contract/agent/files.ts";
import type { ChatMessage } from "../../contract/model.ts";
import { fail } from "../../errors.ts";
import type { IdempotencyMark, Store, TurnStart } from "../../store/store.ts";
import type { Attachments } from "../attachments.ts";
import type { RuntimeBase } from "../base.ts";
import type { Budgets, TurnAccount } from "../budget/budgets.ts";
import { type Door, outletOf } from "../door.ts";
import type { Models } from "../models.ts";
import type { SessionModels } from "../session-models.ts";
import type { ToolRegistry } from "../tools/registry.ts";
import { TraceRecorder } from "../trace.ts";
import { Run, type StreamSink } from "./run.ts";

export interface BeginningsDependencies extends RuntimeBase {
  models: Models;
  sessionModels: SessionModels;
  budgets: Budgets;
  registry: ToolRegistry;
  attachments: Attachments;
  /** Streams open at a time before more are turned away. */
  maxStreams: number;
}

/** What a turn is asked for with. */
export interface Request {
  params: ChatParams;
  mark: IdempotencyMark | undefined;
  /** The way that it was asked for. */
  door: Door;
  /** Undefined when nobody follows the turn. */
  openSink: ((streamId: string) => StreamSink) | undefined;
}

interface Reservation {
  owner: string;
  isCancelled: boolean;
  /** While files are read: nothing is stored yet, so there need be no turn. */
  onCancel?: () => void;
}

/** The streams that are open. */
export interface OpenStreams {
  has(streamId: string): boolean;
  readonly size: number;
}

/** Turns until they are acknowledged: everything is settled and stored that they are acknowledged with. */
export class Beginnings {
  readonly #deps: BeginningsDependencies;
  readonly #streams: OpenStreams;
  /** Streams that are about to be acknowledged. */
  readonly #reserved = new Map<string, Reservation>();

  constructor(deps: BeginningsDependencies, streams: OpenStreams) {
    this.#deps = deps;
    this.#streams = streams;
  }

  /** A host that has chosen the id itself need not wait for the reply: the turn ends as soon as it has begun. */
  cancel(streamId: string): void {
    const reservation = this.#reserved.get(streamId);
    if (reservation === undefined) return;
    reservation.isCancelled = true;
    reservation.onCancel?.();
  }

  /** Of a stream that is about to be acknowledged. */
  ownerOf(streamId: string): string | undefined {
    return this.#reserved.get(streamId)?.owner;
  }

  /** Makes the run and gives it to `admit`. `signal` is heard as long as nothing was stored: from then on the messages are in the session. */
  async begin({ params, mark, door, openSink }: Request, signal: AbortSignal, admit: (run: Run, isCancelled: boolean) => void): Promise<Run> {
    const { models, sessionModels, budgets, registry, newId, now, config, store, onTraceEvent } = this.#deps;
    const useTools = params.useTools ?? [];
    registry.check(useTools);
    const streamId = params.streamId ?? newId.stream();
    const owner = door.caller.subject;
    const reservation = this.#reserve(streamId, owner);
    let account: TurnAccount | undefined;
    try {
      const session = params.sessionId === undefined ? undefined : await (await store()).getSession(params.sessionId);
      if (session?.isActive === false) throw fail("session_closed", { sessionId: session.sessionId });
      const call = models.resolve(params, { messages: params.messages, tools: params.tools }, door.caller, sessionModels.of(session));
      const messages = params.files === undefined ? params.messages : await this.#withFiles(params.messages, params.files, reservation, signal);
      call.request.messages = messages;
      const { model } = call.request;
      account = await budgets.open({ sessionId: session?.sessionId, budget: params.budget, provider: call.provider, model, prices: config().prices });
      if (signal.aborted) throw fail("cancelled");

      const recorder = new TraceRecorder(
        { traceId: newId.trace(), owner },
        { sessionId: session?.sessionId, chatId: session?.chatId, userId: session?.userId, modelId: model },
        now,
        onTraceEvent,
      );
      recorder.event("lifecycle", "turn.start", { provider: call.provider, model: model ?? null, messages: params.messages.length });
      // A name that the host chose may come again after a restart, so it cannot name the turn for ever.
      const turnId = params.streamId === undefined ? streamId : newId.stream();
      const sessionId = session?.sessionId;
      const kept = session === undefined && mark === undefined ? undefined : await store();
      await this.#store({ turnId, owner, traceId: recorder.traceId, sessionId, messages, trace: recorder.record().trace }, streamId, mark, kept);
      const run = new Run({
        streamId,
        turnId,
        sessionId,
        owner,
        outlet: outletOf(door),
        call,
        useTools,
        idempotencyKey: mark?.key,
        recorder,
        sink: openSink?.(streamId),
        account,
        tellsStatus: door.tellsStatus(),
        store: kept,
        newCallId: newId.call,
      });
      account.onExhausted((failure) => run.exhaust(failure));
      admit(run, reservation.isCancelled);
      return run;
    } catch (error) {
      account?.close();
      throw error;
    } finally {
      this.#reserved.delete(streamId);
    }
  }

  /** They are read once: the model is sent what is stored. */
  async #withFiles(messages: ChatMessage[], files: readonly FileRef[], reservation: Reservation, signal: AbortSignal): Promise<ChatMessage[]> {
    const cancelled = new AbortController();
    reservation.onCancel = () => cancelled.abort();
    if (reservation.isCancelled) cancelled.abort();
    return this.#deps.attachments.attach(messages, files, AbortSignal.any([signal, cancelled.signal]));
  }

  /** Keeps a stream id for a turn that is about to begin. */
  #reserve(streamId: string, owner: string): Reservation {
    const { maxStreams } = this.#deps;
    if (this.#streams.has(streamId) || this.#reserved.has(streamId)) throw streamIsOpen();
    if (this.#streams.size + this.#reserved.size >= maxStreams) {
      throw fail("overloaded", { retryAfterMs: 1000 }, `More than ${maxStreams} streams are open`);
    }
    const reservation: Reservation = { owner, isCancelled: false };
    this.#reserved.set(streamId, reservation);
    return reservation;
  }

  /** Resolves when what the turn was given is durable. Of one of which nothing is kept there is only a trace, and nobody waits for that. */
  async #store(turn: TurnStart, streamId: string, mark: IdempotencyMark | undefined, kept: Store | undefined): Promise<void> {
    const start = { ...turn, idempotency: mark === undefined ? undefined : { ...mark, streamId } };
    if (kept !== undefined) return kept.beginTurn(start);
    const save = async () => (await this.#deps.store()).beginTurn(start);
    save().catch((error: unknown) => this.#deps.log.warn({ error, streamId }, "the trace of a turn could not be stored"));
  }
}

export function streamIsOpen() {
  return fail("invalid_params", { path: "streamId" }, "A stream with this id is still open");
}
