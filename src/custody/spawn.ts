import { type ChildProcessByStdio, spawn } from "node:child_process";
import type { Readable, Writable } from "node:stream";
import type { Program } from "./custody.ts";

export type Spawned = ChildProcessByStdio<Writable, Readable, Readable> & { pid: number };

/** Starts a program in a session of its own, with pipes. Rejects with the error of the system, and leaves nothing behind then. */
export function spawnProgram(program: Program, marks: Readonly<Record<string, string>>): Promise<Spawned> {
  return new Promise((resolve, reject) => {
    // Throws by itself for what the system refuses at once, such as too long a list of arguments.
    const child = spawn(program.command, program.args, {
      ...(program.cwd === undefined ? {} : { cwd: program.cwd }),
      env: { ...program.env, ...marks },
      stdio: ["pipe", "pipe", "pipe"],
      // Windows has no sessions; there, a program on its own would get a console window.
      detached: process.platform !== "win32",
      windowsHide: true,
      windowsVerbatimArguments: program.verbatim === true,
    });
    if (isStarted(child)) {
      // Whoever writes to a program that reads no more hears of it by its exit.
      for (const stream of [child.stdin, child.stdout, child.stderr]) stream.on("error", () => undefined);
      resolve(child);
      return;
    }
    child.once("error", (error) => {
      // There are none when there were too few descriptors even for them.
      for (const stream of [child.stdin, child.stdout, child.stderr]) (stream as Readable | undefined)?.destroy();
      reject(error);
    });
  });
}

function isStarted(child: ChildProcessByStdio<Writable, Readable, Readable>): child is Spawned {
  return child.pid !== undefined;
}
