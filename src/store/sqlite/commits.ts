import { setTimeout as delay } from "node:timers/promises";
import { fail, type WireError } from "../../errors.ts";
import { storageFailure } from "../failures.ts";
import type { Connection } from "./connection.ts";
import { asWireError, isBusy } from "./failures.ts";

/** `full`: survives a power cut once resolved. `relaxed`: survives `kill -9`, not always a power cut. */
export type Durability = "full" | "relaxed";

export interface CommitOptions {
  connection: Connection;
  /** Milliseconds that an access waits for another process. */
  busyDeadlineMs: number;
  /** Told about every access: how long it took and, when storage was at fault, why. */
  observe(latencyMs: number, failure: WireError | undefined): void;
  /** Throws why nothing that is written now would last; asked at the beginning of each transaction. */
  check(): void;
}

/**
 * All access to a database, in order. Changes that are asked for in one turn of the event loop share
 * one transaction, and so one flush of the disk; each stands in a savepoint, so that one that fails
 * takes only itself back. A database held by another process is waited for without blocking.
 */
export class Commits {
  private readonly options: CommitOptions;
  private readonly connection: Connection;
  private queue: Entry[] = [];
  private scheduled: (() => void) | undefined;
  private synchronous: Durability | undefined;
  private accepting = true;
  /** From then on nothing is waited for: the process is about to end. */
  private lastCall = false;

  constructor(options: CommitOptions) {
    this.options = options;
    this.connection = options.connection;
  }

  /** Resolves with what `change` returned once it is committed. `change` may run more than once; only the last run counts. */
  write<T>(change: () => T, durability: Durability = "full"): Promise<T> {
    if (!this.accepting) return Promise.reject(storageFailure("closed"));
    const entry = newEntry(change, durability, performance.now() + this.options.busyDeadlineMs);
    this.queue.push(entry);
    this.scheduled ??= soon(() => this.flush());
    return entry.promise;
  }

  /** Runs `query` after every change that was asked for before it. */
  async read<T>(query: () => T): Promise<T> {
    if (!this.accepting) throw storageFailure("closed");
    await this.queue.at(-1)?.settled;
    const deadline = performance.now() + this.options.busyDeadlineMs;
    for (;;) {
      const started = performance.now();
      try {
        const value = query();
        this.options.observe(performance.now() - started, undefined);
        return value;
      } catch (error) {
        if (!isBusy(error) || performance.now() >= deadline) throw this.report(error, started);
      }
      await delay(busyStepMs());
    }
  }

  /** Accepts nothing more, and resolves when all that was accepted has settled. */
  async drain(): Promise<void> {
    this.accepting = false;
    await this.queue.at(-1)?.settled;
    // Reads that waited for the last change run in the turn in which it settled.
    await new Promise((resolve) => setImmediate(resolve));
  }

  /** The same, at once; a database that another process holds is waited for, for `waitMs` in all. */
  drainSync(waitMs: number): void {
    this.accepting = false;
    this.lastCall = true;
    const deadline = performance.now() + waitMs;
    try {
      while (this.queue.length > 0) {
        this.connection.exec(`PRAGMA busy_timeout = ${Math.max(0, Math.ceil(deadline - performance.now()))}`);
        this.flush();
      }
    } finally {
      // What comes after this, closing for one, must not wait a second time.
      this.connection.exec("PRAGMA busy_timeout = 0");
    }
  }

  private flush(): void {
    this.scheduled?.();
    this.scheduled = undefined;
    if (this.queue.length === 0) return;
    const started = performance.now();
    const batch: Entry[] = [];
    let failure: WireError | undefined;
    try {
      this.setSynchronous(this.queue.every((entry) => entry.durability === "relaxed") ? "relaxed" : "full");
      this.connection.run("BEGIN IMMEDIATE");
      this.options.check();
      for (const entry of this.queue) {
        if (batch.length > 0 && !this.lastCall && performance.now() - started > SLICE_MS) break;
        batch.push(entry);
        this.attempt(entry);
      }
      this.connection.run("COMMIT");
    } catch (error) {
      this.rollback();
      if (isBusy(error)) {
        this.waitForOthers(error, started);
        return;
      }
      // Not even begun: then none of those that wait could be.
      if (batch.length === 0) batch.push(...this.queue);
      failure = this.report(error, started);
      for (const entry of batch) entry.failure = failure;
    }
    if (failure === undefined) this.options.observe(performance.now() - started, batch.find((entry) => entry.failure?.errorName === "storage")?.failure);
    this.queue = this.queue.slice(batch.length);
    for (const entry of batch) entry.settle();
    // A breath between two transactions: other processes get their turn at the file, and ours at its sockets.
    if (this.queue.length > 0 && !this.lastCall) this.scheduled ??= after(1, () => this.flush());
  }

  private attempt(entry: Entry): void {
    entry.failure = undefined;
    this.connection.run("SAVEPOINT change");
    try {
      entry.run();
    } catch (error) {
      if (isBusy(error)) throw error;
      try {
        this.connection.run("ROLLBACK TO change");
      } catch {
        // A full disk or an I/O error has ended the whole transaction.
        throw error;
      }
      entry.failure = asWireError(error);
    }
    this.connection.run("RELEASE change");
  }

  private rollback(): void {
    try {
      this.connection.run("ROLLBACK");
    } catch {
      // SQLite has done it already, or nothing was begun.
    }
  }

  private waitForOthers(error: unknown, started: number): void {
    const now = performance.now();
    const expired = this.queue.filter((entry) => this.lastCall || entry.deadline <= now);
    this.queue = this.queue.filter((entry) => !expired.includes(entry));
    if (expired.length > 0) {
      const failure = this.report(error, started);
      for (const entry of expired) {
        entry.failure = failure;
        entry.settle();
      }
    }
    if (this.queue.length > 0) this.scheduled ??= after(busyStepMs(), () => this.flush());
  }

  private setSynchronous(durability: Durability): void {
    if (this.synchronous === durability) return;
    this.connection.exec(durability === "full" ? "PRAGMA synchronous = FULL" : "PRAGMA synchronous = NORMAL");
    this.synchronous = durability;
  }

  private report(error: unknown, started: number): WireError {
    const failure = asWireError(error);
    this.options.observe(performance.now() - started, failure.errorName === "storage" ? failure : undefined);
    return failure;
  }
}

/** Repeats what another process keeps from happening. Throws what `access` throws, `busy` after the deadline. */
export async function retryWhileBusy<T>(busyDeadlineMs: number, access: () => T): Promise<T> {
  const deadline = performance.now() + busyDeadlineMs;
  for (;;) {
    try {
      return access();
    } catch (error) {
      if (!isBusy(error) || performance.now() >= deadline) throw asWireError(error);
    }
    await delay(busyStepMs());
  }
}

interface Entry {
  durability: Durability;
  deadline: number;
  failure: WireError | undefined;
  run(): void;
  /** Resolves or rejects the promise of the caller. */
  settle(): void;
  /** Resolves, never rejects, once settled. */
  settled: Promise<void>;
}

/** Longest time that one transaction keeps the event loop, in milliseconds. */
const SLICE_MS = 20;

/** Milliseconds until the next try; at random, so that two processes do not keep missing each other. */
function busyStepMs(): number {
  return 10 + Math.random() * 20;
}

function newEntry<T>(change: () => T, durability: Durability, deadline: number): Entry & { promise: Promise<T> } {
  let outcome: { value: T } | undefined;
  let settle = (): void => {};
  const entry = {
    durability,
    deadline,
    failure: undefined as WireError | undefined,
    run: () => {
      outcome = undefined;
      outcome = { value: change() };
    },
    settle: () => settle(),
    promise: new Promise<T>((resolve, reject) => {
      settle = () => {
        if (entry.failure !== undefined || outcome === undefined) reject(entry.failure ?? fail("internal"));
        else resolve(outcome.value);
      };
    }),
  };
  const settled = entry.promise.then(
    () => {},
    () => {},
  );
  return Object.assign(entry, { settled });
}

/** Both return how to take the call back. */
function soon(call: () => void): () => void {
  const handle = setImmediate(call);
  return () => clearImmediate(handle);
}

function after(ms: number, call: () => void): () => void {
  const handle = setTimeout(call, ms);
  return () => clearTimeout(handle);
}
