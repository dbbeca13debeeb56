import { spawn } from "node:child_process";
import { chmodSync, cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import { root } from "../support/root.ts";
import { cleanEnv, type Frame } from "../support/sidecar.ts";

export interface Run {
  code: number | null;
  signal: NodeJS.Signals | null;
  stderr: string;
  frames: Frame[];
  /** The reply to the call at this place; 0 is the first. */
  reply(call: number): Frame | undefined;
}

/** A call that the start alone answers, and one that the app answers. */
export const PING = { method: "system.ping" };
export const LIST_TOOLS = { method: "tool.list" };
export const CHAT = { method: "agent.chat.stream", params: { provider: "echo", messages: [{ role: "user", content: "Hello" }] } };

/** The files that the sidecar is made of; each has a cache of its own. */
export const FILES = ["sidecar", "app", "http", "mcp"] as const;
export type File = (typeof FILES)[number];
const isFile = (name: string) => FILES.some((file) => name === `${file}.js`);

export interface RunOptions {
  calls?: { method: string; params?: unknown }[];
  args?: string[];
  nodeArgs?: string[];
  env?: NodeJS.ProcessEnv;
}

/** The program of the package in a folder of their own, without any code cache; deleted when the test is over. */
export class Installation {
  readonly folder = mkdtempSync(join(tmpdir(), "sidecar-start-"));
  readonly dist = join(this.folder, "dist");
  readonly program = join(this.folder, "bin/steerable-sidecar.js");
  readonly home = join(this.folder, "home");
  /** Where caches go when dist cannot be written. */
  readonly ownCaches = join(this.home, ".cache/steerable-sidecar");

  constructor() {
    mkdirSync(this.dist);
    mkdirSync(this.home);
    cpSync(join(root, "bin"), join(this.folder, "bin"), { recursive: true });
    for (const file of FILES) cpSync(join(root, "dist", `${file}.js`), join(this.dist, `${file}.js`));
    onTestFinished(() => {
      chmodSync(this.dist, 0o700);
      rmSync(this.folder, { recursive: true, force: true });
    });
  }

  get env(): NodeJS.ProcessEnv {
    const { XDG_CACHE_HOME: _, LOCALAPPDATA: __, ...env } = cleanEnv();
    return { ...env, HOME: this.home };
  }

  /** Starts the sidecar, sends the calls, closes its stdin, and resolves when it has ended. */
  run({ calls = [], args = ["--storage-path", ":memory:"], nodeArgs = [], env = {} }: RunOptions = {}): Promise<Run> {
    const child = spawn(process.execPath, [...nodeArgs, this.program, ...args], { stdio: "pipe", env: { ...this.env, ...env } });
    onTestFinished(() => void child.kill("SIGKILL"));
    let [stdout, stderr] = ["", ""];
    child.stdout.setEncoding("utf8").on("data", (text: string) => (stdout += text));
    child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
    child.stdin.on("error", () => undefined);
    child.stdin.end(calls.map((call, id) => `${JSON.stringify({ jsonrpc: "2.0", id, ...call })}\n`).join(""));
    return new Promise((resolve) => {
      child.once("close", (code, signal) => {
        const frames = stdout
          .split("\n")
          .filter((line) => line.startsWith("{"))
          .map((line) => JSON.parse(line) as Frame);
        resolve({ code, signal, stderr, frames, reply: (call) => frames.find((frame) => frame.id === call) });
      });
    });
  }

  /** Everything beside the files in dist: caches, and what should not be there. */
  caches(folder = this.dist): string[] {
    return readdirSync(folder)
      .filter((name) => !isFile(name))
      .toSorted();
  }

  /** The path of the only cache of one of the files. */
  cache(of: File, folder = this.dist): string {
    const [name, ...more] = this.caches(folder).filter((each) => each.startsWith(`${of}-`));
    if (name === undefined || more.length > 0) throw new Error(`expected one cache of ${of}, found ${this.caches(folder).join(", ")}`);
    return join(folder, name);
  }
}

/** Makes a file old, so that `isUntouched` can tell later whether it was written again. */
export function age(file: string): void {
  utimesSync(file, 1_000_000, 1_000_000);
}

export function isUntouched(file: string): boolean {
  return statSync(file).mtimeMs === 1_000_000_000;
}

/** Replaces the content of a file by what `change` makes of it. */
export function damage(file: string, change: (content: Buffer) => Buffer): void {
  writeFileSync(file, change(readFileSync(file)));
}
