import { type Caller, HOST } from "../contract/caller.ts";
import { fail, WireError } from "../errors.ts";
import type { IdempotencyMark } from "../store/store.ts";

/** A call that was made with a key, and those who wait for it. */
interface Shared<T> {
  digest: string;
  opened: Promise<T>;
  /** Aborted when nobody waits any more. */
  controller: AbortController;
  waiting: number;
}

/** A key as it is kept: keys are a subject's own. No subject has a NUL in its name, and those of the host are kept as they are. */
export function ownKey({ subject }: Caller, key: string): string {
  return subject === HOST.subject ? key : `${subject}\u0000${key}`;
}

/** Calls that were made with an idempotency key and have not ended: whoever makes one again joins it. */
export class Keys<T> {
  readonly #open = new Map<string, Shared<T>>();

  /**
   * What was opened with the key, else what `open` gives. The signal that `open` is given is aborted when all who wait
   * have given up, and only then. Rejects with `invalid_params` for a key that was used with other params.
   */
  async join(mark: IdempotencyMark, signal: AbortSignal, open: (signal: AbortSignal) => Promise<T>): Promise<T> {
    for (;;) {
      const shared = this.#open.get(mark.key) ?? this.#begin(mark, open);
      refuseOther(shared.digest, mark.digest);
      try {
        return await wait(shared, signal);
      } catch (error) {
        // Those who came before have given up; we have not.
        const isTheirs = error instanceof WireError && error.errorName === "cancelled" && shared.controller.signal.aborted;
        if (!isTheirs || signal.aborted) throw error;
      }
    }
  }

  /** It has ended, and the store knows it. */
  release(key: string): void {
    this.#open.delete(key);
  }

  #begin({ key, digest }: IdempotencyMark, open: (signal: AbortSignal) => Promise<T>): Shared<T> {
    const controller = new AbortController();
    const shared: Shared<T> = { digest, opened: open(controller.signal), controller, waiting: 0 };
    this.#open.set(key, shared);
    shared.opened.catch(() => {
      if (this.#open.get(key) === shared) this.#open.delete(key);
    });
    return shared;
  }
}

async function wait<T>(shared: Shared<T>, signal: AbortSignal): Promise<T> {
  const giveUp = () => {
    if (--shared.waiting === 0) shared.controller.abort(signal.reason);
  };
  shared.waiting++;
  signal.addEventListener("abort", giveUp, { once: true });
  if (signal.aborted) giveUp();
  try {
    return await shared.opened;
  } finally {
    signal.removeEventListener("abort", giveUp);
  }
}

export function refuseOther(before: string, digest: string): void {
  if (before === digest) return;
  throw fail("invalid_params", { path: "idempotencyKey", code: "idempotency_key_reused" }, "This idempotencyKey was used with other params before");
}
