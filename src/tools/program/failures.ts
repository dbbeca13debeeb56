import { stat } from "node:fs/promises";
import nodePath from "node:path";
import type { Program } from "../../custody/custody.ts";
import { redactText } from "../../redact.ts";
import { ToolFailure } from "../tool.ts";

/** Why a program could not be started, without the paths of this machine. */
export async function startFailure(error: unknown, { command, cwd }: Program): Promise<ToolFailure> {
  const code = error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : undefined;
  const name = JSON.stringify(nodePath.basename(command));
  // The system has one error for both.
  if ((code === "ENOENT" || code === "ENOTDIR") && cwd !== undefined && !(await isFolder(cwd))) {
    return new ToolFailure(`The working directory of the program ${name} does not exist`, "unavailable");
  }
  const reason = code === undefined ? undefined : reasons.get(code);
  if (reason !== undefined) return new ToolFailure(`The program ${name} ${reason}`, "unavailable");
  return new ToolFailure(`The program ${name} could not be started${code === undefined ? "" : ` (${code})`}`, "unavailable");
}

/** The last part of an output as it may be shown in a message. */
export function lastOf(output: string, characters: number): string {
  const text = redactText(output).trim();
  // A pair of surrogates is not cut in two.
  return text.length > characters ? `…${text.slice(-characters).replace(/^[\udc00-\udfff]/, "")}` : text;
}

const reasons = new Map([
  ["ENOENT", "was not found"],
  ["ENOTDIR", "was not found"],
  ["EACCES", "may not be run"],
  ["EPERM", "may not be run"],
  ["E2BIG", "cannot be given that much: its arguments are too long"],
  ["EMFILE", "could not be started: too many files are open; try again"],
  ["ENFILE", "could not be started: too many files are open; try again"],
  ["EAGAIN", "could not be started: too many processes are running; try again"],
  ["ENOMEM", "could not be started: there is not enough memory; try again"],
]);

async function isFolder(path: string): Promise<boolean> {
  // What cannot be looked at cannot be worked in either.
  return (await stat(path).catch(() => undefined))?.isDirectory() === true;
}
