import { type ChildProcess, spawn } from "node:child_process";
import { setTimeout as delay } from "node:timers/promises";
import type { Log } from "../log.ts";
import { custodianScript } from "./custodian-script.ts";
import { refuseWithoutDescriptors } from "./spawn.ts";

export interface CustodianParts {
  /** `STEERABLE_CUSTODY=<id>`, which every child has in its environment. */
  mark: string;
  /** How the watermarks of all children begin; undefined where there are none. */
  watermark(): string | undefined;
  /** Processes that it has to know: pids and starts. */
  known(): Iterable<readonly [pid: number, start: number]>;
  /** Whether it has anything to watch over. */
  isNeeded(): boolean;
  log: Log | undefined;
}

/** What counts as a brief life of a custodian, and the pause once so many in a row were brief. Milliseconds. */
const BRIEF_MS = 1000;
const MOST_BRIEF = 3;
/** Where it finds grep and the like; the last is for NixOS. */
const PROGRAMS = "/usr/bin:/bin:/run/current-system/sw/bin";
/** Longest wait for one that was told to go. Milliseconds. */
const FAREWELL_MS = 500;

/**
 * The process that outlives this one and ends its children, should it die. There is none on Windows:
 * there, the system itself ends the programs that Node has started, but not what those have started.
 */
export class Custodian {
  readonly #parts: CustodianParts;
  #child: ChildProcess | undefined;
  #gone: Promise<void> = Promise.resolve();
  /** What it was told of, as `pid start`. */
  #told = new Set<string>();
  #startedAt = 0;
  #briefLives = 0;
  #dismissed = false;
  #complained = false;
  #retry: NodeJS.Timeout | undefined;

  constructor(parts: CustodianParts) {
    this.#parts = parts;
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  get startedAt(): string {
    return new Date(this.#startedAt).toISOString();
  }

  /** Starts it unless it runs. */
  ensure(): void {
    if (this.#child !== undefined || this.#dismissed || process.platform === "win32") return;
    let child: ChildProcess;
    try {
      child = this.#spawn();
    } catch (error) {
      this.#complain(error);
      this.#tryLater();
      return;
    }
    this.#child = child;
    this.#startedAt = Date.now();
    this.#gone = new Promise((resolve) => {
      child.once("exit", () => this.#lost(resolve));
      child.once("error", (error) => {
        this.#complain(error);
        this.#lost(resolve);
      });
    });
    child.stdin?.on("error", () => undefined);
    child.unref();
    this.tell();
  }

  /** Brings what it knows up to date. */
  tell(): void {
    const stdin = this.#child?.stdin;
    if (stdin?.writable !== true) return;
    const known = new Set(Array.from(this.#parts.known(), ([pid, start]) => `${pid} ${start}`));
    const lines = [...known].filter((each) => !this.#told.has(each)).map((each) => `+ ${each}\n`);
    lines.push(...[...this.#told].filter((each) => !known.has(each)).map((each) => `- ${each}\n`));
    this.#told = known;
    if (lines.length > 0) stdin.write(lines.join(""));
  }

  /** Sends it home. With children left it ends them first, by itself. Resolves when it is gone, or goes on alone. */
  async dismiss(isAllWell: boolean): Promise<void> {
    this.#dismissed = true;
    const child = this.#child;
    child?.stdin?.end(isAllWell ? "q\n" : "");
    if (child === undefined || !isAllWell) return;
    const patience = new AbortController();
    // Rejects when it is no longer needed.
    const late = delay(FAREWELL_MS, "late", { signal: patience.signal }).catch(() => undefined);
    if ((await Promise.race([this.#gone, late])) === "late") child.kill("SIGKILL");
    patience.abort();
  }

  /** The same at once: it is left to itself. */
  abandon(): void {
    this.#dismissed = true;
    this.#child?.stdin?.end();
  }

  #spawn(): ChildProcess {
    const { mark, watermark } = this.#parts;
    refuseWithoutDescriptors();
    return spawn("/bin/sh", ["-c", custodianScript, "custodian", String(process.pid), mark, watermark() ?? ""], {
      // A session of its own, none of our pipes but the one that tells of our death, and no folder kept in use.
      detached: true,
      stdio: ["pipe", "ignore", "ignore"],
      cwd: "/",
      env: { PATH: PROGRAMS },
    });
  }

  #complain(error: unknown): void {
    if (!this.#complained) this.#parts.log?.warn({ error }, "the custodian could not be started: children may outlive a sidecar that is killed");
    this.#complained = true;
  }

  #lost(resolve: () => void): void {
    this.#child?.stdin?.destroy();
    this.#child = undefined;
    this.#told.clear();
    resolve();
    this.#briefLives = Date.now() - this.#startedAt < BRIEF_MS ? this.#briefLives + 1 : 0;
    if (!this.#parts.isNeeded()) return;
    if (this.#briefLives < MOST_BRIEF) this.ensure();
    else this.#tryLater();
  }

  #tryLater(): void {
    clearTimeout(this.#retry);
    this.#retry = setTimeout(() => this.#parts.isNeeded() && this.ensure(), BRIEF_MS).unref();
  }
}
