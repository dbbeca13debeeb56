import { fail } from "./errors.ts";
import type { Custody } from "./custody/custody.ts";
import type { StdioListener } from "./listeners/stdio.ts";
import type { Log } from "./log.ts";
import type { Health } from "./methods/health.ts";
import type { Budgets } from "./runtime/budget/budgets.ts";
import type { Runs } from "./runtime/turns/runs.ts";
import type { Store } from "./store/store.ts";

/** What there is to end; parts that were never used are undefined. */
export interface Ending {
  listener: StdioListener;
  /** Undefined where none is open. */
  http(): HttpEnding | undefined;
  health: Health;
  log: Log;
  runs(): Runs | undefined;
  custody(): Custody | undefined;
  budgets(): Budgets | undefined;
  store(): Store | undefined;
  gracePeriodMs(): number;
  /** How long a signal lets run what runs, where there is an HTTP listener. */
  patienceMs: number;
  exit(code: number): void;
}

/** How an HTTP listener ends. */
export interface HttpEnding {
  /** Takes no more requests. Resolves when none is running, or after `graceMs`, when the rest was cancelled. */
  drain(graceMs: number): Promise<void>;
  closeNow(): void;
}

/** 0: in order. 3: a turn was still live when the host went away or a signal came. */
const OK = 0;
const TURN_CUT_OFF = 3;
/** Longest wait for a host to take the last lines when the exit is immediate, or the grace period is over. Milliseconds. */
const LAST_WORDS_MS = 250;
/** How often the parent is looked for. Milliseconds. */
const PARENT_WATCH_MS = 1000;

/** The requests that a shutdown must not wait for: they wait for the shutdown. */
const SHUTDOWN = ["system.shutdown"];
/** What is still answered while the process ends: whether it lives, and that it should hurry. */
const STILL_ANSWERED = ["system.ping", "system.shutdown", "system.shutdown_now"];

type Reason = "normal" | "eof";

/** How the process ends. Every way sends the terminals of live streams, keeps what was acknowledged, and ends in `exit` once. */
export class Lifecycle {
  readonly #parts: Ending;
  /** The first reason to end counts. */
  #cause: { reason: Reason; code: number } | undefined;
  #draining: Promise<void> | undefined;
  /** Set when the HTTP listener was told to end. */
  #httpEnd: Promise<void> | undefined;
  #exiting = false;
  /** When the grace period is over; set when the ending begins. */
  #deadline: number | undefined;

  constructor(parts: Ending) {
    this.#parts = parts;
  }

  /** Whether anything has begun to end. */
  get isEnding(): boolean {
    return this.#draining !== undefined || this.#exiting || this.#httpEnd !== undefined;
  }

  /** `system.shutdown`: turns new requests away, ends streams and requests. Resolves when the process may exit. */
  drain(): Promise<void> {
    this.#cause ??= { reason: "normal", code: OK };
    this.#draining ??= this.#drain();
    return this.#draining;
  }

  /** Exits in order, after `drain`. */
  finish(): void {
    void this.#finish();
  }

  /** `system.shutdown_now`. */
  exitNow(): void {
    this.#immediately("normal", OK);
  }

  /**
   * With an HTTP listener, what runs is let run to its end first; without one, the end is immediate.
   * A second signal, or one during a drain, does not wait for anything.
   */
  signalled(): void {
    if (this.#parts.http() === undefined || this.isEnding) this.#immediately("normal", this.#liveCode());
    else void this.#letRunOut();
  }

  /** stdin was closed: requests in flight are answered first, streams get their terminal. */
  async inputEnded(): Promise<void> {
    if (this.#draining !== undefined || this.#exiting) return;
    await this.#within(this.#parts.listener.connection.idle());
    this.#cause ??= { reason: "eof", code: this.#liveCode() };
    await this.drain();
    await this.#finish();
  }

  /** stdout is gone: nobody can be told, so nothing is said. */
  outputClosed(): void {
    this.#immediately("eof", this.#liveCode());
  }

  /** Ends the process when its parent is gone, even if a sibling keeps stdin open. */
  watchParent(parent: number): void {
    // 0 is a parent outside of our pid namespace, 1 one that was gone (or is init) before we looked:
    // neither can be told from a parent that has died.
    if (parent <= 1) return;
    const wasVisible = isVisible(parent);
    setInterval(() => {
      if (process.ppid === parent && (isVisible(parent) || !wasVisible)) return;
      this.#immediately("eof", this.#liveCode());
    }, PARENT_WATCH_MS).unref();
  }

  /** What was asked for before the signal is answered and ends by itself, for as long as there is patience. */
  async #letRunOut(): Promise<void> {
    const { listener, runs, log, patienceMs } = this.#parts;
    log.info({ patienceMs }, "a signal has come: ending when what runs has ended");
    this.#turnAway(patienceMs);
    const ran = async () => {
      do await Promise.all([this.#httpEnd, runs()?.idle(), listener.connection.idle(SHUTDOWN)]);
      while ((runs()?.live ?? 0) > 0);
    };
    await this.#until(ran(), patienceMs);
    this.#cause ??= { reason: "normal", code: this.#liveCode() };
    await this.drain();
    await this.#finish();
  }

  /** From here on nothing new begins, by either door. */
  #turnAway(httpGraceMs: number): void {
    const { listener, http, health } = this.#parts;
    health.stopping();
    listener.connection.refuse(fail("shutting_down"), STILL_ANSWERED);
    // Turns are ended by us, a moment before the listener gives up on their requests: so it is known whether one was cut off.
    this.#httpEnd ??= http()?.drain(httpGraceMs + LAST_WORDS_MS);
  }

  async #drain(): Promise<void> {
    const { listener } = this.#parts;
    this.#turnAway(this.#parts.gracePeriodMs());
    listener.connection.interrupt(fail("shutting_down"));
    // The reply to system.shutdown must not depend on a host that does not read.
    setTimeout(() => this.finish(), this.#parts.gracePeriodMs()).unref();
    await this.#within(this.#allEnded());
    this.#settleRest(SHUTDOWN);
  }

  /** Requests that were on their way may still have started streams, so both are looked at again. */
  async #allEnded(): Promise<void> {
    const { listener, runs } = this.#parts;
    do {
      await Promise.all([runs()?.stopAll(), listener.connection.idle(SHUTDOWN)]);
    } while ((runs()?.live ?? 0) > 0);
  }

  /** Answers what was not answered in time, then ends the streams that did not end in time: in this order, a reply comes before its stream. */
  #settleRest(keep: readonly string[]): void {
    const { listener, runs, store } = this.#parts;
    listener.connection.cancelAll(fail("shutting_down"), keep);
    runs()?.stopAllNow(store());
    listener.releaseAll();
  }

  async #finish(): Promise<void> {
    if (this.#exiting) return;
    this.#exiting = true;
    const { listener, http, store, custody, budgets, exit } = this.#parts;
    const { reason, code } = this.#cause ?? { reason: "normal", code: OK };
    listener.deafen();
    this.#settleRest(SHUTDOWN);
    if (this.#httpEnd !== undefined) {
      await this.#within(this.#httpEnd);
      // A request that was on its way may still have begun a turn.
      this.#settleRest(SHUTDOWN);
    }
    // Children are ended while the store is closed: neither waits for the other.
    const closeStore = async () => {
      await budgets()?.flush();
      await store()?.close();
    };
    await this.#within(Promise.all([closeStore(), custody()?.close()]));
    listener.notify("lifecycle.shutdown", { reason });
    await this.#within(listener.writer.flushed());
    http()?.closeNow();
    exit(code);
  }

  #immediately(reason: Reason, code: number): void {
    const { listener, http, store, custody, exit } = this.#parts;
    const leave = () => {
      http()?.closeNow();
      exit(this.#cause?.code ?? code);
    };
    if (this.#exiting) {
      custody()?.closeNow();
      store()?.closeSync();
      leave();
      return;
    }
    this.#exiting = true;
    this.#cause ??= { reason, code };
    this.#turnAway(0);
    listener.deafen();
    this.#settleRest([]);
    custody()?.closeNow();
    store()?.closeSync();
    listener.notify("lifecycle.shutdown", { reason: this.#cause.reason });
    setTimeout(leave, LAST_WORDS_MS);
    void this.#logged(Promise.all([listener.writer.flushed(), this.#httpEnd])).then(leave);
  }

  #liveCode(): number {
    return (this.#parts.runs()?.live ?? 0) > 0 ? TURN_CUT_OFF : OK;
  }

  /** Waits for `promise`, but no longer than until the grace period is over; it counts from the first wait. */
  #within(promise: Promise<unknown>): Promise<void> {
    this.#deadline ??= performance.now() + this.#parts.gracePeriodMs();
    return this.#until(promise, Math.max(this.#deadline - performance.now(), LAST_WORDS_MS));
  }

  async #until(promise: Promise<unknown>, mostMs: number): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const deadline = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, mostMs);
    });
    await Promise.race([this.#logged(promise), deadline]);
    clearTimeout(timer);
  }

  #logged(promise: Promise<unknown>): Promise<unknown> {
    return promise.catch((error: unknown) => this.#parts.log.error({ error }, "something failed during the shutdown"));
  }
}

function isVisible(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // A parent of another user may not be signalled, but it is there.
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}
