import fs from "node:fs";
import type { Readable } from "node:stream";
import type { ByteSink } from "../rpc/writer.ts";

/**
 * Takes stdin and stdout for the protocol. From here on whatever a dependency prints, by
 * `console.log`, `process.stdout` or a write to file descriptor 1, lands on stderr: one stray line
 * would break the frame stream of every host.
 */
export function claimStdio(): { input: Readable; output: ByteSink; onOutputError(listener: () => void): void } {
  const stdout = process.stdout;
  const output = stdout.write.bind(stdout) as ByteSink["write"];
  const { stderr } = process;
  stdout.write = stderr.write.bind(stderr) as typeof stdout.write;
  Object.defineProperty(process, "stdout", { configurable: true, enumerable: true, get: () => stderr });
  redirectDescriptor();
  return { input: process.stdin, output: { write: output }, onOutputError: (listener) => void stdout.on("error", listener) };
}

const STDOUT = 1;
const STDERR = 2;

/** Loggers that bypass the streams write to the descriptor. */
function redirectDescriptor(): void {
  const redirect = <F extends (fd: number, ...rest: never[]) => unknown>(write: F): F =>
    function (this: unknown, fd: number, ...rest: never[]) {
      return write.call(this, fd === STDOUT ? STDERR : fd, ...rest);
    } as F;
  fs.write = redirect(fs.write as never);
  fs.writeSync = redirect(fs.writeSync as never);
  fs.writev = redirect(fs.writev as never);
  fs.writevSync = redirect(fs.writevSync as never);
}
