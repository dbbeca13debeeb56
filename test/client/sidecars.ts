import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import { type Sidecar, type SidecarEvents, type SpawnOptions, spawn } from "../../src/client/index.ts";

/** Takes keys of whoever runs the tests away, and what would let Node start slowly. */
const env = { OPENAI_API_KEY: undefined, ANTHROPIC_API_KEY: undefined, NODE_OPTIONS: undefined, NODE_EXTRA_CA_CERTS: undefined };

/** The real sidecar, without a file. It is stopped when the test is over. */
export async function real(options: SpawnOptions = {}): Promise<Sidecar> {
  return kept(await spawn({ storagePath: ":memory:", env, ...options }));
}

/**
 * A process of a few lines, for what a real sidecar cannot be made to do. `body` may use `send(frame)`,
 * `ready()` (by notification), `marker()` (on stderr), and `on(request)` is called for each request.
 */
export async function fake(body: string, options: SpawnOptions = {}): Promise<Sidecar> {
  return kept(await spawn({ ...fakeProgram(body), ...options }));
}

export function fakeProgram(body: string): SpawnOptions {
  return { command: process.execPath, args: ["-e", `${PRELUDE}\n${body}`], env };
}

/** Kills what is left when the test is over, quickly. */
function kept(sidecar: Sidecar): Sidecar {
  onTestFinished(async () => {
    const { pid } = sidecar;
    const stopped = sidecar.stop();
    if (pid !== undefined) signal(pid, "SIGKILL");
    await stopped;
  });
  return sidecar;
}

export function signal(pid: number, name: NodeJS.Signals | 0): boolean {
  try {
    process.kill(pid, name);
    return true;
  } catch {
    return false;
  }
}

/** The next event of a sidecar. Ask before you cause it. */
export function next<E extends keyof SidecarEvents>(sidecar: Sidecar, event: E): Promise<SidecarEvents[E][0]> {
  // The overloads of `once` do not follow a type parameter.
  const emitter = sidecar as unknown as { once(event: string, listener: (value: SidecarEvents[E][0]) => void): void };
  return new Promise((resolve) => emitter.once(event, resolve));
}

/** A stream that says `Hello` and then nothing for ten minutes. */
export function endless(): { provider: string; messages: { role: "user"; content: string }[]; idleTimeoutMs: number; providerOptions: { script: string } } {
  return scripted([{ delta: "Hel" }, { delta: "lo" }, { delayMs: 600_000 }]);
}

/** The first and the second turn of a session, as a script. */
export function scripted(events: unknown[]) {
  const folder = temporaryFolder();
  const script = join(folder, "script.json");
  writeFileSync(script, JSON.stringify({ turns: [{ events }, { events }] }));
  return { provider: "scripted", messages: [{ role: "user" as const, content: "go" }], idleTimeoutMs: 900_000, providerOptions: { script } };
}

export function echo(content: string) {
  return { provider: "echo", messages: [{ role: "user" as const, content }] };
}

export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "sidecar-client-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true, maxRetries: 5 }));
  return folder;
}

const PRELUDE = `
const send = (frame) => process.stdout.write(JSON.stringify({ jsonrpc: "2.0", ...frame }) + "\\n");
const ready = () => send({ method: "lifecycle.ready", params: {} });
const marker = () => process.stderr.write('__SIDECAR_READY__:{"status":"ok"}\\n');
const chunk = (streamId, delta) => send({ method: "stream.chunk", params: { streamId, seq: 0, delta } });
const done = (streamId) => send({ method: "stream.done", params: { streamId, seq: 1, ok: true } });
let on = () => {};
let rest = "";
process.stdin.setEncoding("utf8").on("data", (text) => {
  const lines = (rest + text).split("\\n");
  rest = lines.pop();
  for (const line of lines) on(JSON.parse(line));
});
const forever = () => setInterval(() => {}, 1000);
`;
