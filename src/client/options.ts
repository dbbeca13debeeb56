import type { LogLevel } from "../contract/defaults.ts";
import type { NotificationParams } from "../contract/index.ts";
import { positive } from "./deadline.ts";
import type { HostOptions } from "./host.ts";
import { ownProgram } from "./program.ts";

/** All times are milliseconds. */
export interface SpawnOptions extends HostOptions {
  /** Program to run. Left out: the sidecar of this package, run by the Node (or Electron) that runs the host. */
  command?: string | undefined;
  /** Arguments that come before those made from the options below. */
  args?: readonly string[] | undefined;
  /** Set in the sidecar's environment on top of the host's; undefined takes a variable away. */
  env?: Readonly<Record<string, string | undefined>> | undefined;
  cwd?: string | undefined;
  /** Database file, or `:memory:`. Left out: the platform's per-user data directory. */
  storagePath?: string | undefined;
  /** Path of a YAML configuration file. */
  config?: string | undefined;
  logLevel?: LogLevel | undefined;
  /** Deadline of a start; 15,000 when left out. */
  readyTimeoutMs?: number | undefined;
  /** Gets every line of the sidecar's stderr but the ready marker, also before it is ready. */
  onLog?: ((line: string) => void) | undefined;
  /** Gets what a stream is waiting for, whenever that changes and every 10 seconds while it does not. */
  onStatus?: ((status: NotificationParams<"stream.status">) => void) | undefined;
  /** `false`: no pings. */
  health?: HealthOptions | false | undefined;
  /** `false`: a sidecar that ends stays ended. */
  restart?: RestartOptions | false | undefined;
  stop?: StopOptions | undefined;
}

export interface HealthOptions {
  /** Between two pings; 5,000 when left out. */
  intervalMs?: number | undefined;
  /** Pings in a row without a reply before the sidecar is killed; 3 when left out. */
  misses?: number | undefined;
  /** How long a ping waits for its reply; `intervalMs` when left out. */
  timeoutMs?: number | undefined;
}

export interface RestartOptions {
  /** Delay before the first restart, doubled for each one that follows; 250 when left out. */
  baseDelayMs?: number | undefined;
  /** 30,000 when left out. */
  maxDelayMs?: number | undefined;
  /** Restarts in a row before the client gives up; without end when left out. */
  maxRestarts?: number | undefined;
  /** A sidecar that was up this long begins anew with `baseDelayMs`; 60,000 when left out. */
  resetAfterMs?: number | undefined;
}

/** How long `stop` waits for the sidecar to exit after each step. */
export interface StopOptions {
  /** After `system.shutdown`; 7,000 when left out, because a drain takes up to `gracePeriodSeconds` (5). */
  shutdownMs?: number | undefined;
  /** After its stdin was closed; 2,000 when left out. */
  eofMs?: number | undefined;
  /** After SIGTERM; 2,000 when left out. */
  sigtermMs?: number | undefined;
  /** After SIGKILL; 5,000 when left out. */
  sigkillMs?: number | undefined;
}

/** What to start, settled. */
export interface Launch {
  command: string;
  args: readonly string[];
  env: NodeJS.ProcessEnv;
  cwd: string | undefined;
  readyTimeoutMs: number;
}

export type HealthPolicy = { [K in keyof HealthOptions]-?: number };
type RestartPolicy = { [K in keyof RestartOptions]-?: number };
export type StopDeadlines = { [K in keyof StopOptions]-?: number };

export interface Settings {
  launch: Launch;
  health: HealthPolicy | undefined;
  restart: RestartPolicy | undefined;
  stop: StopDeadlines;
}

/** The options with every default filled in. Throws a RangeError that names what is out of range. */
export function settle(options: SpawnOptions): Settings {
  const { health = {}, restart = {}, stop = {} } = options;
  return {
    launch: launch(options),
    health: health === false ? undefined : healthPolicy(health),
    restart: restart === false ? undefined : restartPolicy(restart),
    stop: {
      shutdownMs: notNegative("stop.shutdownMs", stop.shutdownMs, 7_000),
      eofMs: notNegative("stop.eofMs", stop.eofMs, 2_000),
      sigtermMs: notNegative("stop.sigtermMs", stop.sigtermMs, 2_000),
      sigkillMs: notNegative("stop.sigkillMs", stop.sigkillMs, 5_000),
    },
  };
}

function healthPolicy(health: HealthOptions): HealthPolicy {
  const intervalMs = positive("health.intervalMs", health.intervalMs, 5_000);
  return {
    intervalMs,
    misses: positive("health.misses", health.misses, 3),
    timeoutMs: positive("health.timeoutMs", health.timeoutMs, intervalMs),
  };
}

function restartPolicy(restart: RestartOptions): RestartPolicy {
  const baseDelayMs = positive("restart.baseDelayMs", restart.baseDelayMs, 250);
  return {
    baseDelayMs,
    maxDelayMs: positive("restart.maxDelayMs", restart.maxDelayMs, Math.max(30_000, baseDelayMs)),
    maxRestarts: notNegative("restart.maxRestarts", restart.maxRestarts, Number.POSITIVE_INFINITY),
    resetAfterMs: notNegative("restart.resetAfterMs", restart.resetAfterMs, 60_000),
  };
}

function notNegative(name: string, value: number | undefined, fallback: number): number {
  return value === 0 ? 0 : positive(name, value, fallback);
}

function launch(options: SpawnOptions): Launch {
  const { command = process.execPath, args = [], env, cwd, storagePath, config, logLevel } = options;
  return {
    command,
    args: [
      ...(options.command === undefined ? [ownProgram()] : []),
      ...args,
      ...(storagePath === undefined ? [] : ["--storage-path", storagePath]),
      ...(config === undefined ? [] : ["--config", config]),
      ...(logLevel === undefined ? [] : ["--log-level", logLevel]),
    ],
    // Electron's own binary runs a script as Node does only when it is told so.
    env: { ...process.env, ...(command === process.execPath && "electron" in process.versions ? { ELECTRON_RUN_AS_NODE: "1" } : {}), ...env },
    cwd,
    readyTimeoutMs: positive("readyTimeoutMs", options.readyTimeoutMs, 15_000),
  };
}
