import { hostname } from "node:os";
import type { ContainerStatus } from "../contract/status.ts";
import type { Custody } from "../custody/custody.ts";
import { hasProc } from "../custody/proc.ts";
import type { Log } from "../log.ts";
import { until, within } from "../tools/waiting.ts";
import { type AgentCli, findAgentCli, NO_AGENT_CLI } from "./status/agent-cli.ts";
import { Cached } from "./status/cached.ts";
import { type CredentialFiles, findCredentials, NO_CREDENTIALS } from "./status/credentials.ts";
import { type Cstack, countTasks, NO_CSTACK } from "./status/cstack.ts";
import { figuresOf, ownFigures } from "./status/figures.ts";
import { Programs } from "./status/programs.ts";

export interface StatusReportParts {
  env: NodeJS.ProcessEnv;
  custody: Custody;
  /** Milliseconds, for the age of what is kept. Never goes back. */
  now(): number;
  log: Log;
  /** Where process figures are read; undefined where the system has no such place. */
  proc?: string | undefined;
  /** Milliseconds that one program may take, its start included. */
  programMs?: number;
  /** Milliseconds that a report may take. */
  reportMs?: number;
}

const DEFAULT_WORKSPACE = "/home/claude/workspace";
/** A program that hangs is given up before the report is, so that its part says that it did not answer. */
const PROGRAM_MS = 1800;
const REPORT_MS = 2000;
const CSTACK_MS = 5000;
const CREDENTIALS_MS = 30_000;
/** Until a CLI that was not there, or did not answer, is looked for again. */
const AGENT_CLI_RETRY_MS = 30_000;

/** The container's report of itself. Nothing is looked for before the first one. */
export class StatusReport {
  readonly #name: string;
  readonly #workspace: string;
  readonly #proc: string | undefined;
  readonly #reportMs: number;
  readonly #agentCli: Cached<AgentCli>;
  readonly #cstack: Cached<Cstack>;
  readonly #credentials: Cached<CredentialFiles>;

  constructor(parts: StatusReportParts) {
    const { env, custody, now, log, programMs = PROGRAM_MS, reportMs = REPORT_MS } = parts;
    const programs = new Programs({ custody, env, log, timeoutMs: programMs });
    const workspace = env["WORKSPACE_PATH"] || DEFAULT_WORKSPACE;
    this.#name = env["SLEEVE_NAME"] || hostname();
    this.#workspace = workspace;
    this.#proc = "proc" in parts ? parts.proc : hasProc() ? "/proc" : undefined;
    this.#reportMs = reportMs;
    this.#agentCli = new Cached(
      () => findAgentCli(programs),
      (found) => (found.isSure ? Number.POSITIVE_INFINITY : AGENT_CLI_RETRY_MS),
      now,
    );
    this.#cstack = new Cached(
      () => countTasks(workspace, programs),
      () => CSTACK_MS,
      now,
    );
    this.#credentials = new Cached(
      () => findCredentials(env),
      () => CREDENTIALS_MS,
      now,
    );
  }

  /**
   * Never takes longer than `reportMs`: what is not known by then counts as absent. Rejects only with the
   * reason of `signal`; what was begun by then is of use to the next who asks.
   */
  report(signal: AbortSignal): Promise<ContainerStatus> {
    return until(this.#report(), signal);
  }

  async #report(): Promise<ContainerStatus> {
    const [{ name, version }, cstack, auth] = await Promise.all([
      within(this.#agentCli.get(), this.#reportMs, NO_AGENT_CLI),
      within(this.#cstack.get(), this.#reportMs, NO_CSTACK),
      within(this.#credentials.get(), this.#reportMs, NO_CREDENTIALS),
    ]);
    const sidecar = ownFigures();
    return {
      sleeve_name: this.#name,
      dhf: { name, version },
      workspace: { path: this.#workspace, cstack },
      process: (this.#proc === undefined ? undefined : figuresOf(1, this.#proc)) ?? sidecar,
      sidecar,
      auth,
    };
  }
}
