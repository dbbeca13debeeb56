import type { ProcessTool } from "../contract/config.ts";
import type { Custody, Program, ProgramExit } from "../custody/custody.ts";
import { chosen } from "./program/environment.ts";
import { lastOf } from "./program/failures.ts";
import { type Ran, runProgram } from "./program/run.ts";
import { modeOf, type Tool, ToolFailure } from "./tool.ts";

/** Bytes of stdout that a result holds at most. */
export const MOST_BYTES = 1024 * 1024;

/**
 * A program as a tool. Each call runs it once: the arguments come as JSON on its stdin, and what it
 * prints is the result, JSON or text. An exit code other than 0 is a failure, with the end of stderr.
 * Of the variables in `env` it sees those that the configuration names.
 */
export function processTool(config: ProcessTool, custody: Custody, env: NodeJS.ProcessEnv): Tool {
  const [command = "", ...args] = config.command;
  return {
    name: config.name,
    description: config.description,
    parameters: config.parameters,
    mode: config.mode ?? modeOf(config.name),
    timeoutMs: config.timeoutMs,
    async run(callArgs, { signal, callId, sessionId }) {
      const program: Program = { command, args, cwd: config.cwd, env: chosen(config.env, env), kind: "tool", name: config.name, callId, sessionId };
      const ran = await runProgram({ custody, program, input: JSON.stringify(callArgs), signal, keep: KEEP });
      return resultOf(ran);
    },
  };
}

/** Of stderr, only the end is ever shown. */
const KEEP = { stdout: { head: MOST_BYTES, tail: 0 }, stderr: { head: 0, tail: 16 * 1024 } };
/** Characters of stderr in a failure. */
const MOST_STDERR = 2000;

function resultOf({ exit, stdout, stderr }: Ran): unknown {
  if (typeof exit === "string") throw new ToolFailure("The program was ended before it was done", exit === "late" ? "timeout" : "cancelled");
  if (exit.code !== 0) throw new ToolFailure(failureText(exit, lastOf(stderr.head + stderr.tail, MOST_STDERR)));
  if (stdout.cutBytes > 0) return { text: stdout.head, truncated: true, cutBytes: stdout.cutBytes };
  try {
    return JSON.parse(stdout.head);
  } catch {
    // Text, then.
    return { text: stdout.head.replace(/\r?\n$/, "") };
  }
}

function failureText({ code, signal }: ProgramExit, stderr: string): string {
  const how = signal === null ? `exited with code ${code}` : `was ended by ${signal}`;
  return `The program ${how}${stderr === "" ? "" : `: ${stderr}`}`;
}
