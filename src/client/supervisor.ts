import { Child, type ChildHooks, type Exit, type ListenInfo } from "./child.ts";
import { after, type Limits, limited, since } from "./deadline.ts";
import { SidecarError, transportClosed } from "./error.ts";
import { Health } from "./health.ts";
import type { Settings } from "./options.ts";
import type { Peer } from "./peer.ts";
import { escalate, type StopReport } from "./stop.ts";

export interface SidecarExit extends Exit {
  /** `stopped`: by the host. `unresponsive`: killed, because it did not answer pings. `unexpected`: everything else. */
  reason: "stopped" | "unresponsive" | "unexpected";
  willRestart: boolean;
}

export interface SupervisorHooks extends ChildHooks {
  /** What was pending at the process has come to nothing. */
  onLost(error: SidecarError): void;
  onExit(exit: SidecarExit): void;
  /** `attempt` counts the restarts in a row, from 1. */
  onRestart(restart: { attempt: number; delayMs: number }): void;
  onReady(ready: { pid: number; attempt: number }): void;
  /** Comes before anything else that is sent to a process. */
  introduce(peer: Peer, timeoutMs: number): Promise<void>;
}

/** Keeps one sidecar running: starts it, watches it, starts it again, stops it. */
export class Supervisor {
  readonly #settings: Settings;
  readonly #hooks: SupervisorHooks;
  #child: Child | undefined;
  #health: Health | undefined;
  /** Whether `#child` takes requests of the host. */
  #open = false;
  /** True once the first start has succeeded. */
  #started = false;
  /** Restarts in a row. */
  #attempt = 0;
  #restartTimer: NodeJS.Timeout | undefined;
  readonly #waiting = new Set<{ resolve: (peer: Peer) => void; reject: (error: SidecarError) => void }>();
  #unresponsive = false;
  #leaving = false;
  #stopping: Promise<StopReport> | undefined;
  #lastExit: Exit = { code: null, signal: null };
  /** Set once there will be no sidecar any more. */
  #over: SidecarError | undefined;

  constructor(settings: Settings, hooks: SupervisorHooks) {
    this.#settings = settings;
    this.#hooks = hooks;
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /** Starts the first process. It is not tried again: who cannot start once has a reason to be told. */
  async start(): Promise<void> {
    const child = this.#launch();
    await child.ready;
    try {
      await this.#hooks.introduce(child.peer, this.#settings.launch.readyTimeoutMs);
    } catch (error) {
      child.kill("SIGKILL");
      throw error;
    }
    this.#up(child);
  }

  /** The sidecar that takes requests; while it is being restarted, the next one. */
  peer(what: string, limits: Limits): Peer | Promise<Peer> {
    const child = this.#child;
    if (this.#over === undefined && child !== undefined && this.#open && child.exit === undefined) return child.peer;
    let waiter: { resolve: (peer: Peer) => void; reject: (error: SidecarError) => void } | undefined;
    const begin = () =>
      new Promise<Peer>((resolve, reject) => {
        if (this.#over !== undefined) {
          reject(this.#over);
          return;
        }
        waiter = { resolve, reject };
        this.#waiting.add(waiter);
      });
    return limited(what, limits, begin, () => {
      if (waiter !== undefined) this.#waiting.delete(waiter);
    });
  }

  /** Where the sidecar that takes requests takes them from. */
  async listenInfo(limits: Limits): Promise<ListenInfo> {
    const begun = performance.now();
    await this.peer("lifecycle.ready", limits);
    const child = this.#child;
    if (child === undefined) throw this.#over ?? transportClosed("The sidecar does not run");
    return limited("lifecycle.ready", since(begun, limits), () => child.listenInfo);
  }

  /** The host itself has asked the sidecar to end, and it has agreed: its exit is no accident. */
  expectExit(): void {
    this.#leaving = true;
  }

  /** Ends the sidecar for good; every call gives the same promise, which never rejects. */
  stop(): Promise<StopReport> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  async #stop(): Promise<StopReport> {
    clearTimeout(this.#restartTimer);
    this.#health?.stop();
    this.#giveUp(transportClosed("The sidecar was stopped"));
    if (this.#child === undefined) return { ...this.#lastExit, how: "exited" };
    return escalate(this.#child, this.#settings.stop);
  }

  #launch(): Child {
    const child = new Child(this.#settings.launch, this.#hooks);
    this.#child = child;
    this.#unresponsive = false;
    void child.gone.then((exit) => this.#gone(child, exit));
    return child;
  }

  /** A process of a restart: what goes wrong with it shows in its end, or as a fault. */
  async #welcome(child: Child): Promise<void> {
    try {
      await child.ready;
    } catch {
      // `gone` says how it ended, and decides what comes next.
      return;
    }
    try {
      await this.#hooks.introduce(child.peer, this.#settings.launch.readyTimeoutMs);
    } catch (error) {
      if (child.exit !== undefined || this.#stopping !== undefined) return;
      this.#hooks.onFault(error instanceof Error ? error : new Error("The sidecar could not be introduced to its host"));
      // Silent from the start; it is ended like one that is never ready.
      if (error instanceof SidecarError && error.kind === "timeout") {
        child.kill("SIGKILL");
        return;
      }
    }
    this.#up(child);
  }

  #up(child: Child): void {
    if (child.exit !== undefined || this.#stopping !== undefined) return;
    this.#started = true;
    this.#open = true;
    const { health } = this.#settings;
    if (health !== undefined) {
      const ping = (timeoutMs: number) => child.peer.request("system.ping", undefined, { timeoutMs, background: true });
      this.#health = new Health(health, ping, () => {
        this.#unresponsive = true;
        // Who does not answer a ping will not answer a request to shut down, and killing is always safe.
        child.kill("SIGKILL");
      });
    }
    for (const { resolve } of this.#waiting) resolve(child.peer);
    this.#waiting.clear();
    this.#hooks.onReady({ pid: child.pid as number, attempt: this.#attempt });
  }

  #gone(child: Child, exit: Exit): void {
    this.#health?.stop();
    this.#child = undefined;
    this.#open = false;
    this.#lastExit = exit;
    const reason = this.#stopping !== undefined || this.#leaving ? "stopped" : this.#unresponsive ? "unresponsive" : "unexpected";
    const error = transportClosed(`The sidecar ended (${exit.signal ?? `code ${exit.code}`})`, { exitCode: exit.code, signal: exit.signal });
    const delayMs = reason === "stopped" ? undefined : this.#nextDelay(child);
    if (delayMs === undefined) this.#giveUp(error);
    else this.#restartIn(delayMs);
    this.#hooks.onLost(error);
    this.#hooks.onExit({ ...exit, reason, willRestart: delayMs !== undefined });
    if (delayMs !== undefined) this.#hooks.onRestart({ attempt: this.#attempt, delayMs });
  }

  /** Milliseconds until the next start, or undefined when there shall be none. */
  #nextDelay(child: Child | undefined): number | undefined {
    const policy = this.#settings.restart;
    if (policy === undefined || !this.#started) return undefined;
    if (child?.readyAt !== undefined && performance.now() - child.readyAt >= policy.resetAfterMs) this.#attempt = 0;
    if (this.#attempt >= policy.maxRestarts) return undefined;
    return Math.min(policy.baseDelayMs * 2 ** this.#attempt, policy.maxDelayMs);
  }

  #restartIn(delayMs: number): void {
    this.#attempt++;
    // Unref'd: calls that wait for the restart keep the host alive by themselves.
    this.#restartTimer = after(delayMs, () => this.#restart()).unref();
  }

  #restart(): void {
    try {
      void this.#welcome(this.#launch());
    } catch (error) {
      // The system had no process to give; it may have one later.
      const delayMs = this.#nextDelay(undefined);
      this.#hooks.onFault(error instanceof Error ? error : new Error("The sidecar could not be started"));
      if (delayMs === undefined) this.#giveUp(transportClosed("The sidecar could not be started again"));
      else this.#restartIn(delayMs);
    }
  }

  #giveUp(error: SidecarError): void {
    this.#over ??= error;
    for (const { reject } of this.#waiting) reject(this.#over);
    this.#waiting.clear();
  }
}
