import { mkdtempSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { expect, onTestFinished } from "vitest";
import { type Tool, type ToolCallContext, ToolFailure } from "../../src/tools/tool.ts";

/** What a call is given beside its arguments; never aborted unless `signal` says otherwise. */
export function context(signal: AbortSignal = new AbortController().signal): ToolCallContext {
  return { signal, callId: "call-1", timeoutMs: 60_000 };
}

/** A folder of its own for one test, by its real name. */
export function freshFolder(): string {
  const folder = realpathSync(mkdtempSync(path.join(tmpdir(), "tools-")));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** What the attempt is refused with; fails when it succeeds, or fails by accident. */
export async function refusal(attempt: Promise<unknown>): Promise<ToolFailure> {
  const error: unknown = await attempt.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(ToolFailure);
  return error as ToolFailure;
}

/** Runs a tool as the runtime does. */
export function call<T>(tool: Tool, args: Record<string, unknown>, signal?: AbortSignal): Promise<T> {
  return tool.run(args, context(signal)) as Promise<T>;
}
