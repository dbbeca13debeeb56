import { type ChildProcessByStdio, spawn } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import { devNull } from "node:os";
import type { Readable, Writable } from "node:stream";
import type { Program } from "./custody.ts";

export type Spawned = ChildProcessByStdio<Writable, Readable, Readable> & { pid: number };

/** Starts a program in a session of its own, with pipes. Rejects with the error of the system, and leaves nothing behind then. */
export function spawnProgram(program: Program, marks: Readonly<Record<string, string>>): Promise<Spawned> {
  return new Promise((resolve, reject) => {
    refuseWithoutDescriptors();
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
      // There are none when the whole machine has no descriptors left.
      for (const stream of [child.stdin, child.stdout, child.stderr]) (stream as Readable | undefined)?.destroy();
      reject(error);
    });
  });
}

/**
 * Throws `EMFILE` when there are too few descriptors for a start. Where it is one of the last that cannot
 * be had, Node loses those of the streams for good.
 */
export function refuseWithoutDescriptors(): void {
  // Windows has no such limit.
  if (process.platform === "win32") return;
  const held: number[] = [];
  try {
    while (held.length < DESCRIPTORS) held.push(openSync(devNull, "r"));
  } finally {
    for (const descriptor of held) closeSync(descriptor);
  }
}

/** Three pairs for the streams, one that tells whether the program was found, and some that the child moves out of its way. */
const DESCRIPTORS = 12;

function isStarted(child: ChildProcessByStdio<Writable, Readable, Readable>): child is Spawned {
  return child.pid !== undefined;
}
