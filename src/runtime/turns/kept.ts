import type { ChatParams } from "../../contract/agent/chat.ts";
import type { Caller } from "../../contract/caller.ts";
import { fail } from "../../errors.ts";
import type { IdempotencyMark, KeptTurn } from "../../store/store.ts";
import { digestOf } from "../canonical.ts";
import { ownKey } from "../keys.ts";
import { CUT_OFF, type EndedTurn } from "./replay.ts";

/** The params as far as they say what is asked for; how it is reached may change. */
export function markOf(params: ChatParams, caller: Caller): IdempotencyMark | undefined {
  const { idempotencyKey: key, streamId: _, apiKey: __, idleTimeoutMs: ___, ...asked } = params;
  return key === undefined ? undefined : { key: ownKey(caller, key), digest: digestOf(asked) };
}

/** A turn as the store has kept it; throws while another process is still at it. */
export function endedTurnOf(kept: KeptTurn): EndedTurn {
  if (kept.status === "running") throw fail("overloaded", { retryAfterMs: 1000 }, "The turn with this idempotencyKey is still running in another process");
  const results = new Map(kept.messages.flatMap((message) => (message.toolCallId === undefined ? [] : [[message.toolCallId, message] as const])));
  const calls = kept.messages.flatMap((message) =>
    (message.toolCalls ?? []).map((call) => {
      const answered = results.get(call.id);
      return { call, result: answered?.result ?? (answered?.outcomeUnknown === true ? unknownOutcome(answered.content) : undefined) };
    }),
  );
  const { streamId, traceId, messages } = kept;
  return {
    streamId,
    traceId,
    messages,
    calls,
    ending: kept.ending ?? { status: "error", failure: CUT_OFF, steps: messages.filter(({ role }) => role === "assistant").length },
  };
}

function unknownOutcome(content: unknown) {
  const error = typeof content === "string" ? errorIn(content) : undefined;
  return { success: false, kind: "outcome_unknown" as const, outcomeUnknown: true, error: error ?? "It is not known whether this call had its effect" };
}

/** The store writes a result as JSON here. */
function errorIn(content: string): string | undefined {
  try {
    const { error } = JSON.parse(content) as { error?: unknown };
    return typeof error === "string" ? error : undefined;
  } catch {
    // Then the words above do.
    return undefined;
  }
}
