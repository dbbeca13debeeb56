import { failureTable, type Failure } from "../../errors.ts";

export interface RetryRule {
  /** Tries in all, the first included. */
  attempts: number;
  baseMs: number;
  maxMs: number;
}

/** Longest Retry-After that is waited for. */
const LONGEST_WAIT_MS = 60_000;

/**
 * Milliseconds to wait before the next try, or undefined when there should be none.
 *
 * `min(base * 2^(n-1), max)` after the n-th try, times a jitter of 0.8 to 1.2; a Retry-After of the
 * model server takes its place. `random` gives 0 to 1.
 */
export function nextTry(failure: Failure, attempt: number, rule: RetryRule, random: () => number): number | undefined {
  if (attempt >= rule.attempts || !isRetryable(failure)) return undefined;
  // Nobody at a screen waits longer, and asking earlier than told makes it worse: the host is told how long.
  if (failure.retryAfterMs !== undefined) return failure.retryAfterMs <= LONGEST_WAIT_MS ? failure.retryAfterMs : undefined;
  const step = Math.min(rule.baseMs * 2 ** (attempt - 1), rule.maxMs);
  return Math.round(step * (0.8 + 0.4 * random()));
}

export function isRetryable(failure: Failure): boolean {
  return failure.retryable ?? failureTable[failure.kind].retryable;
}
