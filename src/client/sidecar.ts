import { EventEmitter } from "node:events";
import type { CallParams, MethodName, NotificationName, NotificationParams, Result } from "../contract/index.ts";
import type { ListenInfo } from "./child.ts";
import { type CallOptions, type Limits, limitsOf, since } from "./deadline.ts";
import { Host } from "./host.ts";
import { type HostTool, type HostToolRegistration, HostTools } from "./host-tools.ts";
import { settle, type Settings, type SpawnOptions } from "./options.ts";
import type { Peer } from "./peer.ts";
import type { StopReport } from "./stop.ts";
import type { ChatStream } from "./stream.ts";
import { Streams } from "./streams.ts";
import { Supervisor, type SidecarExit } from "./supervisor.ts";
import { startTurn } from "./turn.ts";

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
  /** What a stream is waiting for; only comes where `onStatus` was given. */
  status: [NotificationParams<"stream.status">];
  /** Everything it sends without being asked, streams included. */
  notification: [SidecarNotification];
  /**
   * It broke the protocol, by a malformed line for example; nothing is lost but that line. Also what `onApproval`
   * threw, and what kept a tool of the host from being registered again after a restart.
   */
  fault: [Error];
}

/**
 * Starts a sidecar and resolves when it takes requests: at the ready marker on stderr or at
 * `lifecycle.ready`, whichever comes first.
 *
 * Rejects with a SidecarError that quotes the end of the sidecar's stderr when it exits before that
 * (kind `transport_closed`, `data.exitCode`), or takes longer than `readyTimeoutMs` (kind `timeout`);
 * with a RangeError for options out of range. A host that has given `clientInfo`, `onApproval` or
 * `onStatus` is introduced to the sidecar first (`system.initialize`), to each process anew; when the
 * first one refuses that, `spawn` rejects with its answer.
 */
export async function spawn(options: SpawnOptions = {}): Promise<Sidecar> {
  return Sidecar.start(settle(options), options);
}

/** A running sidecar, made by `spawn`; it is kept running until `stop`. */
export class Sidecar extends EventEmitter<SidecarEvents> implements AsyncDisposable {
  readonly #supervisor: Supervisor;
  readonly #streams = new Streams();

  readonly #hostTools = new HostTools({
    register: (params, limits) => this.#request("tool.register", params, limits),
    unregister: (params, limits) => this.#request("tool.unregister", params, limits),
  });

  private constructor(settings: Settings, { clientInfo, onApproval, onLog, onStatus }: SpawnOptions) {
    super();
    if (onLog !== undefined) this.on("log", onLog);
    if (onStatus !== undefined) this.on("status", onStatus);
    const onFault = (error: Error) => void this.emit("fault", error);
    const host = new Host({ clientInfo, onApproval, status: onStatus !== undefined, tools: this.#hostTools, onFault });
    this.#supervisor = new Supervisor(settings, {
      onLog: (line) => this.emit("log", line),
      onFault,
      onNotification: (method, params) => {
        this.#streams.receive(method, params);
        // The sidecar builds its notifications from the contract that these types come from.
        const notification = { method, params } as SidecarNotification;
        this.emit("notification", notification);
        if (notification.method === "stream.status") this.emit("status", notification.params);
      },
      onRequest: host.answer,
      introduce: (peer, timeoutMs) => host.introduce(peer, timeoutMs),
      onLost: (error) => this.#streams.loseAll(error),
      onExit: (exit) => this.emit("exit", exit),
      onRestart: (restart) => this.emit("restart", restart),
      onReady: (ready) => this.emit("ready", ready),
    });
  }

  /** Use `spawn`. */
  static async start(settings: Settings, options: SpawnOptions): Promise<Sidecar> {
    const sidecar = new Sidecar(settings, options);
    await sidecar.#supervisor.start();
    return sidecar;
  }

  /** Of the process that runs now; undefined between two. */
  get pid(): number | undefined {
    return this.#supervisor.pid;
  }

  /**
   * Where the process that runs now takes requests from. With `--http` (or `api` in its config file) `http` has the
   * URL, and a token that was made for this run; both may be others after a restart.
   */
  async listenInfo(options: CallOptions = {}): Promise<ListenInfo> {
    return this.#supervisor.listenInfo(limitsOf(options));
  }

  /**
   * Calls a method of protocol.md. Rejects with a SidecarError: the sidecar's own, or kind
   * `timeout`, `cancelled`, or `transport_closed` when the process died before it answered (the
   * call may have had its effect). While the sidecar is being restarted, calls wait for it.
   */
  async call<M extends MethodName>(method: M, ...[params, options = {}]: CallArguments<M>): Promise<Result<M>> {
    return this.#request(method, params, limitsOf(options));
  }

  /**
   * Starts a turn (`agent.chat.stream`). Whatever goes wrong, a refused call included, shows in the
   * stream; see ChatStream. `timeoutMs` is the deadline of the acknowledgement, not of the answer.
   */
  stream(params: CallParams<"agent.chat.stream">, options: CallOptions = {}): ChatStream {
    const connect = (limits: Limits): Peer | Promise<Peer> => this.#supervisor.peer("agent.chat.stream", limits);
    return startTurn(this.#streams, connect, params, limitsOf(options));
  }

  /**
   * Runs a turn (`agent.chat.complete`) and gives what it came to, once, when it is done. Rejects with a
   * SidecarError: a turn that failed is kind `turn_failed`, or `budget_exhausted`, with `data.failure` and the
   * message as far as it came. There is no deadline unless `timeoutMs` names one; the signal cancels the turn.
   */
  async complete(params: CallParams<"agent.chat.complete">, options: CallOptions = {}): Promise<Result<"agent.chat.complete">> {
    return this.#request("agent.chat.complete", params, limitsOf(options, Number.POSITIVE_INFINITY));
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
    fork: (sessionId: string, params: Omit<CallParams<"agent.session.fork">, "sessionId"> = {}, options?: CallOptions) =>
      this.call("agent.session.fork", { ...params, sessionId }, options),
    /** Waits for turns and calls a model: there is no deadline unless `timeoutMs` names one. */
    compress: async (sessionId: string, params: Omit<CallParams<"agent.session.compress">, "sessionId">, options: CallOptions = {}) =>
      this.#request("agent.session.compress", { ...params, sessionId }, limitsOf(options, Number.POSITIVE_INFINITY)),
  };

  /** Of the session that is named, else of the process. */
  readonly budget = {
    get: (params: CallParams<"agent.budget.get"> = {}, options?: CallOptions) => this.call("agent.budget.get", params, options),
    reset: (params: CallParams<"agent.budget.reset"> = {}, options?: CallOptions) => this.call("agent.budget.reset", params, options),
  };

  readonly tools = {
    list: (options?: CallOptions) => this.call("tool.list", undefined, options),
    invoke: (params: CallParams<"tool.invoke">, options?: CallOptions) => this.call("tool.invoke", params, options),
    /**
     * Offers a tool that runs in this process; one of the same name that was registered before is replaced. It
     * is registered again with each process that is started later. Rejects, and then offers nothing, when the
     * name is not one for models or belongs to another tool (kind `invalid_params`).
     */
    register: async (tool: HostTool, options: CallOptions = {}): Promise<HostToolRegistration> => this.#hostTools.register(tool, limitsOf(options)),
    /** What was allowed with `allow_always`. */
    grants: (options?: CallOptions) => this.call("tool.grants", undefined, options),
    /** Takes back what was allowed, of one tool or, when none is named, all of it. */
    revoke: (params: CallParams<"tool.revoke"> = {}, options?: CallOptions) => this.call("tool.revoke", params, options),
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

  /** Every process that the sidecar has started and that still runs. */
  children(options?: CallOptions): Promise<Result<"system.children">> {
    return this.call("system.children", undefined, options);
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

  async #request<M extends MethodName>(method: M, params: CallParams<M> | undefined, limits: Limits): Promise<Result<M>> {
    const begun = performance.now();
    const connected = this.#supervisor.peer(method, limits);
    const peer = connected instanceof Promise ? await connected : connected;
    const result = await peer.request(method, params, since(begun, limits));
    if (method === "system.shutdown" || method === "system.shutdown_now") this.#supervisor.expectExit();
    // The sidecar's handlers do not compile unless they give what the contract, and this type, says.
    return result as Result<M>;
  }
}
