import { Gauge, type Registry } from "prom-client";
import type { Levels } from "../../../runtime/meter.ts";
import { within } from "../../../tools/waiting.ts";

/** How long a scrape waits for one figure. Milliseconds. */
const PATIENCE_MS = 1000;

/** Where the figures come from that are looked up when somebody reads. */
export interface LevelSources {
  /** Undefined as long as nothing was loaded that they could be about. */
  levels(): Levels | undefined;
  /** How many facts are kept ready; none where there is nothing that keeps them. */
  factsInWarmStore?(): number | Promise<number>;
}

/** Registers the gauges whose value is looked up at each scrape. */
export function registerLevels(registry: Registry, prefix: string, sources: LevelSources): void {
  const { levels, factsInWarmStore = () => 0 } = sources;
  const gauges = [
    gauge(`${prefix}streams_live`, "Turns that have begun and not ended, whether they are told as a stream or as a whole.", () => levels()?.liveStreams() ?? 0),
    gauge(`${prefix}queue_depth`, "Turns and summaries that wait for those before them in their session.", () => levels()?.waitingTurns() ?? 0),
    gauge("crp_sidecar_active_sessions", "Sessions in the store that are not closed.", () => levels()?.activeSessions()),
    gauge("crp_sidecar_facts_in_warm_store", "Facts that are kept ready.", factsInWarmStore),
  ];
  for (const each of gauges) registry.registerMetric(each);
}

/** A gauge without a sample where `read` knows nothing, fails, or takes too long. */
function gauge(name: string, help: string, read: () => number | undefined | Promise<number>): Gauge {
  const ask = oneAtATime(read);
  return new Gauge({
    name,
    help,
    registers: [],
    async collect() {
      // What is wrong with the store is said by `system.ping`, not here.
      const value = await within(ask(), PATIENCE_MS, undefined);
      if (value === undefined) this.remove();
      else this.set(value);
    },
  });
}

/** A store that hangs is asked once, not once for each scrape. */
function oneAtATime(read: () => number | undefined | Promise<number>): () => Promise<number | undefined> {
  let asking: Promise<number | undefined> | undefined;
  return () => {
    asking ??= (async () => read())().finally(() => {
      asking = undefined;
    });
    return asking;
  };
}
