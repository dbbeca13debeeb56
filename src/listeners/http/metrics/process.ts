import { collectDefaultMetrics, type Registry } from "prom-client";

/** Registers what the process takes, under the names that every Prometheus client uses: `process_*` and `nodejs_*`. */
export function registerProcess(registry: Registry): void {
  // Its own look at the event loop counts its interval in and cannot be ended: it is taken out below, and slow, so that it costs nothing.
  collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: 60_000 });
  // The handles and requests come from functions that Node has deprecated; `nodejs_active_resources` says the same.
  const unwanted = /^nodejs_(?:eventloop_lag|active_(?:handles|requests))/;
  for (const { name } of registry.getMetricsAsArray()) if (unwanted.test(name)) registry.removeSingleMetric(name);
}
