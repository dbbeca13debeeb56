/** What `GET /metrics` tells. Loads prom-client, so it is itself loaded where there is a listener only. */
import { Registry } from "prom-client";
import type { Meter } from "../../../runtime/meter.ts";
import { watchEventLoop } from "./lag.ts";
import { type LevelSources, registerLevels } from "./levels.ts";
import { registerProcess } from "./process.ts";
import { seriesMeter } from "./series.ts";

const PREFIX = "steerable_sidecar_";

export interface MetricsOptions {
  sources: LevelSources;
  /** Milliseconds, never going back. */
  now?(): number;
}

export interface Metrics {
  /** Takes what is measured from now on. */
  readonly meter: Meter;
  /** The figures as they are now, as Prometheus text. Takes little more than a second at most; a figure that is not known by then is left out. */
  text(): Promise<{ contentType: string; body: string }>;
  /** Ends the measuring. Idempotent. */
  close(): void;
}

export function createMetrics({ sources, now = () => performance.now() }: MetricsOptions): Metrics {
  const registry = new Registry();
  const meter = seriesMeter(registry, PREFIX, now);
  registerLevels(registry, PREFIX, sources);
  const close = watchEventLoop(registry, `${PREFIX}event_loop_lag_seconds`);
  registerProcess(registry);
  let reading: Promise<string> | undefined;

  return {
    meter,
    async text() {
      // One text for all who ask at a time: some figures are counted from one reading to the next.
      reading ??= registry.metrics().finally(() => {
        reading = undefined;
      });
      return { contentType: registry.contentType, body: await reading };
    },
    close,
  };
}
