import { PROTOCOL_VERSION } from "../contract/defaults.ts";
import type { Health as HealthSnapshot } from "../contract/system.ts";

/** Read once: ping is the call that is made most. */
const PLATFORM = `${process.platform}-${process.arch}`;
const RUNTIME = { status: "ok", message: `node ${process.versions.node}` } as const;

type Check = HealthSnapshot["checks"][string];

/** What the parts that are loaded later have to say. */
export interface HealthSources {
  loadedProviders(): string[];
  loadedTools(): number;
  activeTraces(): number;
  /** Undefined while the tools of the configuration are as they should be. */
  tools(): Check | undefined;
  /** Undefined while the store was not used. */
  storage(): Check | undefined;
}

/** The answer to `system.ping`. Stands on its own, because it must be there before anything else is. */
export class Health {
  readonly version: string;
  readonly #startedAt: number;
  #sources: HealthSources | undefined;
  #stopping = false;

  /** `startedAt`: milliseconds since the epoch. */
  constructor(version: string, startedAt: number) {
    this.version = version;
    this.#startedAt = startedAt;
  }

  connect(sources: HealthSources): void {
    this.#sources = sources;
  }

  stopping(): void {
    this.#stopping = true;
  }

  get isStopping(): boolean {
    return this.#stopping;
  }

  snapshot(): HealthSnapshot {
    const sources = this.#sources;
    const storage = sources?.storage();
    const tools = sources?.tools();
    const isWell = (storage?.status ?? "ok") === "ok" && tools === undefined;
    return {
      status: this.#stopping ? "shutting_down" : isWell ? "ok" : "degraded",
      version: this.version,
      protocolVersion: PROTOCOL_VERSION,
      uptimeMs: Math.max(0, Date.now() - this.#startedAt),
      pid: process.pid,
      platform: PLATFORM,
      loadedProviders: sources?.loadedProviders() ?? [],
      loadedTools: sources?.loadedTools() ?? 0,
      activeTraces: sources?.activeTraces() ?? 0,
      checks: { runtime: RUNTIME, ...(storage === undefined ? {} : { storage }), ...(tools === undefined ? {} : { tools }) },
    };
  }
}
