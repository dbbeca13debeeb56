import type { Config } from "../contract/config.ts";
import type { TraceEvent } from "../contract/model.ts";
import type { Log } from "../log.ts";
import type { Store } from "../store/store.ts";
import type { NewId } from "./ids.ts";
import type { Meter } from "./meter.ts";
import type { LiveTraces } from "./trace.ts";

/** What every part that plays turns or runs tools is given. Made once, by `app.ts`. */
export interface RuntimeBase {
  /** Opened on first use. */
  store(): Promise<Store>;
  config(): Config;
  traces: LiveTraces;
  onTraceEvent(event: TraceEvent): void;
  newId: NewId;
  /** Milliseconds since 1970. */
  now(): number;
  /** From 0 to 1. */
  random(): number;
  log: Log;
  meter: Meter;
}
