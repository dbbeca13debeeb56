import { constants } from "node:fs";
import { access, stat } from "node:fs/promises";
import nodePath from "node:path";
import type { Custody, Program } from "../../custody/custody.ts";
import type { Log } from "../../log.ts";
import { chosen } from "../../tools/program/environment.ts";
import { type Ran, runProgram } from "../../tools/program/run.ts";
import { within } from "../../tools/waiting.ts";

export interface ProgramsOptions {
  custody: Custody;
  env: NodeJS.ProcessEnv;
  log: Log;
  /** Milliseconds that a program may take, its start included. */
  timeoutMs: number;
}

export interface Question {
  /** As `find` has found it. */
  command: string;
  args: readonly string[];
  /** Working directory; that of the sidecar when left out. */
  cwd?: string;
  /** Of its answer; what is longer is cut. */
  mostBytes: number;
}

/** What a program gets to see: no keys. */
const VARIABLES = ["PATH", "HOME", "LANG"];

/** Programs of the container that tell something about it. */
export class Programs {
  readonly #custody: Custody;
  readonly #env: NodeJS.ProcessEnv;
  readonly #log: Log;
  readonly #timeoutMs: number;

  constructor({ custody, env, log, timeoutMs }: ProgramsOptions) {
    this.#custody = custody;
    this.#env = env;
    this.#log = log;
    this.#timeoutMs = timeoutMs;
  }

  /** The first program of this name on PATH that may be run. */
  async find(name: string): Promise<string | undefined> {
    const file = process.platform === "win32" ? `${name}.exe` : name;
    // What a relative folder is depends on who looks.
    const folders = (this.#env["PATH"] ?? "").split(nodePath.delimiter).filter((folder) => nodePath.isAbsolute(folder));
    for (const folder of folders) {
      const path = nodePath.join(folder, file);
      if (await isProgram(path)) return path;
    }
    return undefined;
  }

  /**
   * What a program prints, if it exits with 0 in time; undefined otherwise, at once when the time is over.
   * It is ended then, with all that it has started.
   */
  async ask({ command, args, cwd, mostBytes }: Question): Promise<string | undefined> {
    const name = nodePath.basename(command);
    const program: Program = { command, args, cwd, env: chosen(VARIABLES, this.#env), kind: "probe", name };
    const signal = AbortSignal.timeout(this.#timeoutMs);
    const keep = { stdout: { head: mostBytes, tail: 0 }, stderr: { head: 0, tail: 0 } };
    const running = runProgram({ custody: this.#custody, program, input: "", signal, keep }).then(answerOf, startProblem);
    // It is over for us when the time is; ending the program takes a while longer.
    const answer = await within<Answer>(running, this.#timeoutMs, TOO_LATE);
    if ("text" in answer) return answer.text;
    this.#log.debug({ program: name, reason: answer.problem }, "a program did not tell what system.status asked it");
    return undefined;
  }
}

type Answer = { text: string } | { problem: string };

const TOO_LATE = { problem: "it took too long" };

async function isProgram(path: string): Promise<boolean> {
  try {
    await access(path, constants.X_OK);
    return (await stat(path)).isFile();
  } catch {
    // Not there, or not for us.
    return false;
  }
}

function answerOf({ exit, stdout }: Ran): Answer {
  if (typeof exit === "string") return TOO_LATE;
  return exit.code === 0 ? { text: stdout.head } : { problem: `it ended with ${exit.signal ?? exit.code}` };
}

function startProblem(error: unknown): Answer {
  return { problem: error instanceof Error ? error.message : "it could not be started" };
}
