import type { ChatParams } from "../../contract/agent/chat.ts";
import type { Result } from "../../contract/index.ts";
import type { ChatMessage } from "../../contract/model.ts";
import { fail, type Failure, WireError } from "../../errors.ts";
import type { Store } from "../../store/store.ts";
import { type Door, outletOf } from "../door.ts";
import type { Grants } from "../policy/grants.ts";
import { KeyedQueue } from "../queue.ts";
import { Beginnings, type BeginningsDependencies, streamIsOpen } from "./beginnings.ts";
import { type Closing, closingOf } from "./closing.ts";
import { Endings } from "./endings.ts";
import type { Stop } from "./interruption.ts";
import { type LoopDependencies, play } from "./loop.ts";
import { Openings } from "./openings.ts";
import { type EndedTurn, reportOf, sendTerminal } from "./replay.ts";
import { Replays } from "./replays.ts";
import type { Outcome, Run } from "./run.ts";

/** How often what a running turn has come to is saved, so that a crash keeps it. Milliseconds. */
const CHECKPOINT_MS = 500;

export interface RunsDependencies extends LoopDependencies, BeginningsDependencies {
  grants: Grants;
}

/**
 * Custody of streams: every one that was acknowledged ends with exactly one terminal, whatever
 * happens to the model server, the host, the store or this process.
 */
export class Runs {
  readonly #deps: RunsDependencies;
  readonly #live = new Map<string, Run>();
  readonly #finished = new WeakMap<Run, { promise: Promise<EndedTurn>; resolve(turn: EndedTurn): void }>();
  readonly #beginnings: Beginnings;
  readonly #openings: Openings;
  readonly #endings: Endings;
  readonly #replays: Replays;
  readonly #turns = new KeyedQueue();

  constructor(deps: RunsDependencies) {
    this.#deps = deps;
    const live = this.#live;
    const replays = new Replays(deps.log);
    this.#replays = replays;
    this.#beginnings = new Beginnings(deps, {
      has: (streamId) => live.has(streamId) || replays.has(streamId),
      get size() {
        return live.size + replays.size;
      },
    });
    this.#openings = new Openings(deps.store, (request, patience) =>
      this.#beginnings.begin(request, patience, (run, isCancelled) => this.#admit(run, isCancelled)),
    );
    this.#endings = new Endings(deps.store, deps.log);
  }

  get live(): number {
    return this.#live.size;
  }

  /** Turns and summaries that wait for those before them in their session. */
  get waiting(): number {
    return this.#turns.waiting;
  }

  /** Acknowledges a turn and lets it run. With a session, its messages are durable by then. */
  async start(params: ChatParams, signal: AbortSignal, door: Door): Promise<{ streamId: string }> {
    let isNew = false;
    const openSink = (streamId: string) => {
      isNew = true;
      return door.openSink(streamId);
    };
    const opened = await this.#openings.open({ params, door, openSink }, signal);
    if ("run" in opened) {
      const { run } = opened;
      run.followers++;
      // Whoever has cancelled the request does not know the id, so nobody could stop this stream later.
      if (signal.aborted) this.#leave(run, signal);
      const { streamId, recorder, outlet } = run;
      const isFollowed = isNew || (outlet === outletOf(door) && this.#live.get(streamId) === run);
      if (!isFollowed) this.#tellAgain(door, streamId, recorder.traceId, this.#finishedOf(run).promise);
      return { streamId };
    }
    const { streamId, traceId } = opened.ended;
    this.#tellAgain(door, streamId, traceId, Promise.resolve(opened.ended));
    return { streamId };
  }

  /** The same turn, answered when it is done. `onBegun`: its messages are stored, so later calls of the session may follow. */
  async complete(params: ChatParams, signal: AbortSignal, door: Door, onBegun: () => void): Promise<Result<"agent.chat.complete">> {
    const opened = await this.#openings.open({ params, door, openSink: undefined }, signal);
    onBegun();
    if ("ended" in opened) return reportOf(opened.ended);
    const { run } = opened;
    run.followers++;
    const leave = () => this.#leave(run, signal);
    signal.addEventListener("abort", leave, { once: true });
    if (signal.aborted) leave();
    try {
      return reportOf(await this.#finishedOf(run).promise);
    } finally {
      signal.removeEventListener("abort", leave);
    }
  }

  /** The subject that a stream belongs to; undefined when it is not open. */
  ownerOf(streamId: string): string | undefined {
    return this.#live.get(streamId)?.owner ?? this.#beginnings.ownerOf(streamId) ?? this.#replays.ownerOf(streamId);
  }

  steer(streamId: string, content: ChatMessage["content"]): void {
    if (this.#live.get(streamId)?.steer(content) !== true) throw fail("stream_not_found", { streamId });
  }

  /** Stops a stream; resolves when it has sent its terminal. Unknown streams are none of our business. */
  async cancel(streamId: string): Promise<void> {
    this.#beginnings.cancel(streamId);
    this.#replays.stop(streamId);
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

  /** Resolves when the turns that are running now have ended by themselves. */
  async idle(): Promise<void> {
    await Promise.all([...this.#live.values()].map((run) => this.#finishedOf(run).promise));
  }

  /** Ends every stream in order; resolves when all have sent their terminal and are stored. */
  async stopAll(): Promise<void> {
    this.#replays.stopAll();
    await Promise.all([...this.#live.values()].map((run) => this.#stop(run, "interrupted")));
  }

  /** Ends every stream within this call: the terminals are queued, what is to be stored is handed to `store`. */
  stopAllNow(store: Store | undefined): void {
    const closings: Closing[] = [];
    for (const run of this.#live.values()) {
      run.abort("interrupted");
      // One that is already ending has given its end to `endings`; only its terminal may be missing.
      run.outcome ??= { status: "interrupted" };
      const { outcome } = run;
      if (run.ending === undefined) closings.push(this.#close(run, outcome));
      run.ending ??= Promise.resolve();
      this.#sendTerminal(run, outcome);
      this.#forget(run, outcome);
    }
    this.#endings.handOver(store, ...closings);
    this.#replays.stopAll();
  }

  #admit(run: Run, isCancelled: boolean): void {
    const { sessionId } = run;
    this.#live.set(run.streamId, run);
    this.#deps.traces.add(run.recorder);
    if (isCancelled) void this.#stop(run, "cancelled");
    else if (sessionId === undefined) void this.#turn(run);
    else {
      if (this.#turns.isBusy(sessionId)) run.phases.enter("queued", undefined);
      void this.#turns.run(sessionId, () => this.#turn(run));
    }
  }

  /** One stream for all who ask at a time in the same place. */
  #tellAgain(door: Door, streamId: string, traceId: string, turn: Promise<EndedTurn>): void {
    const outlet = outletOf(door);
    const told = this.#live.get(streamId)?.recorder.traceId ?? this.#replays.traceIdOf(streamId) ?? traceId;
    if (told !== traceId) throw streamIsOpen();
    if (this.#replays.tells(streamId, outlet) || door.keeps?.(streamId, traceId) === true) return;
    this.#replays.begin({ streamId, traceId, owner: door.caller.subject, outlet }, door.openSink(streamId), turn);
  }

  /** One who waited has given up. The turn goes on as long as somebody else does. */
  #leave(run: Run, { reason }: AbortSignal): void {
    const isShutdown = reason instanceof WireError && reason.errorName === "shutting_down";
    if (--run.followers === 0 || isShutdown) void this.#stop(run, isShutdown ? "interrupted" : "cancelled");
  }

  async #stop(run: Run, stop: Stop): Promise<void> {
    run.abort(stop);
    // A turn that waits for its session must not wait for the turn before it to be stopped too.
    await this.#end(run, run.outcomeOf(run.stop ?? stop));
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
    if (run.ending !== undefined) return;
    // Messages first: a step takes the place of the text that was saved before it.
    run.journal.flush();
    const { answer, store } = run;
    const part = store === undefined ? undefined : answer.takeUnsaved();
    if (store === undefined || part === undefined) return;
    store.appendAnswer(run.turnId, part).then(
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
    const closing = this.#close(run, outcome);
    // Nobody resumes a turn outside a session, so its terminal does not wait for the disk.
    if (!run.isStored) this.#sendTerminal(run, outcome);
    try {
      // Persist first: a host must never see an end that a restart forgets.
      await this.#endings.save(closing);
    } catch (error) {
      this.#deps.log.error({ error, streamId: run.streamId }, "the end of a turn could not be stored");
      if (run.isStored && outcome.status === "completed") told = { status: "error", failure: { kind: "storage", message: "The answer could not be stored" } };
    }
    this.#sendTerminal(run, told);
    this.#forget(run, told);
  }

  #close(run: Run, outcome: Outcome): Closing {
    const { idempotencyKey } = run;
    // Until the store knows the turn, those who ask again are answered from memory.
    return closingOf(run, outcome, this.#deps.log, () => {
      if (idempotencyKey !== undefined) this.#openings.release(idempotencyKey);
    });
  }

  #sendTerminal(run: Run, outcome: Outcome): void {
    if (run.told) return;
    run.told = true;
    sendTerminal(run.sink, run.recorder.traceId, run.endingOf(outcome));
  }

  #forget(run: Run, outcome: Outcome): void {
    if (this.#live.get(run.streamId) === run) this.#live.delete(run.streamId);
    this.#deps.traces.remove(run.recorder);
    this.#deps.grants.forget({ streamId: run.streamId });
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
