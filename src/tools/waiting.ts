/** What `promise` comes to, unless `signal` is aborted before: then rejects with the reason of the signal, at once. */
export function until<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason);
    if (signal.aborted) abort();
    signal.addEventListener("abort", abort, { once: true });
    promise.then(
      (value) => {
        signal.removeEventListener("abort", abort);
        resolve(value);
      },
      (error: unknown) => {
        signal.removeEventListener("abort", abort);
        // Whoever listens to the same signal fails in words of its own.
        reject(signal.aborted ? signal.reason : error);
      },
    );
  });
}

/** Resolves when `promise` has settled or the milliseconds are over. Never rejects. */
export async function atMost(promise: Promise<unknown>, ms: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const patience = new Promise((resolve) => {
    timer = setTimeout(resolve, ms);
  });
  // How it settled is for others to see.
  await Promise.race([promise.catch(() => undefined), patience]);
  clearTimeout(timer);
}

/** What `promise` comes to; `otherwise` when it rejects, or takes longer than the milliseconds. */
export async function within<T>(promise: Promise<T>, ms: number, otherwise: T): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<T>((resolve) => {
    timer = setTimeout(() => resolve(otherwise), ms);
  });
  try {
    // Why it failed is for the one who made the promise to tell.
    return await Promise.race([promise.catch(() => otherwise), late]);
  } finally {
    clearTimeout(timer);
  }
}

/** A signal that is aborted with the reason of another one, or with `reason()` when the milliseconds are over. To be cleared at the end. */
export function deadline(ms: number, reason: () => Error, outer?: AbortSignal): { signal: AbortSignal; clear(): void } {
  const controller = new AbortController();
  const timer = setTimeout(() => controller.abort(reason()), ms);
  const pass = () => controller.abort(outer?.reason);
  if (outer?.aborted === true) pass();
  outer?.addEventListener("abort", pass, { once: true });
  return {
    signal: controller.signal,
    clear() {
      clearTimeout(timer);
      outer?.removeEventListener("abort", pass);
    },
  };
}
