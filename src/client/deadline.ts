import { aborted, timedOut } from "./error.ts";

/** Longest delay that a Node timer keeps; a longer one would fire at once. */
const LONGEST_DELAY_MS = 2_147_483_647;

export interface Limits {
  signal?: AbortSignal | undefined;
  timeoutMs: number;
  /** True for work that nobody waits for: its timer does not keep the host alive. */
  background?: boolean;
}

/** `setTimeout` that takes any number of milliseconds, `Infinity` included. */
export function after(ms: number, run: () => void): NodeJS.Timeout {
  return setTimeout(run, Math.min(ms, LONGEST_DELAY_MS));
}

/** What `promise` comes to, or undefined after `ms`. */
export async function within<T>(promise: Promise<T>, ms: number): Promise<T | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<undefined>((resolve) => {
    timer = after(ms, () => resolve(undefined));
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/**
 * Waits for what `begin` starts until the deadline or the abort, and then rejects with kind
 * `timeout` or `cancelled`; `giveUp` is called first. Nothing begins under an aborted signal.
 */
export function limited<T>(what: string, limits: Limits, begin: () => Promise<T>, giveUp?: () => void): Promise<T> {
  const { signal, timeoutMs } = limits;
  if (signal?.aborted) return Promise.reject(aborted(what, signal.reason));
  return new Promise((resolve, reject) => {
    const onAbort = () => abandon(aborted(what, signal?.reason));
    const timer = after(timeoutMs, () => abandon(timedOut(what, timeoutMs)));
    if (limits.background) timer.unref();
    signal?.addEventListener("abort", onAbort, { once: true });
    const release = () => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", onAbort);
    };
    const abandon = (error: Error) => {
      release();
      giveUp?.();
      reject(error);
    };
    begin().finally(release).then(resolve, reject);
  });
}
