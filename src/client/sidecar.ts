import { EventEmitter } from "node:events";
import type { CallParams, MethodName, NotificationName, NotificationParams, Result } from "../contract/index.ts";
import type { Limits } from "./deadline.ts";
import { positive, settle, type Settings, type SpawnOptions } from "./options.ts";
import type { Peer } from "./peer.ts";
import type { StopReport } from "./stop.ts";
import type { ChatStream } from "./stream.ts";
import { Streams } from "./streams.ts";
import { Supervisor, type SidecarExit } from "./supervisor.ts";
import { startTurn } from "./turn.ts";

/** Deadline of a call that names none. */
const CALL_TIMEOUT_MS = 60_000;

export interface CallOptions {
  /** Aborted: the request is cancelled at the sidecar and rejects with kind `cancelled`. */
  signal?: AbortSignal | undefined;
  /** 60,000 when left out. It covers the wait for a sidecar that is being restarted. */
  timeoutMs?: number | undefined;
}

/** `params` may be left out where the method needs none. */
export type CallArguments<M extends MethodName> =
  undefined extends CallParams<M> ? [params?: CallParams<M>, options?: CallOptions] : [params: CallParams<M>, options?: CallOptions];

/** A notification of the sidecar, by its method. */
export type SidecarNotification = { [N in NotificationName]: { method: N; params: NotificationParams<N> } }[NotificationName];

export interface SidecarEvents {
  /** The process has ended. */
  exit: [SidecarExit];
  /** It will be started again after `delayMs`; `attempt` counts the restarts in a row, from 1. */
  restart: [{ attempt: number; delayMs: number }];
  /** It takes requests again. (For the first time, that is what `spawn` waits for.) */
  ready: [{ pid: number; attempt: number }];
  /** A line of its stderr. */
  log: [string];
  /** Everything it sends without being asked, streams included. */
  notification: [SidecarNotification];
  /** It broke the protocol, by a malformed line for example; nothing is lost but that line. */
  fault: [Error];
}

/**
 * Starts a sidecar and resolves when it takes requests: at the ready marker on stderr or at
 * `lifecycle.ready`, whichever comes first.
 *
 * Rejects with a SidecarError that quotes the end of the sidecar's stderr when it exits before that
 * (kind `transport_closed`, `data.exitCode`), or takes longer than `readyTimeoutMs` (kind `timeout`);
 * with a RangeError for options out of range.
 */
export async function spawn(options: SpawnOptions = {}): Promise<Sidecar> {
  return Sidecar.start(settle(options), options.onLog);
}

/** A running sidecar, made by `spawn`; it is kept running until `stop`. */
export class Sidecar extends EventEmitter<SidecarEvents> implements AsyncDisposable {
  readonly #supervisor: Supervisor;
  readonly #streams = new Streams();

  private constructor(settings: Settings, onLog: SpawnOptions["onLog"]) {
    super();
    if (onLog !== undefined) this.on("log", onLog);
    this.#supervisor = new Supervisor(settings, {
      onLog: (line) => this.emit("log", line),
      onFault: (error) => this.emit("fault", error),
      onNotification: (method, params) => {
        this.#streams.receive(method, params);
        // The sidecar builds its notifications from the contract that these types come from.
        this.emit("notification", { method, params } as SidecarNotification);
      },
      onLost: (error) => this.#streams.loseAll(error),
      onExit: (exit) => this.emit("exit", exit),
      onRestart: (restart) => this.emit("restart", restart),
      onReady: (ready) => this.emit("ready", ready),
    });
  }

  /** Use `spawn`. */
  static async start(settings: Settings, onLog: SpawnOptions["onLog"]): Promise<Sidecar> {
    const sidecar = new Sidecar(settings, onLog);
    await sidecar.#supervisor.start();
    return sidecar;
  }

  /** Of the process that runs now; undefined between two. */
  get pid(): number | undefined {
    return this.#supervisor.pid;
  }

  /**
   * Calls a method of protocol.md. Rejects with a SidecarError: the sidecar's own, or kind
   * `timeout`, `cancelled`, or `transport_closed` when the process died before it answered (the
   * call may have had its effect). While the sidecar is being restarted, calls wait for it.
   */
  async call<M extends MethodName>(method: M, ...[params, options = {}]: CallArguments<M>): Promise<Result<M>> {
    const begun = performance.now();
    const limits = limitsOf(options);
    const connected = this.#supervisor.peer(method, limits);
    const peer = connected instanceof Promise ? await connected : connected;
    const left = Math.max(1, limits.timeoutMs - (performance.now() - begun));
    const result = await peer.request(method, params, { ...limits, timeoutMs: left });
    if (method === "system.shutdown" || method === "system.shutdown_now") this.#supervisor.expectExit();
    // The sidecar's handlers do not compile unless they give what the contract, and this type, says.
    return result as Result<M>;
  }

  /**
   * Starts a turn (`agent.chat.stream`). Whatever goes wrong, a refused call included, shows in the
   * stream; see ChatStream. `timeoutMs` is the deadline of the acknowledgement, not of the answer.
   */
  stream(params: CallParams<"agent.chat.stream">, options: CallOptions = {}): ChatStream {
    const connect = (limits: Limits): Peer | Promise<Peer> => this.#supervisor.peer("agent.chat.stream", limits);
    return startTurn(this.#streams, connect, params, limitsOf(options));
  }

  readonly sessions = {
    create: (params: CallParams<"agent.session.create"> = {}, options?: CallOptions) => this.call("agent.session.create", params, options),
    resume: (sessionId: string, options?: CallOptions) => this.call("agent.session.resume", { sessionId }, options),
    list: (params: CallParams<"agent.session.list"> = {}, options?: CallOptions) => this.call("agent.session.list", params, options),
    /** A session with one page of its messages. */
    get: (sessionId: string, page: Omit<CallParams<"agent.session.get">, "sessionId"> = {}, options?: CallOptions) =>
      this.call("agent.session.get", { ...page, sessionId }, options),
    close: (sessionId: string, options?: CallOptions) => this.call("agent.session.close", { sessionId }, options),
    delete: (sessionId: string, options?: CallOptions) => this.call("agent.session.delete", { sessionId }, options),
  };

  readonly tools = {
    list: (options?: CallOptions) => this.call("tool.list", undefined, options),
    invoke: (params: CallParams<"tool.invoke">, options?: CallOptions) => this.call("tool.invoke", params, options),
  };

  readonly traces = {
    fetch: (traceId: string, options?: CallOptions) => this.call("trace.fetch", { traceId }, options),
    list: (params: CallParams<"trace.list"> = {}, options?: CallOptions) => this.call("trace.list", params, options),
  };

  readonly config = {
    get: (options?: CallOptions) => this.call("config.get", undefined, options),
    set: (params: CallParams<"config.set">, options?: CallOptions) => this.call("config.set", params, options),
  };

  ping(options?: CallOptions): Promise<Result<"system.ping">> {
    return this.call("system.ping", undefined, options);
  }

  info(options?: CallOptions): Promise<Result<"system.info">> {
    return this.call("system.info", undefined, options);
  }

  /**
   * Ends the sidecar for good: `system.shutdown`, then the end of its stdin, SIGTERM and SIGKILL,
   * each when the one before did not help in its time. Resolves with what it took; never rejects,
   * and gives the same promise however often it is called.
   */
  stop(): Promise<StopReport> {
    return this.#supervisor.stop();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}

function limitsOf({ signal, timeoutMs }: CallOptions): Limits {
  return { signal, timeoutMs: positive("timeoutMs", timeoutMs, CALL_TIMEOUT_MS) };
}
