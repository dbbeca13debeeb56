import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import { root } from "./root.ts";

export type Frame = Record<string, unknown> & {
  id?: string | number | null;
  method?: string;
  params?: Record<string, unknown>;
  result?: unknown;
  error?: { code: number; message: string; kind: string; data?: Record<string, unknown> };
};

export interface Exit {
  code: number | null;
  signal: NodeJS.Signals | null;
}

export interface SpawnSidecarOptions {
  args?: string[];
  env?: NodeJS.ProcessEnv;
  nodeArgs?: string[];
  /** Leave the reading of stdout to the test. */
  unread?: boolean;
  cwd?: string;
}

/** What a request of the sidecar is answered with: what it gives is the result, what it throws the error. */
export type RequestHandler = (method: string, params: Record<string, unknown>, frame: Frame) => unknown;
/** Given by a handler that does not answer. */
export const NO_ANSWER = Symbol("no answer");

/** Longest wait for anything; only a test that fails takes this long. */
const PATIENCE_MS = 30_000;

/** A real sidecar process, as a host sees it. It is killed when the test is over. */
export class TestSidecar {
  readonly child: ChildProcess & {
    stdin: NonNullable<ChildProcess["stdin"]>;
    stdout: NonNullable<ChildProcess["stdout"]>;
    stderr: NonNullable<ChildProcess["stderr"]>;
  };
  /** Every line of stdout, in order, parsed. */
  readonly frames: (Frame | Frame[])[] = [];
  readonly lines: string[] = [];
  readonly exit: Promise<Exit>;
  stderr = "";
  #rest = "";
  readonly #replies = new Map<unknown, Frame>();
  readonly #terminals = new Map<string, Frame>();
  #onRequest: RequestHandler | undefined;
  #nextId = 1;
  #watchers = new Set<() => void>();
  #exited: Exit | undefined;

  constructor(options: SpawnSidecarOptions) {
    this.child = spawn(
      process.execPath,
      [...(options.nodeArgs ?? []), join(root, "bin/steerable-sidecar.js"), ...(options.args ?? ["--storage-path", ":memory:"])],
      {
        stdio: ["pipe", "pipe", "pipe"],
        env: { ...cleanEnv(), ...options.env },
        ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
      },
    ) as TestSidecar["child"];
    this.child.stdin.on("error", () => undefined);
    this.child.stderr.setEncoding("utf8").on("data", (text: string) => {
      this.stderr += text;
      this.#changed();
    });
    if (options.unread !== true) this.read();
    this.exit = new Promise((resolve) => {
      this.child.once("close", (code, signal) => {
        this.#exited = { code, signal };
        this.#changed();
        resolve(this.#exited);
      });
    });
    // A child whose stdout nobody reads never emits "close".
    if (options.unread === true) this.child.once("exit", () => this.child.stdout.resume());
  }

  read(): void {
    this.child.stdout.setEncoding("utf8").on("data", (text: string) => {
      const lines = (this.#rest + text).split("\n");
      this.#rest = lines.pop() ?? "";
      for (const line of lines) {
        this.lines.push(line);
        const frame = JSON.parse(line) as Frame;
        this.frames.push(frame);
        this.#note(frame);
        if (frame.method !== undefined && frame.id !== undefined) void this.#answer(frame);
      }
      this.#changed();
    });
  }

  /** Answers the requests of the sidecar from now on. */
  onRequest(handler: RequestHandler): void {
    this.#onRequest = handler;
  }

  /** Requests of the sidecar so far. */
  requests(method: string): Frame[] {
    return this.frames.flat().filter((frame) => frame.method === method && frame.id !== undefined);
  }

  async #answer(frame: Frame): Promise<void> {
    if (this.#onRequest === undefined) return;
    try {
      const result = await this.#onRequest(frame.method as string, frame.params ?? {}, frame);
      if (result !== NO_ANSWER) this.send({ jsonrpc: "2.0", id: frame.id, result });
    } catch (error) {
      this.send({ jsonrpc: "2.0", id: frame.id, error: { code: -32000, message: (error as Error).message } });
    }
  }

  /** Text on stdout behind the last newline; empty unless a line was cut. */
  get unfinishedLine(): string {
    return this.#rest;
  }

  sendRaw(data: string | Buffer): void {
    this.child.stdin.write(data);
  }

  send(frame: unknown): void {
    this.sendRaw(`${JSON.stringify(frame)}\n`);
  }

  /** Sends a request; resolves with its reply, error or not. */
  async request(method: string, params?: unknown): Promise<Frame> {
    const id = this.#nextId++;
    this.send({ jsonrpc: "2.0", id, method, ...(params === undefined ? {} : { params }) });
    return this.reply(id);
  }

  /** Sends a request; resolves with its result, and throws its error. */
  async call<T = Record<string, unknown>>(method: string, params?: unknown): Promise<T> {
    const reply = await this.request(method, params);
    if (reply.error !== undefined) throw new Error(`${method}: ${JSON.stringify(reply.error)}`);
    return reply.result as T;
  }

  async reply(id: string | number): Promise<Frame> {
    await this.until(() => this.#replies.has(id), `the reply to ${String(id)}`);
    return this.#replies.get(id) as Frame;
  }

  /** What is waited for most is found at once, however many frames there are. The first of each counts. */
  #note(frame: Frame): void {
    for (const each of [frame].flat() as Frame[]) {
      const { id, method, params } = each;
      if (id !== undefined && id !== null && method === undefined && !this.#replies.has(id)) this.#replies.set(id, each);
      const streamId = String(params?.["streamId"]);
      if ((method === "stream.done" || method === "stream.error") && !this.#terminals.has(streamId)) this.#terminals.set(streamId, each);
    }
  }

  notification(method: string, matches: (params: Record<string, unknown>) => boolean = () => true): Promise<Frame> {
    return this.frame((frame) => frame.method === method && matches(frame.params ?? {}), method);
  }

  /** The first frame that matches, now or later. */
  async frame(matches: (frame: Frame) => boolean, what: string): Promise<Frame> {
    let found: Frame | undefined;
    await this.until(() => {
      found = this.frames.flat().find(matches);
      return found !== undefined;
    }, what);
    return found as Frame;
  }

  /** Resolves when `condition` holds; it is asked whenever something arrives. */
  until(condition: () => boolean, what: string): Promise<void> {
    if (condition()) return Promise.resolve();
    return new Promise((resolve, reject) => {
      const finish = (settle: () => void) => {
        clearTimeout(timer);
        this.#watchers.delete(watch);
        settle();
      };
      const watch = () => {
        if (condition()) finish(resolve);
        else if (this.#exited !== undefined)
          finish(() => reject(new Error(`the sidecar ended (${JSON.stringify(this.#exited)}) before ${what}; stderr: ${this.stderr.slice(-2000)}`)));
      };
      const timer = setTimeout(
        () => finish(() => reject(new Error(`waited in vain for ${what}; stdout: ${this.lines.slice(-5).join("\n")}; stderr: ${this.stderr.slice(-2000)}`))),
        PATIENCE_MS,
      );
      this.#watchers.add(watch);
    });
  }

  /** Starts a stream; resolves with its id once the call is acknowledged. */
  async stream(params: Record<string, unknown>): Promise<string> {
    const { streamId } = await this.call<{ streamId: string }>("agent.chat.stream", params);
    return streamId;
  }

  /** The terminal of a stream. */
  async terminal(streamId: string): Promise<Frame> {
    await this.until(() => this.#terminals.has(streamId), `the terminal of ${streamId}`);
    return this.#terminals.get(streamId) as Frame;
  }

  /** All notifications of a stream so far. */
  notifications(streamId: string): Frame[] {
    return this.frames.flat().filter((frame) => frame.method?.startsWith("stream.") === true && frame.params?.["streamId"] === streamId);
  }

  /** The text of a stream so far. */
  text(streamId: string): string {
    return this.notifications(streamId)
      .map((frame) => frame.params?.["delta"] ?? "")
      .join("");
  }

  #changed(): void {
    for (const watch of this.#watchers) watch();
  }
}

/** Spawns a sidecar and waits until it is ready. */
export async function startSidecar(options: SpawnSidecarOptions = {}): Promise<TestSidecar> {
  const sidecar = spawnSidecar(options);
  if (options.unread === true) await sidecar.until(() => sidecar.stderr.includes("__SIDECAR_READY__:"), "the ready marker");
  else await sidecar.notification("lifecycle.ready");
  return sidecar;
}

export function spawnSidecar(options: SpawnSidecarOptions = {}): TestSidecar {
  const sidecar = new TestSidecar(options);
  onTestFinished(async () => {
    sidecar.child.kill("SIGKILL");
    sidecar.child.stdin.destroy();
    await sidecar.exit;
  });
  return sidecar;
}

/** A folder of its own for a test; deleted when the test is over. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "sidecar-test-"));
  // A process that is being ended may still write a file into it.
  onTestFinished(() => rmSync(folder, { recursive: true, force: true, maxRetries: 5 }));
  return folder;
}

/** The environment of whoever runs the tests, without what would change a sidecar. */
export function cleanEnv(): NodeJS.ProcessEnv {
  const foreign = /^(STEERABLE_|NODE_|OPENAI_|ANTHROPIC_|https?_proxy$|no_proxy$|all_proxy$|VITEST)/i;
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !foreign.test(name)));
}
