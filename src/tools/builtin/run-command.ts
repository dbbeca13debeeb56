import { stat } from "node:fs/promises";
import nodePath from "node:path";
import type { Custody, Program } from "../../custody/custody.ts";
import { assessCommand } from "../commands/assess.ts";
import type { Captured } from "../program/capture.ts";
import { chosen } from "../program/environment.ts";
import { lastOf } from "../program/failures.ts";
import { type Ran, runProgram } from "../program/run.ts";
import { type Tool, ToolFailure } from "../tool.ts";
import { quoted } from "./failures.ts";
import { locate, openRoots } from "./roots.ts";

/** Bytes of stdout and of stderr that a result holds at most, half of them from the end: errors come last. */
export const MOST_BYTES = 256 * 1024;

/** What `run_command` returns; an exit code other than 0 is not a failure of the tool. */
export interface CommandOutcome {
  /** Null when a signal has ended it. */
  exitCode: number | null;
  signal?: string;
  stdout: string;
  stderr: string;
  /** True when bytes are missing in the middle of stdout or stderr; a note stands there. */
  truncated?: boolean;
  /** How many. */
  cutBytes?: number;
}

export interface RunCommandOptions {
  /** Folders that commands may start in. They are no cage: a command can do whatever the user can. */
  roots: readonly string[];
  custody: Custody;
  /** Where the few variables come from that a command sees. */
  env: NodeJS.ProcessEnv;
}

/** `run_command {command, cwd?, timeoutMs?}`: a line for the shell. */
export function runCommand({ roots, custody, env }: RunCommandOptions): Tool {
  return {
    name: "run_command",
    description:
      "Runs a command line in the shell (sh; cmd on Windows) and returns its exit code and output. It cannot be typed to, and whatever it leaves running is ended when it exits.",
    mode: "other",
    parameters: {
      type: "object",
      properties: {
        command: { type: "string", minLength: 1, description: "The command line." },
        cwd: { type: "string", minLength: 1, description: "Folder to run it in, relative to the workspace; the workspace itself when left out." },
        timeoutMs: { type: "integer", minimum: 1, maximum: 2_147_483_647, description: "Milliseconds after which it is ended." },
      },
      required: ["command"],
      additionalProperties: false,
    },
    assess: (args) => assessCommand(String(args["command"])),
    async run(args, { signal, callId, sessionId }) {
      const { command, cwd, timeoutMs } = args as { command: string; cwd?: string; timeoutMs?: number };
      if (command.includes("\0")) throw new ToolFailure("The command must not contain a NUL character", "invalid_params");
      const folder = await folderFor(cwd, roots);
      const program: Program = { ...shellFor(command, env), cwd: folder, env: environment(env), kind: "tool", name: "run_command", callId, sessionId };
      const ran = await runProgram({ custody, program, input: "", signal, timeoutMs, keep: KEEP });
      return outcomeOf(ran, timeoutMs);
    },
  };
}

const KEEP_HALVES = { head: MOST_BYTES / 2, tail: MOST_BYTES / 2 };
const KEEP = { stdout: KEEP_HALVES, stderr: KEEP_HALVES };
/** Characters of stdout and of stderr in the message about a timeout. */
const MOST_SHOWN = 2000;

/** What a command gets to see: no keys. Windows adds by itself what programs cannot run without. */
const NAMES = ["PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "USER", "SHELL"];
const WINDOWS_NAMES = ["PATHEXT", "ComSpec", "APPDATA", "LOCALAPPDATA", "ProgramData", "ProgramFiles", "ProgramFiles(x86)", "TEMP", "TMP"];

function environment(env: NodeJS.ProcessEnv): Record<string, string> {
  // No colours and no cursor: nobody looks at a terminal.
  return { ...chosen(process.platform === "win32" ? [...NAMES, ...WINDOWS_NAMES] : NAMES, env), TERM: "dumb" };
}

function shellFor(command: string, env: NodeJS.ProcessEnv): Pick<Program, "command" | "args" | "verbatim"> {
  if (process.platform !== "win32") return { command: "/bin/sh", args: ["-c", command] };
  return { command: env["ComSpec"] ?? "cmd.exe", args: ["/d", "/s", "/c", `"${command}"`], verbatim: true };
}

async function folderFor(cwd: string | undefined, roots: readonly string[]): Promise<string> {
  const places = await openRoots(cwd === undefined ? roots.slice(0, 1) : roots);
  if (cwd === undefined) return nodePath.join(...(places[0]?.real ?? []));
  const folder = await locate(cwd, places);
  // Gone since: the start will fail.
  if ((await stat(folder).catch(() => undefined))?.isDirectory() === false) throw new ToolFailure(`This is not a directory: ${quoted(cwd)}`);
  return folder;
}

function outcomeOf({ exit, stdout, stderr }: Ran, timeoutMs: number | undefined): CommandOutcome {
  if (exit === "aborted") throw new ToolFailure("The command was ended before it was done", "cancelled");
  if (exit === "late") throw new ToolFailure(timeoutText(timeoutMs, stdout, stderr), "timeout");
  const cutBytes = stdout.cutBytes + stderr.cutBytes;
  return {
    exitCode: exit.code,
    ...(exit.signal === null ? {} : { signal: exit.signal }),
    stdout: shown(stdout),
    stderr: shown(stderr),
    ...(cutBytes === 0 ? {} : { truncated: true, cutBytes }),
  };
}

function shown({ head, tail, cutBytes }: Captured): string {
  return cutBytes === 0 ? head : `${head}\n[… ${cutBytes} bytes left out …]\n${tail}`;
}

function timeoutText(timeoutMs: number | undefined, stdout: Captured, stderr: Captured): string {
  const parts = Object.entries({ stdout, stderr }).flatMap(([name, output]) => {
    const text = lastOf(output.head + output.tail, MOST_SHOWN);
    return text === "" ? [] : [`\n${name}: ${text}`];
  });
  return `The command was ended: it did not finish within ${timeoutMs} ms${parts.join("")}`;
}
