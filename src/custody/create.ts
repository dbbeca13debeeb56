import { randomBytes } from "node:crypto";
import type { ChildProcess } from "../contract/system.ts";
import type { Log } from "../log.ts";
import { Custodian } from "./custodian.ts";
import type { Custody, Program, Ward } from "./custody.ts";
import { withoutStrangers } from "./members.ts";
import { hasProc, procProcesses } from "./proc.ts";
import { CUSTODY_VARIABLE, type ProcessTable, type Processes, WARD_VARIABLE } from "./processes.ts";
import { psProcesses } from "./ps.ts";
import { type Spawned, spawnProgram } from "./spawn.ts";
import { LiveWard } from "./ward.ts";
import { Watermarks } from "./watermark.ts";

export interface CustodyOptions {
  log?: Log | undefined;
  /** The program that sets watermarks. Without it children are found by what they may lose: environment, session, parents. */
  prlimit?: string | undefined;
  /** How processes are listed; chosen by the system when left out. */
  processes?: Processes | undefined;
}

/** Between two looks at running children, where they carry no watermarks: from the latest start on, then ever longer. Milliseconds. */
const SAMPLE_MS = 250;
const LONGEST_SAMPLE_MS = 2000;

/** Sees nothing: what can be ended is the process group of each program. */
const unseen: Processes = { read: async () => new Map(), startOf: () => undefined, memoryOf: async () => undefined };

/** The custody of this process. Nothing is started before the first child is. */
export function createCustody(options: CustodyOptions = {}): Custody {
  return new LiveCustody(options);
}

function systemProcesses(): Processes {
  if (hasProc()) return procProcesses();
  // On Linux, ps has nothing else to look at.
  return process.platform === "linux" ? unseen : psProcesses;
}

class LiveCustody implements Custody {
  readonly #id = randomBytes(12).toString("hex");
  readonly #log: Log | undefined;
  readonly #processes: Processes;
  readonly #wards = new Map<string, LiveWard>();
  readonly #watermarks: Watermarks;
  readonly #custodian: Custodian;
  #closed = false;
  /** Whether a ward has ended with processes left, or may have. */
  #lostSome = false;
  #count = 0;
  /** Starts come one by one: what a child inherits is set in between. */
  #starting: Promise<unknown> = Promise.resolve();
  #looking: Promise<unknown> = Promise.resolve();
  #nextLook: Promise<ProcessTable | undefined> | undefined;
  #sampler: NodeJS.Timeout | undefined;
  #closing: Promise<void> | undefined;

  constructor({ log, prlimit = "prlimit", processes = systemProcesses() }: CustodyOptions) {
    this.#log = log;
    this.#processes = processes;
    this.#watermarks = new Watermarks(prlimit);
    this.#custodian = new Custodian({
      mark: `${CUSTODY_VARIABLE}=${this.#id}`,
      watermark: () => this.#watermarks.prefix,
      known: () => [...this.#wards.values()].flatMap((ward) => [[ward.pid, ward.start] as const, ...ward.strays]),
      isNeeded: () => this.#wards.size > 0,
      log,
    });
  }

  get isOpen(): boolean {
    return !this.#closed;
  }

  start(program: Program, signal?: AbortSignal): Promise<Ward> {
    const started = this.#starting.then(() => this.#start(program, signal));
    // The next start does not depend on how this one went.
    this.#starting = started.catch(() => undefined);
    return started;
  }

  async children(): Promise<ChildProcess[]> {
    const table = this.#wards.size > 0 ? await this.#look() : undefined;
    const wards = await Promise.all([...this.#wards.values()].map((ward) => this.#describe(ward, table)));
    const { pid, startedAt } = this.#custodian;
    if (pid === undefined) return wards.flat();
    const memory = await this.#processes.memoryOf([pid]);
    return [...wards.flat(), { pid, kind: "custodian", startedAt, descendants: 0, ...(memory === undefined ? {} : { memoryBytes: memory }) }];
  }

  close(): Promise<void> {
    this.#closed = true;
    this.#closing ??= this.#close();
    return this.#closing;
  }

  closeNow(): void {
    this.#closed = true;
    for (const ward of this.#wards.values()) ward.killNow();
    this.#custodian.abandon();
  }

  async #start(program: Program, signal: AbortSignal | undefined): Promise<Ward> {
    this.#refuseWhenClosed();
    signal?.throwIfAborted();
    this.#custodian.ensure();
    const watermark = await this.#watermarks.next();
    const id = `${this.#id}-${this.#count++}`;
    const child = await this.#spawn(program, id, signal).catch((error: unknown) => {
      this.#watermarks.release(watermark);
      throw error;
    });
    const marks = new Set(watermark === undefined ? [id] : [id, watermark]);
    const ward = new LiveWard(child, this.#processes.startOf(child.pid), program, marks, {
      look: () => this.#look(),
      startOf: (pid) => this.#processes.startOf(pid),
      ended: (left, isSure) => {
        // What could not be ended keeps its watermark.
        if (left === 0 && isSure) this.#watermarks.release(watermark);
        else this.#lostSome = true;
        this.#ended(id, left);
      },
    });
    this.#wards.set(id, ward);
    this.#custodian.ensure();
    this.#custodian.tell();
    this.#sample(SAMPLE_MS);
    // Closed in this very moment: the closing may have looked before the ward was there.
    if (this.#closed) await ward.end(0);
    this.#refuseWhenClosed();
    return ward;
  }

  /** Nothing is awaited before the process itself: another start would change the watermark. */
  async #spawn(program: Program, id: string, signal: AbortSignal | undefined): Promise<Spawned> {
    this.#refuseWhenClosed();
    signal?.throwIfAborted();
    return await spawnProgram(program, { [CUSTODY_VARIABLE]: this.#id, [WARD_VARIABLE]: id });
  }

  #refuseWhenClosed(): void {
    if (this.#closed) throw new Error("No program can be started any more: the sidecar is shutting down");
  }

  #ended(id: string, left: number): void {
    const ward = this.#wards.get(id);
    this.#wards.delete(id);
    if (left > 0) this.#log?.warn({ tool: ward?.program.name, pid: ward?.pid, left }, "processes that a child has started could not be ended");
    this.#custodian.tell();
    if (this.#wards.size === 0) clearTimeout(this.#sampler);
  }

  async #close(): Promise<void> {
    // A start that was on its way sees that this is closed.
    await this.#starting;
    const wards = [...this.#wards.values()];
    await Promise.all(wards.map((ward) => ward.end()));
    await this.#custodian.dismiss(!this.#lostSome);
  }

  async #describe(ward: LiveWard, table: ProcessTable | undefined): Promise<ChildProcess[]> {
    const members = table === undefined ? [ward.pid] : ward.update(table).map((entry) => entry.pid);
    // It may be all over, just not noticed yet.
    if (members.length === 0) return [];
    const { kind, name, sessionId, callId } = ward.program;
    const memory = await this.#processes.memoryOf(members);
    return [
      {
        pid: ward.pid,
        kind,
        name,
        ...(sessionId === undefined ? {} : { sessionId }),
        ...(callId === undefined ? {} : { callId }),
        startedAt: ward.startedAt,
        descendants: members.filter((pid) => pid !== ward.pid).length,
        ...(memory === undefined ? {} : { memoryBytes: memory }),
      },
    ];
  }

  /** One look serves all who ask before it begins; one that is under way may be too old for them. */
  #look(): Promise<ProcessTable | undefined> {
    this.#nextLook ??= this.#lookAfter(this.#looking);
    return this.#nextLook;
  }

  async #lookAfter(previous: Promise<unknown>): Promise<ProcessTable | undefined> {
    await previous;
    this.#looking = this.#nextLook ?? previous;
    this.#nextLook = undefined;
    const since = Math.min(...Array.from(this.#wards.values(), (ward) => ward.start));
    const table = await this.#processes.read({ since, variable: `${WARD_VARIABLE}=${this.#id}-`, watermark: this.#watermarks.prefix });
    if (!table.has(process.pid)) return undefined;
    return withoutStrangers(table, process.pid, this.#custodian.pid);
  }

  /** Without watermarks, processes that have lost all else are only found while their parents are there. */
  #sample(interval: number): void {
    clearTimeout(this.#sampler);
    if (this.#watermarks.prefix !== undefined || process.platform === "win32") return;
    this.#sampler = setTimeout(async () => {
      const table = await this.#look();
      if (table !== undefined) for (const ward of this.#wards.values()) ward.update(table);
      this.#custodian.tell();
      if (this.#wards.size > 0) this.#sample(Math.min(interval * 2, LONGEST_SAMPLE_MS));
    }, interval).unref();
  }
}
