/** The story of the process: configure, wire, listen, drain. */
import type { App } from "./app.ts";
import { defaults, PROTOCOL_VERSION } from "./contract/defaults.ts";
import { type Flags, parseFlags } from "./flags.ts";
import { Lifecycle } from "./lifecycle.ts";
import { claimStdio } from "./listeners/claim.ts";
import type { HttpListener } from "./listeners/http/server.ts";
import type { HttpSettings } from "./listeners/http/settings.ts";
import { noHost } from "./listeners/no-host.ts";
import { StdioListener } from "./listeners/stdio.ts";
import { createLog, type Log, stderrSink } from "./log.ts";
import { Health } from "./methods/health.ts";
import type { Call } from "./rpc/request.ts";
import type { ConfigService } from "./runtime/config.ts";
import type { Meter } from "./runtime/meter.ts";
import { VERSION } from "./version.ts";

/** Looked at first of all: a host may die while we start. */
const parent = process.ppid;
const READY_MARKER = "__SIDECAR_READY__:";

/** Exit codes of a process that never became ready. */
const CANNOT_START = 1;
const BAD_SETTINGS = 2;

main();

function main(): void {
  const flags = parseFlags(process.argv.slice(2));
  if ("exit" in flags) {
    if (flags.exit.stdout !== undefined) process.stdout.write(flags.exit.stdout);
    if (flags.exit.stderr !== undefined) process.stderr.write(flags.exit.stderr);
    process.exitCode = flags.exit.code;
    return;
  }
  if ("subcommand" in flags) {
    hashKey(flags.args).then((code) => {
      process.exitCode = code;
    }, giveUp);
    return;
  }
  const stdio = claimStdio();
  const log = createLog({ level: flags.logLevel ?? defaults.logLevel, write: stderrSink(process.stderr).write });
  process.on("uncaughtException", (error) => log.error({ error }, "an error was caught by nobody"));
  process.on("unhandledRejection", (error) => log.error({ error }, "a rejection was caught by nobody"));

  if (!needsConfigFirst(flags)) {
    start(flags, stdio, log);
    return;
  }
  loadSettings(flags, log).then((loaded) => start(flags, stdio, log, loaded), giveUp);
}

/** What was read before the start; empty where nothing has to be. */
interface Loaded {
  config?: ConfigService;
  /** Absent where no HTTP listener is asked for. */
  http?: HttpSettings;
}

function start(flags: Flags, stdio: ReturnType<typeof claimStdio>, log: Log, loaded: Loaded = {}): void {
  let { config } = loaded;
  let app: App | undefined;
  let loading: Promise<App> | undefined;
  let http: HttpListener | undefined;
  let meter: Meter | undefined;
  const hasHost = flags.http?.only !== true;
  const limits = config?.current.limits ?? defaults.limits;

  const health = new Health(VERSION, Date.now() - Math.round(process.uptime() * 1000));
  const listener = new StdioListener({
    ...(hasHost ? stdio : noHost()),
    limits,
    answer,
    onFault: (error, method) => log.error({ error, method }, "a request failed inside the sidecar"),
    onEnd: () => void lifecycle.inputEnded(),
    onClosed: () => lifecycle.outputClosed(),
  });
  const lifecycle = new Lifecycle({
    listener,
    http: () => http,
    health,
    log,
    runs: () => app?.runs,
    custody: () => app?.custody,
    budgets: () => app?.budgets,
    store: () => app?.store(),
    gracePeriodMs: () => (config?.current.gracePeriodSeconds ?? defaults.gracePeriodSeconds) * 1000,
    patienceMs: loaded.http?.shutdownGraceMs ?? 0,
    exit: (code) => process.exit(code),
  });

  if (hasHost) stdio.onOutputError(() => lifecycle.outputClosed());
  for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) process.on(signal, () => lifecycle.signalled());
  if (loaded.http === undefined) serve();
  else openHttp(loaded.http).then(serve, giveUp);

  function serve(): void {
    // A signal may have come while the listener was being opened.
    if (lifecycle.isEnding) return;
    if (!hasHost && http !== undefined) announce(http);
    if (!flags.quietReady) process.stderr.write(`${READY_MARKER}${JSON.stringify(health.snapshot())}\n`);
    listener.notify("lifecycle.ready", { version: VERSION, protocolVersion: PROTOCOL_VERSION, pid: process.pid, listenInfo: listenInfo(http) });
    void listener.writer.flushed();
    listener.listen();
    if (hasHost) lifecycle.watchParent(parent);
  }

  async function openHttp(settings: HttpSettings): Promise<void> {
    const { openHttp: open } = await import("./listeners/http/server.ts");
    const onMeter = (connected: Meter) => {
      meter = connected;
      app?.meter.connect(connected);
    };
    http = await open({ settings, limits, app: loadApp, onMeter, log });
  }

  /** Health is answered by what is loaded at the start; everything else waits for the app, which loads once. */
  function answer(call: Call): unknown {
    if (call.method === "system.ping") return health.snapshot();
    return app === undefined ? loadApp().then((ready) => ready.answer(call, ready.hostDoor)) : app.answer(call, app.hostDoor);
  }

  function loadApp(): Promise<App> {
    loading ??= (async () => {
      const { createApp } = await import("./app.ts");
      config ??= await loadConfig(flags, log);
      config.onChange((current) => log.setLevel(current.logLevel));
      app = await createApp({ config, env: process.env, listener, health, control: lifecycle, log });
      if (loaded.http !== undefined) app.readiness.limitBy(() => http?.capacity());
      if (meter !== undefined) app.meter.connect(meter);
      return app;
    })();
    // The next request tries again.
    loading.catch(() => {
      loading = undefined;
    });
    return loading;
  }
}

/** Without a file, STEERABLE_ variables and a listener the defaults and flags hold, and no schema is needed to know them. */
function needsConfigFirst(flags: Flags): boolean {
  return flags.config !== undefined || flags.http !== undefined || Object.keys(process.env).some((name) => name.startsWith("STEERABLE_"));
}

/** Rejects with an error whose message is for the user. */
async function loadSettings(flags: Flags, log: Log): Promise<Loaded> {
  const config = await loadConfig(flags, log);
  if (flags.http === undefined && !config.current.api.enabled) return { config };
  const { httpSettings } = await import("./listeners/http/settings.ts");
  const http = httpSettings(flags.http, config.current.api, process.env);
  return http === undefined ? { config } : { config, http };
}

async function loadConfig(flags: Flags, log: Log): Promise<ConfigService> {
  const { loadConfig: load } = await import("./runtime/config.ts");
  const config = await load({ flags, env: process.env, cwd: process.cwd() });
  log.setLevel(config.current.logLevel);
  for (const warning of config.warnings) log.warn({}, warning);
  return config;
}

async function hashKey(args: readonly string[]): Promise<number> {
  const { hashKey: run } = await import("./listeners/http/hash-key.ts");
  return run(args, { stdin: process.stdin, stdout: process.stdout, stderr: process.stderr });
}

/** What a host is told about where we listen. */
function listenInfo(http: HttpListener | undefined): object {
  const { url, token } = http ?? {};
  return { transport: "stdio", ...(url === undefined ? {} : { http: { url, ...(token === undefined ? {} : { token }) } }) };
}

/** For whoever has started us without a pipe: the only place where a token that was made for this run is told. */
function announce({ url, token }: HttpListener): void {
  process.stderr.write(`steerable-sidecar: listening on ${url}${token === undefined ? "" : ` with the token ${token}`}\n`);
}

/** The process cannot serve: one line says why. */
function giveUp(error: unknown): void {
  const { name, message } = error instanceof Error ? error : new Error("the start has failed");
  // By name: their classes are not loaded here.
  const code = name === "ConfigError" || name === "SettingsError" ? BAD_SETTINGS : CANNOT_START;
  process.stderr.write(`steerable-sidecar: ${message.split("\n", 1)[0]}\n`, () => process.exit(code));
}
