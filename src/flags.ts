import { LOG_LEVELS, type LogLevel } from "./log.ts";
import { nearest } from "./nearest.ts";
import { redactText } from "./redact.ts";
import { VERSION } from "./version.ts";

/** What the command line said; what it did not say is absent. */
export interface Flags {
  logLevel?: LogLevel;
  /** Skip the ready marker on stderr. */
  quietReady: boolean;
  /** As typed: relative to the working directory, or `:memory:`. */
  storagePath?: string;
  /** Configuration file, as typed. */
  config?: string;
}

/** The process has nothing to serve: it prints what is here and ends with `code`. Texts end in a newline. */
export interface FlagsExit {
  exit: { code: number; stdout?: string; stderr?: string };
}

/**
 * Reads the command line (without node and script). Left to right: the last of two equal flags wins,
 * and `--help` or `--version` count only when what precedes them is right. A bad command line ends
 * with exit code 2 and one line for stderr, as argparse does it.
 */
export function parseFlags(argv: readonly string[]): Flags | FlagsExit {
  const flags: Flags = { quietReady: false };
  for (let at = 0; at < argv.length; at++) {
    const argument = argv[at] ?? "";
    if (!argument.startsWith("-") || argument === "-" || argument === "--") return usageError(`unexpected argument ${shown(argument)} (try --help)`);
    const equals = argument.indexOf("=");
    const name = equals === -1 ? argument : argument.slice(0, equals);
    const attached = equals === -1 ? undefined : argument.slice(equals + 1);

    if (name === "-h" || name === "--help" || name === "--version" || name === "--quiet-ready") {
      if (attached !== undefined) return usageError(`${name} takes no value`);
      if (name === "--quiet-ready") flags.quietReady = true;
      else return { exit: { code: 0, stdout: name === "--version" ? `steerable-sidecar ${VERSION}\n` : help } };
      continue;
    }
    if (name !== "--log-level" && name !== "--storage-path" && name !== "--config") {
      const close = nearest(name, known);
      return usageError(`unknown flag ${shown(name)} (${close === undefined ? "try --help" : `did you mean ${close}? Try --help`})`);
    }

    // What looks like a flag is one: a file whose name starts with a dash is given as --config=-name.
    const next = argv[at + 1];
    const value = attached ?? (next?.startsWith("-") ? undefined : next);
    if (value === undefined || value === "") return usageError(`${name} needs a value (try --help)`);
    if (attached === undefined) at++;
    if (name === "--config") flags.config = value;
    else if (name === "--storage-path") flags.storagePath = value;
    else {
      const level = LOG_LEVELS.find((candidate) => candidate === value.toUpperCase());
      if (level === undefined) return usageError(`--log-level must be one of ${LOG_LEVELS.join(", ")}, not ${shown(value)}`);
      flags.logLevel = level;
    }
  }
  return flags;
}

const known = ["--help", "--version", "--log-level", "--quiet-ready", "--storage-path", "--config"];

const help = `usage: steerable-sidecar [-h] [--version] [--log-level {${LOG_LEVELS.join(",")}}]
                         [--quiet-ready] [--storage-path FILE|:memory:]
                         [--config FILE]

An agent runtime that speaks JSON-RPC 2.0 on stdin and stdout, one object per line.

options:
  -h, --help                Show help and exit.
  --version                 Show the version and exit.
  --log-level {${LOG_LEVELS.join(",")}}
                            Sidecar log level (always logged on stderr).
                            Default: INFO.
  --quiet-ready             Skip the __SIDECAR_READY__ stderr marker.
                            (Useful for embedded supervisors that prefer to
                            key off the \`lifecycle.ready\` stdout notification.)
                            Default: the marker is written.
  --storage-path FILE|:memory:
                            Session database. \`:memory:\` keeps nothing.
                            Default: steerable-sidecar/sidecar.db in the
                            per-user data directory of the platform.
  --config FILE             Configuration in YAML. STEERABLE_* variables
                            override it, and flags override both.
                            Default: none.
`;

function usageError(message: string): FlagsExit {
  return { exit: { code: 2, stderr: `steerable-sidecar: ${message}\n` } };
}

/** An argument as it may be shown: on one line, not too long, without a secret. */
function shown(argument: string): string {
  const text = redactText(argument).replace(/[\p{C}\p{Zl}\p{Zp}]/gu, "?");
  return text === "" ? '""' : text.length > 80 ? `${text.slice(0, 77)}...` : text;
}
