import type { Log } from "../../log.ts";
import { type EndedTurn, replay, sendTerminal } from "./replay.ts";
import type { StreamSink } from "./run.ts";

/** One that is being told. */
interface Replay {
  traceId: string;
  sink: StreamSink;
  isStopped: boolean;
}

/** Turns that are told again, on streams of their own: each ends with exactly one terminal, like a turn that runs. */
export class Replays {
  readonly #log: Log;
  readonly #open = new Map<string, Replay>();

  constructor(log: Log) {
    this.#log = log;
  }

  get size(): number {
    return this.#open.size;
  }

  has(streamId: string): boolean {
    return this.#open.has(streamId);
  }

  /** Whether this very turn is being told on the stream. */
  tells(streamId: string, traceId: string): boolean {
    return this.#open.get(streamId)?.traceId === traceId;
  }

  /** Tells a turn once it has ended. */
  begin(streamId: string, traceId: string, sink: StreamSink, turn: Promise<EndedTurn>): void {
    const one: Replay = { traceId, sink, isStopped: false };
    this.#open.set(streamId, one);
    void this.#tell(streamId, one, turn);
  }

  stop(streamId: string): void {
    const one = this.#open.get(streamId);
    if (one === undefined) return;
    one.isStopped = true;
    this.#open.delete(streamId);
    sendTerminal(one.sink, one.traceId, { status: "cancelled", steps: 0 });
  }

  stopAll(): void {
    for (const streamId of this.#open.keys()) this.stop(streamId);
  }

  async #tell(streamId: string, one: Replay, turn: Promise<EndedTurn>): Promise<void> {
    try {
      await replay(await turn, one.sink, () => one.isStopped);
    } catch (error) {
      this.#log.error({ error, streamId }, "a turn could not be told again");
      if (!one.isStopped) sendTerminal(one.sink, one.traceId, { status: "error", failure: BROKEN, steps: 0 });
    }
    if (!one.isStopped) this.#open.delete(streamId);
  }
}

const BROKEN = { kind: "internal", message: "Something went wrong inside the sidecar" } as const;
