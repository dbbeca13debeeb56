import type { NotificationParams } from "../contract/index.ts";
import type { ProviderData, ToolCall, Usage } from "../contract/model.ts";
import type { Failure } from "../errors.ts";
import type { Answer } from "../store/store.ts";
import type { ModelCall } from "./models.ts";
import type { TraceRecorder } from "./trace.ts";

type Body<N extends "stream.chunk" | "stream.done" | "stream.error"> = Omit<NotificationParams<N>, "streamId" | "seq">;

/** Where the notifications of one stream go. After `done` or `error` nothing more is sent. */
export interface StreamSink {
  text(field: "delta" | "reasoningDelta", text: string): void;
  chunk(body: Body<"stream.chunk">): void;
  done(body: Body<"stream.done">): void;
  error(body: Body<"stream.error">): void;
  /** Undefined when more may be sent; otherwise resolves when the host has caught up. */
  ready(): Promise<void> | undefined;
}

/** Why a stream was stopped: the host asked for it, or the process ends. */
export type Stop = "cancelled" | "interrupted";

/** How a stream ended. */
export type Outcome = { status: "completed" } | { status: Stop } | { status: "error"; failure: Failure };

/** What `interruptible` gives when the run was stopped first. */
export const STOPPED = Symbol("stopped");

/** One live stream: what was said so far, and the handle that stops it. */
export class Run {
  readonly streamId: string;
  readonly turnId: string;
  readonly sessionId: string | undefined;
  readonly call: ModelCall;
  readonly recorder: TraceRecorder;
  readonly sink: StreamSink;
  /** Set once the run has begun to end; it ends once. */
  outcome: Outcome | undefined;
  ending: Promise<void> | undefined;
  /** True once the terminal was sent. */
  told = false;
  stop: Stop | undefined;
  finishReason: string | undefined;
  usage: Usage | undefined;

  readonly #controller = new AbortController();
  #onStop: (() => void) | undefined;
  #hasSpoken = false;
  #providerData: ProviderData | undefined;
  #text = "";
  #reasoning = "";
  readonly #toolCalls: ToolCall[] = [];
  /** What has been said since the last checkpoint. */
  #unsaved = { text: "", reasoning: "" };
  #saving = false;

  constructor(fields: Pick<Run, "streamId" | "turnId" | "sessionId" | "call" | "recorder" | "sink">) {
    this.streamId = fields.streamId;
    this.turnId = fields.turnId;
    this.sessionId = fields.sessionId;
    this.call = fields.call;
    this.recorder = fields.recorder;
    this.sink = fields.sink;
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** True once anything of the answer was sent: a second try would repeat it. */
  get hasSpoken(): boolean {
    return this.#hasSpoken;
  }

  /** The answer as far as it came, of a turn in a session; undefined when nothing was said. */
  get answer(): Answer | undefined {
    return this.#hasSpoken && this.sessionId !== undefined
      ? { text: this.#text, reasoning: this.#reasoning, toolCalls: this.#toolCalls, providerData: this.#providerData }
      : undefined;
  }

  say(field: "delta" | "reasoningDelta", text: string): void {
    if (text === "") return;
    this.#hasSpoken = true;
    // Nobody stores the answer of a turn outside a session, so it takes no memory here.
    if (this.sessionId !== undefined) this.#keep(field, text);
    this.sink.text(field, text);
  }

  ask(call: ToolCall): void {
    this.#hasSpoken = true;
    if (this.sessionId !== undefined) this.#toolCalls.push(call);
    this.sink.chunk({ toolCall: call });
  }

  attach(data: ProviderData): void {
    this.#providerData = data;
    this.sink.chunk({ providerData: data });
  }

  #keep(field: "delta" | "reasoningDelta", text: string): void {
    if (field === "delta") {
      this.#text += text;
      this.#unsaved.text += text;
    } else {
      this.#reasoning += text;
      this.#unsaved.reasoning += text;
    }
  }

  /** Takes what has not been saved yet; undefined when there is nothing, or while a save is on its way. */
  takeUnsaved(): { text: string; reasoning: string } | undefined {
    const part = this.#unsaved;
    if (this.#saving || (part.text === "" && part.reasoning === "")) return undefined;
    this.#saving = true;
    this.#unsaved = { text: "", reasoning: "" };
    return part;
  }

  /** What was taken is safe. */
  saved(): void {
    this.#saving = false;
  }

  /** What was taken could not be saved: it is taken again the next time, in front of what came since. */
  putBack(part: { text: string; reasoning: string }): void {
    this.#saving = false;
    this.#unsaved = { text: part.text + this.#unsaved.text, reasoning: part.reasoning + this.#unsaved.reasoning };
  }

  /** Stops at once whatever the run waits for. The first reason counts. */
  abort(stop: Stop): void {
    if (this.stop !== undefined) return;
    this.stop = stop;
    this.#controller.abort();
    this.#onStop?.();
  }

  /** Waits for `promise`, but no longer than until the run is stopped. One wait at a time. */
  interruptible<T>(promise: Promise<T>): Promise<T | typeof STOPPED> {
    return new Promise((resolve, reject) => {
      this.#onStop = () => resolve(STOPPED);
      promise.then(resolve, reject);
      if (this.stop !== undefined) resolve(STOPPED);
    });
  }

  /** False when the run was stopped while it slept. */
  async sleep(ms: number): Promise<boolean> {
    let timer: NodeJS.Timeout | undefined;
    const slept = new Promise<true>((resolve) => {
      timer = setTimeout(() => resolve(true), ms);
    });
    const woken = await this.interruptible(slept);
    clearTimeout(timer);
    return woken !== STOPPED;
  }
}
