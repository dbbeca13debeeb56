import type { Log } from "../../log.ts";
import { type EndedTurn, replay, sendTerminal } from "./replay.ts";
import type { StreamSink } from "./run.ts";

/** What is told, and where. */
export interface Telling {
  streamId: string;
  traceId: string;
  owner: string;
  outlet: object;
}

/** One that is being told. */
interface Replay extends Telling {
  sink: StreamSink;
  isStopped: boolean;
}

/**
 * Turns that are told again, on streams of their own: each ends with exactly one terminal, like a turn that runs. A stream
 * may be told in several places at a time, but stands for one turn.
 */
export class Replays {
  readonly #log: Log;
  readonly #open = new Map<string, Set<Replay>>();
  #size = 0;

  constructor(log: Log) {
    this.#log = log;
  }

  get size(): number {
    return this.#size;
  }

  has(streamId: string): boolean {
    return this.#open.has(streamId);
  }

  ownerOf(streamId: string): string | undefined {
    return this.#first(streamId)?.owner;
  }

  /** The turn that is being told on the stream. */
  traceIdOf(streamId: string): string | undefined {
    return this.#first(streamId)?.traceId;
  }

  /** Whether the stream is being told there. */
  tells(streamId: string, outlet: object): boolean {
    return [...(this.#open.get(streamId) ?? [])].some((one) => one.outlet === outlet);
  }

  /** Tells a turn once it has ended. */
  begin(telling: Telling, sink: StreamSink, turn: Promise<EndedTurn>): void {
    const one: Replay = { ...telling, sink, isStopped: false };
    const all = this.#open.get(one.streamId) ?? new Set();
    this.#open.set(one.streamId, all.add(one));
    this.#size++;
    void this.#tell(one, turn);
  }

  stop(streamId: string): void {
    for (const one of this.#open.get(streamId) ?? []) {
      one.isStopped = true;
      this.#remove(one);
      sendTerminal(one.sink, one.traceId, { status: "cancelled", steps: 0 });
    }
  }

  stopAll(): void {
    for (const streamId of this.#open.keys()) this.stop(streamId);
  }

  async #tell(one: Replay, turn: Promise<EndedTurn>): Promise<void> {
    try {
      await replay(await turn, one.sink, () => one.isStopped);
    } catch (error) {
      this.#log.error({ error, streamId: one.streamId }, "a turn could not be told again");
      if (!one.isStopped) sendTerminal(one.sink, one.traceId, { status: "error", failure: BROKEN, steps: 0 });
    }
    if (!one.isStopped) this.#remove(one);
  }

  #remove(one: Replay): void {
    const all = this.#open.get(one.streamId);
    if (all?.delete(one) !== true) return;
    this.#size--;
    if (all.size === 0) this.#open.delete(one.streamId);
  }

  #first(streamId: string): Replay | undefined {
    return this.#open.get(streamId)?.values().next().value;
  }
}

const BROKEN = { kind: "internal", message: "Something went wrong inside the sidecar" } as const;
