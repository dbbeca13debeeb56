/** The story of the process: configure, wire, listen, drain. */
import type { App } from "./app.ts";
import { defaults, PROTOCOL_VERSION } from "./contract/defaults.ts";
import { type Flags, parseFlags } from "./flags.ts";
import { Lifecycle } from "./lifecycle.ts";
import { claimStdio } from "./listeners/claim.ts";
import { StdioListener } from "./listeners/stdio.ts";
import { createLog, type Log, stderrSink } from "./log.ts";
import { Health } from "./methods/health.ts";
import type { Call } from "./rpc/request.ts";
import type { ConfigService } from "./runtime/config.ts";
import { VERSION } from "./version.ts";

/** Looked at first of all: a host may die while we start. */
const parent = process.ppid;
const READY_MARKER = "__SIDECAR_READY__:";

main();

function main(): void {
  const flags = parseFlags(process.argv.slice(2));
  if ("exit" in flags) {
    if (flags.exit.stdout !== undefined) process.stdout.write(flags.exit.stdout);
    if (flags.exit.stderr !== undefined) process.stderr.write(flags.exit.stderr);
    process.exitCode = flags.exit.code;
    return;
  }
  const stdio = claimStdio();
  const log = createLog({ level: flags.logLevel ?? defaults.logLevel, write: stderrSink(process.stderr).write });
  process.on("uncaughtException", (error) => log.error({ error }, "an error was caught by nobody"));
  process.on("unhandledRejection", (error) => log.error({ error }, "a rejection was caught by nobody"));

  if (!needsConfigFirst(flags)) {
    start(flags, stdio, log, undefined);
    return;
  }
  loadConfig(flags, log).then(
    (config) => start(flags, stdio, log, config),
    (error: unknown) => {
      process.stderr.write(`steerable-sidecar: ${error instanceof Error ? error.message : "the configuration could not be read"}\n`);
      process.exitCode = 2;
    },
  );
}

function start(flags: Flags, stdio: ReturnType<typeof claimStdio>, log: Log, loaded: ConfigService | undefined): void {
  let config = loaded;
  let app: App | undefined;
  let loading: Promise<App> | undefined;

  const health = new Health(VERSION, Date.now() - Math.round(process.uptime() * 1000));
  const listener = new StdioListener({
    input: stdio.input,
    output: stdio.output,
    limits: config?.current.limits ?? defaults.limits,
    answer,
    onFault: (error, method) => log.error({ error, method }, "a request failed inside the sidecar"),
    onEnd: () => void lifecycle.inputEnded(),
    onClosed: () => lifecycle.outputClosed(),
  });
  const lifecycle = new Lifecycle({
    listener,
    health,
    log,
    runs: () => app?.runs,
    custody: () => app?.custody,
    budgets: () => app?.budgets,
    store: () => app?.store(),
    gracePeriodMs: () => (config?.current.gracePeriodSeconds ?? defaults.gracePeriodSeconds) * 1000,
    exit: (code) => process.exit(code),
  });

  stdio.onOutputError(() => lifecycle.outputClosed());
  for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) process.on(signal, () => lifecycle.signalled());
  if (!flags.quietReady) process.stderr.write(`${READY_MARKER}${JSON.stringify(health.snapshot())}\n`);
  listener.notify("lifecycle.ready", { version: VERSION, protocolVersion: PROTOCOL_VERSION, pid: process.pid, listenInfo: { transport: "stdio" } });
  void listener.writer.flushed();
  listener.listen();
  lifecycle.watchParent(parent);

  /** Health is answered by what is loaded at the start; everything else waits for the app, which loads once. */
  function answer(call: Call): unknown {
    if (call.method === "system.ping") return health.snapshot();
    return app === undefined ? loadApp().then((ready) => ready.answer(call)) : app.answer(call);
  }

  function loadApp(): Promise<App> {
    loading ??= (async () => {
      const { createApp } = await import("./app.ts");
      config ??= await loadConfig(flags, log);
      config.onChange((current) => log.setLevel(current.logLevel));
      app = await createApp({ config, env: process.env, listener, health, control: lifecycle, log });
      return app;
    })();
    // The next request tries again.
    loading.catch(() => {
      loading = undefined;
    });
    return loading;
  }
}

/** Without a file and without STEERABLE_ variables the defaults and flags hold, and no schema is needed to know them. */
function needsConfigFirst(flags: Flags): boolean {
  return flags.config !== undefined || Object.keys(process.env).some((name) => name.startsWith("STEERABLE_"));
}

async function loadConfig(flags: Flags, log: Log): Promise<ConfigService> {
  const { loadConfig: load } = await import("./runtime/config.ts");
  const config = await load({ flags, env: process.env, cwd: process.cwd() });
  log.setLevel(config.current.logLevel);
  for (const warning of config.warnings) log.warn({}, warning);
  return config;
}
