import { dirname } from "node:path";
import { PassThrough } from "node:stream";
import { onTestFinished } from "vitest";
import { createApp } from "../../src/app.ts";
import { type Caller, HOST } from "../../src/contract/caller.ts";
import { defaults } from "../../src/contract/defaults.ts";
import type { CallParams, MethodName, Result } from "../../src/contract/index.ts";
import { StdioListener } from "../../src/listeners/stdio.ts";
import { createLog } from "../../src/log.ts";
import { Health } from "../../src/methods/health.ts";
import { loadConfig } from "../../src/runtime/config.ts";
import type { Door } from "../../src/runtime/door.ts";

export interface AppOptions {
  config?: Record<string, unknown>;
  env?: NodeJS.ProcessEnv;
  /** Of the configuration, beside its store; without one the store is in memory. */
  file?: string;
}

/** An app without a process of its own, and callers to ask it as. Ended with the test. */
export async function startApp({ config = {}, env = {}, file }: AppOptions = {}) {
  const flags = file === undefined ? { storagePath: ":memory:" } : { config: file };
  const settings = await loadConfig({ flags, env, cwd: file === undefined ? "/" : dirname(file) });
  settings.set(config);
  const logged: string[] = [];
  const log = createLog({ level: "DEBUG", write: (line) => logged.push(line) });
  const listener = new StdioListener({
    input: new PassThrough(),
    output: new PassThrough().resume(),
    limits: defaults.limits,
    answer: () => undefined,
    onFault: () => undefined,
    onEnd: () => undefined,
    onClosed: () => undefined,
  });
  const control = { drain: async () => undefined, finish: () => undefined, exitNow: () => undefined };
  const health = new Health("0.0.0", 0);
  const app = await createApp({ config: settings, env, listener, health, control, log });
  onTestFinished(async () => {
    await app.runs.stopAll();
    await app.store()?.close();
  });

  /** Asks as `caller`: its own things, and what its scopes allow. */
  const as = (caller: Caller) => {
    const door: Door = { caller, openSink: (id) => listener.openSink(id), release: (id) => listener.release(id), tellsStatus: () => false };
    return async <M extends MethodName>(method: M, params?: CallParams<M>): Promise<Result<M>> =>
      (await app.answer(
        { method, params: params as Record<string, unknown> | undefined, signal: new AbortController().signal, afterReply: (run) => run() },
        door,
      )) as Result<M>;
  };
  return { app, as, host: as(HOST), health, settings, logged };
}

export const user = (subject: string): Caller => ({ subject, scopes: new Set(["read", "write"]) });
