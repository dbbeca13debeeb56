import { fail } from "../errors.ts";
import type { IdempotencyMark } from "../store/store.ts";

/** Calls that were made with an idempotency key and have not ended: whoever makes one again joins it. */
export class Keys<T> {
  readonly #open = new Map<string, { digest: string; opened: Promise<T> }>();

  /** What was opened with the key, else what `open` gives. Throws `invalid_params` for a key that was used with other params. */
  async join({ key, digest }: IdempotencyMark, open: () => Promise<T>): Promise<T> {
    const known = this.#open.get(key);
    if (known !== undefined) {
      refuseOther(known.digest, digest);
      return known.opened;
    }
    const opened = open();
    this.#open.set(key, { digest, opened });
    opened.catch(() => this.#open.delete(key));
    return opened;
  }

  /** It has ended, and the store knows it. */
  release(key: string): void {
    this.#open.delete(key);
  }
}

export function refuseOther(before: string, digest: string): void {
  if (before === digest) return;
  throw fail("invalid_params", { path: "idempotencyKey", code: "idempotency_key_reused" }, "This idempotencyKey was used with other params before");
}
