import { monitorEventLoopDelay } from "node:perf_hooks";
import { Gauge, type Registry } from "prom-client";

/** How often the event loop is looked at. Milliseconds. */
const RESOLUTION_MS = 20;

const percentiles = { "0.5": 50, "0.99": 99, "1": 100 } as const;

/** Registers how late timers have run since the figures were last read. What is given back ends the measuring. */
export function watchEventLoop(registry: Registry, name: string): () => void {
  const delays = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  delays.enable();
  const lag = new Gauge({
    name,
    help: "How late timers have run since the last scrape, by quantile; 1 is the worst.",
    labelNames: ["quantile"],
    registers: [],
    collect() {
      for (const [quantile, percentile] of Object.entries(percentiles)) this.set({ quantile }, delays.count === 0 ? 0 : lagOf(delays.percentile(percentile)));
      delays.reset();
    },
  });
  registry.registerMetric(lag);
  return () => void delays.disable();
}

/** Seconds. What is recorded is the time between two looks, in nanoseconds. */
function lagOf(nanoseconds: number): number {
  return Math.max(0, nanoseconds / 1e9 - RESOLUTION_MS / 1000);
}
