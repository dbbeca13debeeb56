import { expect } from "vitest";
import type { App } from "../../src/app.ts";
import type { Caller } from "../../src/contract/caller.ts";
import type { CallParams, MethodName, Result } from "../../src/contract/index.ts";
import { WireError } from "../../src/errors.ts";
import type { Door } from "../../src/runtime/door.ts";

/** A way in that writes down what its streams tell. */
export function openDoor(caller: Caller, { outlet, tellsStatus = false }: { outlet?: object; tellsStatus?: boolean } = {}) {
  const told = new Map<string, string[][]>();
  const released: string[] = [];
  const door: Door = {
    caller,
    outlet,
    openSink: (streamId) => {
      const lines: string[] = [];
      told.set(streamId, [...(told.get(streamId) ?? []), lines]);
      return {
        text: (field, text) => lines.push(`${field} ${text}`),
        chunk: ({ finishReason, toolCall, toolResult }) => {
          const what = finishReason ?? toolCall?.name ?? toolResult?.name;
          if (what !== undefined) lines.push(`chunk ${what}`);
        },
        done: ({ ok }) => lines.push(ok ? "done" : "cancelled"),
        error: ({ kind }) => lines.push(`error ${kind}`),
        status: ({ phase }) => lines.push(`status ${phase}`),
        ready: () => undefined,
      };
    },
    release: (streamId) => released.push(streamId),
    tellsStatus: () => tellsStatus,
  };
  return {
    door,
    released,
    /** What the sinks of a stream were told, in the order in which they were opened. */
    told: (streamId: string): string[][] => told.get(streamId) ?? [],
    /** The same of its only sink, once it has ended. */
    async ended(streamId: string): Promise<string[]> {
      await expect.poll(() => told.get(streamId)?.[0]?.at(-1), { timeout: 10_000 }).toMatch(/^(done|cancelled|error .*)$/);
      expect(told.get(streamId)).toHaveLength(1);
      return told.get(streamId)?.[0] ?? [];
    },
  };
}

/** Calls a method through a door. */
export async function ask<M extends MethodName>(
  app: Pick<App, "answer">,
  door: Door,
  method: M,
  params?: CallParams<M>,
  signal: AbortSignal = new AbortController().signal,
): Promise<Result<M>> {
  const given = (params ?? undefined) as Record<string, unknown> | undefined;
  return (await app.answer({ method, params: given, signal, afterReply: (run) => run() }, door)) as Result<M>;
}

/** The error of a call as a client would read it; undefined for one that is answered. */
export async function refusal(call: Promise<unknown>): Promise<{ name: string; data: unknown } | undefined> {
  try {
    await call;
    return undefined;
  } catch (error) {
    if (!(error instanceof WireError)) throw error;
    return { name: error.errorName, data: error.data };
  }
}
