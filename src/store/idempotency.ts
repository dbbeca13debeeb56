/** Milliseconds that an idempotency key is kept, from the beginning of its turn or call. */
export const KEY_KEPT_MS = 24 * 60 * 60 * 1000;
