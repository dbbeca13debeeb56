import { SidecarError } from "./error.ts";
import type { HealthPolicy } from "./options.ts";

/**
 * Pings at an interval. After `misses` pings in a row without a reply `onLost` is called, once.
 * An error is a reply too: whoever sends it is alive.
 */
export class Health {
  readonly #policy: HealthPolicy;
  readonly #ping: (timeoutMs: number) => Promise<unknown>;
  readonly #onLost: () => void;
  #timer: NodeJS.Timeout | undefined;
  #stopped = false;

  constructor(policy: HealthPolicy, ping: (timeoutMs: number) => Promise<unknown>, onLost: () => void) {
    this.#policy = policy;
    this.#ping = ping;
    this.#onLost = onLost;
    this.#schedule(policy.intervalMs, 0);
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
  }

  #schedule(delayMs: number, missed: number): void {
    // Unref'd: watching alone is no reason for the host to stay alive.
    this.#timer = setTimeout(() => void this.#check(missed), delayMs).unref();
  }

  /** One ping at a time, so that a host that was itself asleep counts one miss at most. */
  async #check(missedBefore: number): Promise<void> {
    const { intervalMs, misses, timeoutMs } = this.#policy;
    const begun = performance.now();
    const missed = (await this.#answers(timeoutMs)) ? 0 : missedBefore + 1;
    if (this.#stopped) return;
    if (missed >= misses) this.#onLost();
    else this.#schedule(Math.max(0, intervalMs - (performance.now() - begun)), missed);
  }

  async #answers(timeoutMs: number): Promise<boolean> {
    try {
      await this.#ping(timeoutMs);
      return true;
    } catch (error) {
      return error instanceof SidecarError && error.kind !== "timeout" && error.kind !== "transport_closed";
    }
  }
}
