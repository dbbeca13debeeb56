import { type ChildProcess, spawn } from "node:child_process";
import type { Readable } from "node:stream";
import type { NotificationParams } from "../contract/index.ts";
import { redactText } from "../redact.ts";
import { LineSplitter } from "../rpc/lines.ts";
import { within } from "./deadline.ts";
import { type SidecarError, timedOut, transportClosed } from "./error.ts";
import type { Launch } from "./options.ts";
import { Peer, type PeerHooks } from "./peer.ts";

/** Begins the line on stderr that says that the sidecar takes requests. */
const READY_MARKER = "__SIDECAR_READY__:";
/** How long the pipes of a process that has exited may stay open, because a process of its own holds them. */
const PIPE_GRACE_MS = 500;
/** Longest log line passed on, in bytes. */
const LONGEST_LOG_LINE = 1024 * 1024;
/** What is kept of stderr to explain a start that failed. */
const LAST_LINES = 20;
const LAST_LINE_LENGTH = 1_000;

/** Where a sidecar takes requests from: its stdin, and with `--http` a URL too. */
export type ListenInfo = NotificationParams<"lifecycle.ready">["listenInfo"];

export interface Exit {
  /** Exit code; null when a signal ended the process, or it never ran. */
  code: number | null;
  signal: NodeJS.Signals | null;
}

export interface ChildHooks extends PeerHooks {
  onLog(line: string): void;
}

/** One sidecar process, from its start to its end. */
export class Child {
  readonly pid: number | undefined;
  readonly peer: Peer;
  /** Resolves when the sidecar takes requests; rejects with a SidecarError that says why it never will. */
  readonly ready: Promise<void>;
  /** Where it takes requests from, as `lifecycle.ready` tells; rejects when it is gone without having told. */
  readonly listenInfo: Promise<ListenInfo>;
  /** Resolves when the process has ended and all that it sent was handled. */
  readonly gone: Promise<Exit>;
  /** On the clock of `performance.now()`. */
  readyAt: number | undefined;
  /** Set as soon as the process has ended, before `gone`. */
  exit: Exit | undefined;
  readonly #process: ChildProcess;
  readonly #lastLines: string[] = [];
  #spawnError: Error | undefined;

  /** Throws what `child_process.spawn` throws at once, for arguments that no program could be run with. */
  constructor({ command, args, env, cwd, readyTimeoutMs }: Launch, hooks: ChildHooks) {
    const child = spawn(command, args, { env, cwd, stdio: "pipe", windowsHide: true });
    this.#process = child;
    this.pid = child.pid;
    const exited = new Promise<Exit>((resolve) => {
      child.once("exit", (code, signal) => resolve({ code, signal }));
      // Also emitted for a signal that could not be sent; then the process has an id and goes on.
      child.on("error", (error) => {
        if (child.pid !== undefined) return;
        this.#spawnError = error;
        resolve({ code: null, signal: null });
      });
    });
    // A host that has run out of file descriptors gets a process without pipes.
    if (!child.stdin || !child.stdout || !child.stderr) throw transportClosed("The sidecar could not be started: no pipes are left");
    const closed = new Promise<void>((resolve) => child.once("close", () => resolve()));

    let onReady = () => {};
    const marked = new Promise<void>((resolve) => {
      onReady = resolve;
    });
    let onListening: (info: ListenInfo) => void = () => {};
    const told = new Promise<ListenInfo>((resolve) => {
      onListening = resolve;
    });
    this.peer = new Peer(child.stdout, child.stdin, {
      onFault: hooks.onFault,
      onRequest: hooks.onRequest,
      onNotification: (method, params) => {
        if (method === "lifecycle.ready") {
          onReady();
          // As the contract has it, from which the sidecar builds its notifications.
          onListening((params as NotificationParams<"lifecycle.ready">).listenInfo);
        }
        hooks.onNotification(method, params);
      },
    });
    readLines(child.stderr, (line) => {
      if (line.startsWith(READY_MARKER)) {
        onReady();
        return;
      }
      this.#lastLines.push(line.slice(0, LAST_LINE_LENGTH));
      if (this.#lastLines.length > LAST_LINES) this.#lastLines.shift();
      hooks.onLog(line);
    });
    this.gone = exited.then((exit) => this.#bury(exit, closed));
    void this.peer.drained.then(() => this.#muted());
    this.ready = this.#becomeReady(marked, readyTimeoutMs);
    this.listenInfo = Promise.race([told, this.gone.then((exit) => Promise.reject(this.#obituary(exit)))]);
    for (const promise of [this.ready, this.listenInfo]) promise.catch(() => undefined);
  }

  kill(signal: NodeJS.Signals): void {
    this.#process.kill(signal);
  }

  /** Lets the host end although the process, which no signal has ended, has not. */
  abandon(): void {
    this.#process.unref();
    this.#closePipes();
    this.peer.close(transportClosed("The sidecar could not be ended; it was left behind"));
  }

  async #becomeReady(marked: Promise<void>, readyTimeoutMs: number): Promise<void> {
    const first = await within(Promise.race([marked.then(() => "ready" as const), this.gone]), readyTimeoutMs);
    if (first === "ready") {
      this.readyAt = performance.now();
      return;
    }
    if (first === undefined) {
      this.kill("SIGKILL");
      throw timedOut("The start of the sidecar", readyTimeoutMs, this.#stderrText());
    }
    throw this.#obituary(first, this.#stderrText());
  }

  /** Nothing can be answered any more. Mostly because the process ends, and then `gone` says how. */
  async #muted(): Promise<void> {
    await within(this.gone, 2 * PIPE_GRACE_MS);
    this.peer.close(transportClosed("The sidecar has closed its stdout"));
  }

  async #bury(exit: Exit, closed: Promise<void>): Promise<Exit> {
    this.exit = exit;
    await within(closed, PIPE_GRACE_MS);
    // Twice, because the first time may have passed while the host was too busy to read.
    await within(closed, PIPE_GRACE_MS);
    this.#closePipes();
    // The end of stdout is behind everything that was read from it, so this comes.
    await this.peer.drained;
    this.peer.close(this.#obituary(exit));
    return exit;
  }

  #closePipes(): void {
    for (const pipe of [this.#process.stdin, this.#process.stdout, this.#process.stderr]) pipe?.destroy();
  }

  #obituary({ code, signal }: Exit, detail = ""): SidecarError {
    const data = { exitCode: code, signal };
    if (this.#spawnError !== undefined) return transportClosed(`The sidecar could not be started: ${this.#spawnError.message}`, data);
    const how = signal === null ? `exited with code ${code}` : `was ended by ${signal}`;
    return transportClosed(`The sidecar ${how}${this.readyAt === undefined ? " before it was ready" : ""}${detail}`, data);
  }

  #stderrText(): string {
    return this.#lastLines.length === 0 ? "" : `; the last it wrote to stderr:\n${redactText(this.#lastLines.join("\n"))}`;
  }
}

function readLines(input: Readable, onLine: (line: string) => void): void {
  const splitter = new LineSplitter(
    LONGEST_LOG_LINE,
    (line) => onLine(line.toString("utf8").replace(/\r$/, "")),
    () => onLine(`(a log line of more than ${LONGEST_LOG_LINE} bytes was left out)`),
  );
  input.on("data", (chunk: Buffer) => splitter.push(chunk));
  input.on("end", () => splitter.end());
  // What was read stays valid; the end of the process is noticed by itself.
  input.on("error", () => undefined);
}
