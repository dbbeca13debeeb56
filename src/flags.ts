import { help } from "./flags/help.ts";
import { type HttpFlags, httpReaders, httpSwitches, joinHttp, type SaidOfHttp } from "./flags/http.ts";
import { BadFlag, shown } from "./flags/values.ts";
import { LOG_LEVELS, type LogLevel } from "./log.ts";
import { nearest } from "./nearest.ts";
import { VERSION } from "./version.ts";

export type { HttpFlags };

/** What the command line said; what it did not say is absent. */
export interface Flags {
  logLevel?: LogLevel;
  /** Skip the ready marker on stderr. */
  quietReady: boolean;
  /** As typed: relative to the working directory, or `:memory:`. */
  storagePath?: string;
  /** Configuration file, as typed. */
  config?: string;
  /** Absent where no flag is about the HTTP listener. */
  http?: HttpFlags;
}

/** The process has nothing to serve: it prints what is here and ends with `code`. Texts end in a newline. */
export interface FlagsExit {
  exit: { code: number; stdout?: string; stderr?: string };
}

/** Something else than the sidecar is to run; it reads its arguments itself. */
export interface Subcommand {
  subcommand: "hash-key";
  args: readonly string[];
}

/**
 * Reads the command line (without node and script). Left to right: the last of two equal flags wins,
 * and `--help` or `--version` count only when what precedes them is right. A bad command line ends
 * with exit code 2 and one line for stderr, as argparse does it.
 */
export function parseFlags(argv: readonly string[]): Flags | FlagsExit | Subcommand {
  if (argv[0] === "hash-key") return { subcommand: "hash-key", args: argv.slice(1) };
  try {
    return read(argv);
  } catch (error) {
    if (!(error instanceof BadFlag)) throw error;
    return { exit: { code: 2, stderr: `steerable-sidecar: ${error.message}\n` } };
  }
}

function read(argv: readonly string[]): Flags | FlagsExit {
  const flags: Flags = { quietReady: false };
  const http: SaidOfHttp = {};
  for (let at = 0; at < argv.length; at++) {
    const argument = argv[at] ?? "";
    if (!argument.startsWith("-") || argument === "-" || argument === "--") throw new BadFlag(`unexpected argument ${shown(argument)} (try --help)`);
    const equals = argument.indexOf("=");
    const name = equals === -1 ? argument : argument.slice(0, equals);
    const attached = equals === -1 ? undefined : argument.slice(equals + 1);

    const isSwitch = switches.includes(name);
    if (!isSwitch && !takers.includes(name)) {
      const close = nearest(
        name,
        [...switches, ...takers].filter((known) => known !== "-h"),
      );
      throw new BadFlag(`unknown flag ${shown(name)} (${close === undefined ? "try --help" : `did you mean ${close}? Try --help`})`);
    }
    if (isSwitch) {
      if (attached !== undefined) throw new BadFlag(`${name} takes no value`);
      if (name === "--version") return { exit: { code: 0, stdout: `steerable-sidecar ${VERSION}\n` } };
      if (name === "-h" || name === "--help") return { exit: { code: 0, stdout: help } };
      if (name === "--quiet-ready") flags.quietReady = true;
      else httpSwitches[name]?.(http);
      continue;
    }

    // What looks like a flag is one: a file whose name starts with a dash is given as --config=-name.
    const next = argv[at + 1];
    const value = attached ?? (next?.startsWith("-") ? undefined : next);
    if (value === undefined || value === "") throw new BadFlag(`${name} needs a value (try --help)`);
    if (attached === undefined) at++;
    if (name === "--config") flags.config = value;
    else if (name === "--storage-path") flags.storagePath = value;
    else if (name === "--log-level") flags.logLevel = readLevel(value);
    else httpReaders[name]?.(value, http);
  }
  const joined = joinHttp(http);
  return joined === undefined ? flags : { ...flags, http: joined };
}

const switches = ["-h", "--help", "--version", "--quiet-ready", ...Object.keys(httpSwitches)];
/** Those that take a value. */
const takers = ["--log-level", "--storage-path", "--config", ...Object.keys(httpReaders)];

function readLevel(value: string): LogLevel {
  const level = LOG_LEVELS.find((candidate) => candidate === value.toUpperCase());
  if (level === undefined) throw new BadFlag(`--log-level must be one of ${LOG_LEVELS.join(", ")}, not ${shown(value)}`);
  return level;
}
