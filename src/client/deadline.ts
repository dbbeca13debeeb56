import { aborted, timedOut } from "./error.ts";

/** Longest delay that a Node timer keeps; a longer one would fire at once. */
const LONGEST_DELAY_MS = 2_147_483_647;

/** Deadline of a call that names none. */
const CALL_TIMEOUT_MS = 60_000;

export interface CallOptions {
  /** Aborted: the request is cancelled at the sidecar and rejects with kind `cancelled`. */
  signal?: AbortSignal | undefined;
  /** 60,000 when nothing else is said. It covers the wait for a sidecar that is being restarted. */
  timeoutMs?: number | undefined;
}

export interface Limits {
  signal?: AbortSignal | undefined;
  timeoutMs: number;
  /** True for work that nobody waits for: its timer does not keep the host alive. */
  background?: boolean;
}

/** Throws a RangeError for a deadline out of range. */
export function limitsOf({ signal, timeoutMs }: CallOptions, fallbackMs = CALL_TIMEOUT_MS): Limits {
  return { signal, timeoutMs: positive("timeoutMs", timeoutMs, fallbackMs) };
}

/** What is left of limits that hold since `begun`, on the clock of `performance.now()`. */
export function since(begun: number, limits: Limits): Limits {
  return { ...limits, timeoutMs: Math.max(1, limits.timeoutMs - (performance.now() - begun)) };
}

/** A number of milliseconds or attempts above 0; `Infinity` is fine. */
export function positive(name: string, value: number | undefined, fallback: number): number {
  if (value === undefined) return fallback;
  if (typeof value !== "number" || !(value > 0)) throw new RangeError(`${name} must be a number above 0`);
  return value;
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
