import type { Readiness as Report } from "../contract/system.ts";
import { WireError } from "../errors.ts";
import type { Store } from "../store/store.ts";
import { within } from "../tools/waiting.ts";

/** How long a probe of the store is waited for. Milliseconds. */
const DEADLINE_MS = 2_000;
/** How long the outcome of one counts. Milliseconds. */
const FRESH_MS = 1_000;

export interface ReadinessDependencies {
  /** Opened on first use. */
  store(): Promise<Pick<Store, "probe">>;
  /** Streams that are open. */
  streams(): number;
  mostStreams: number;
  /** Whether the process is about to end. */
  isEnding(): boolean;
  /** Milliseconds; never goes back. */
  now(): number;
  /** Milliseconds; 2,000 when left out. */
  deadlineMs?: number | undefined;
}

/** `system.readiness`: whether a turn could begin now. Never rejects, and never takes longer than its deadline. */
export class Readiness {
  readonly #deps: ReadinessDependencies;
  #capacity: () => string | undefined = () => undefined;
  #hasListener = false;
  /** The store is being asked; what it says is waited for until `until`. */
  #asking: { answer: Promise<string | undefined>; until: number } | undefined;
  #latest: { reason: string | undefined; at: number } | undefined;

  constructor(deps: ReadinessDependencies) {
    this.#deps = deps;
  }

  /** `capacity` says in short why a listener can take no more requests; undefined while it can. */
  limitBy(capacity: () => string | undefined): void {
    this.#capacity = capacity;
    this.#hasListener = true;
  }

  async report(): Promise<Report> {
    const { streams, mostStreams, isEnding } = this.#deps;
    const store = await this.#storeReason();
    const live = streams();
    const ofStreams = live < mostStreams ? undefined : `${live} of ${mostStreams} streams are open`;
    const requests = this.#capacity();
    const reason = isEnding() ? "The sidecar is shutting down" : (store ?? ofStreams ?? requests);
    return {
      ready: reason === undefined,
      ...(reason === undefined ? {} : { reason }),
      checks: { store: checkOf(store), streams: checkOf(ofStreams), ...(this.#hasListener ? { requests: checkOf(requests) } : {}) },
    };
  }

  /** Why nothing can be stored. One probe at a time, and at most one a second. */
  async #storeReason(): Promise<string | undefined> {
    const { now, deadlineMs = DEADLINE_MS } = this.#deps;
    if (this.#asking === undefined && this.#latest !== undefined && now() - this.#latest.at < FRESH_MS) return this.#latest.reason;
    this.#asking ??= { answer: this.#ask(), until: now() + deadlineMs };
    const { answer, until } = this.#asking;
    // Whoever asks while an earlier probe hangs waits only for what is left of its time.
    return within(answer, Math.max(0, until - now()), "The store does not answer");
  }

  async #ask(): Promise<string | undefined> {
    let reason: string | undefined;
    try {
      await (await this.#deps.store()).probe();
    } catch (error) {
      reason = reasonOf(error);
    }
    this.#latest = { reason, at: this.#deps.now() };
    this.#asking = undefined;
    return reason;
  }
}

/** The words of the store may name a file. */
function reasonOf(error: unknown): string {
  const reason = error instanceof WireError ? error.data?.["reason"] : undefined;
  return typeof reason === "string" ? `The store cannot be written (${reason})` : "The store cannot be written";
}

function checkOf(reason: string | undefined): Report["checks"]["store"] {
  return reason === undefined ? { status: "ok" } : { status: "error", message: reason };
}
