import type { StatsBase } from "node:fs";
import { ToolFailure } from "../tool.ts";

/** A refusal that is the same whether or not anything exists out there: it tells nothing about it. */
export function outside(given: string): ToolFailure {
  return new ToolFailure(`${quoted(given)} is outside the folders that tools may see`);
}

export function missing(given: string): ToolFailure {
  return new ToolFailure(`No such file or directory: ${quoted(given)}`);
}

/** What a failed file operation means to the caller, with the path as the caller gave it. */
export function failureOf(error: unknown, given: string, done: "read" | "written" = "read"): Error {
  if (!(error instanceof Error) || error instanceof ToolFailure || !("code" in error) || typeof error.code !== "string") {
    return error instanceof Error ? error : new Error("The file system failed", { cause: error });
  }
  // The system's own message holds the resolved path, so it is never passed on.
  return new ToolFailure(`${meanings.get(error.code) ?? `Could not be ${done} (${error.code})`}: ${quoted(given)}`);
}

export function refuseUnlessFile(stats: Pick<StatsBase<unknown>, "isDirectory" | "isFile">, given: string): void {
  if (stats.isDirectory()) throw new ToolFailure(`This is a directory: ${quoted(given)}`);
  if (!stats.isFile()) throw new ToolFailure(`This is not a regular file: ${quoted(given)}`);
}

/** For messages: a path may be as long as a frame. */
export function quoted(given: string): string {
  return JSON.stringify(given.length > LONGEST_SHOWN ? `${given.slice(0, LONGEST_SHOWN)}…` : given);
}

/** True for errors that say that there is nothing at a path. */
export function isMissing(error: unknown): boolean {
  return error instanceof Error && "code" in error && (error.code === "ENOENT" || error.code === "ENOTDIR");
}

const LONGEST_SHOWN = 512;

const meanings = new Map([
  ["ENOENT", "No such file or directory"],
  ["ENOTDIR", "No such file or directory"],
  ["EACCES", "Permission denied"],
  ["EPERM", "Permission denied"],
  ["ELOOP", "Too many symbolic links"],
  ["ENAMETOOLONG", "The path is too long"],
  ["EISDIR", "This is a directory"],
  ["EMFILE", "Too many files are open; try again"],
  ["ENFILE", "Too many files are open; try again"],
  ["EEXIST", "Something of that name exists already"],
  ["ENOSPC", "The disk is full"],
  ["EDQUOT", "The disk quota is used up"],
  ["EROFS", "The file system is read-only"],
]);
