import type { Custody, Program, ProgramExit } from "../../custody/custody.ts";
import { atMost } from "../waiting.ts";
import { Capture, type Captured, type Keep } from "./capture.ts";
import { startFailure } from "./failures.ts";

export interface RunOptions {
  custody: Custody;
  program: Program;
  /** All that the program can read from its stdin. */
  input: string;
  /** When aborted, the program is ended. */
  signal: AbortSignal;
  /** Milliseconds after which it is ended as well. */
  timeoutMs?: number | undefined;
  keep: { stdout: Keep; stderr: Keep };
}

export interface Ran {
  /** How the program ended by itself; else why it was ended. */
  exit: ProgramExit | "aborted" | "late";
  stdout: Captured;
  stderr: Captured;
}

/**
 * Runs a program to its end, and ends whatever it leaves running. Rejects with a `ToolFailure`
 * when it cannot be started, with the reason of the signal when that comes first; nothing of it is left
 * when this settles.
 */
export async function runProgram({ custody, program, input, signal, timeoutMs, keep }: RunOptions): Promise<Ran> {
  signal.throwIfAborted();
  const ward = await custody.start(program, signal).catch(async (error: unknown) => {
    signal.throwIfAborted();
    throw await startFailure(error, program);
  });
  const stdout = new Capture(ward.stdout, keep.stdout);
  const stderr = new Capture(ward.stderr, keep.stderr);
  ward.stdin.end(input);
  const exit = await first(ward.exited, signal, timeoutMs);
  // What was printed is in the pipes by now, but a process that was left behind may keep them open.
  if (typeof exit !== "string") await atMost(Promise.all([stdout.over, stderr.over]), LAST_OUTPUT_MS);
  await ward.end();
  return { exit, stdout: stdout.text, stderr: stderr.text };
}

/** How long output may take to arrive once the program has exited. Milliseconds. */
const LAST_OUTPUT_MS = 250;

function first(exited: Promise<ProgramExit>, signal: AbortSignal, timeoutMs: number | undefined): Promise<ProgramExit | "aborted" | "late"> {
  return new Promise((resolve) => {
    const settle = (exit: ProgramExit | "aborted" | "late"): void => {
      signal.removeEventListener("abort", abort);
      clearTimeout(timer);
      resolve(exit);
    };
    const abort = (): void => settle("aborted");
    const timer = timeoutMs === undefined ? undefined : setTimeout(() => settle("late"), timeoutMs);
    signal.addEventListener("abort", abort, { once: true });
    if (signal.aborted) abort();
    void exited.then(settle);
  });
}
