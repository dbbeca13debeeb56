import { methods, notifications } from "../contract/index.ts";
import { SCOPES } from "../contract/caller.ts";
import { PROTOCOL_VERSION } from "../contract/defaults.ts";
import type { ConnectionLimits } from "../rpc/connection.ts";
import type { Custody } from "../custody/custody.ts";
import type { Host } from "../runtime/host.ts";
import type { Readiness } from "../runtime/readiness.ts";
import type { StatusReport } from "../runtime/status.ts";
import type { Handlers } from "./dispatch.ts";
import type { Health } from "./health.ts";

type Family = Extract<keyof Handlers, `system.${string}`>;

/** What a host may ask of the process itself. */
export interface ProcessControl {
  /** Ends what runs; resolves when the process is ready to exit. */
  drain(): Promise<void>;
  /** Exits once `drain` is through. */
  finish(): void;
  /** Exits at once. */
  exitNow(): void;
}

export function systemMethods(
  health: Health,
  limits: ConnectionLimits & { streams: number; outboundBytes: number },
  control: ProcessControl,
  host: Host,
  custody: Pick<Custody, "children">,
  status: Pick<StatusReport, "report">,
  readiness: Pick<Readiness, "report">,
): Pick<Handlers, Family> {
  return {
    "system.ping": () => health.snapshot(),
    "system.info": () => ({
      name: "steerable-sidecar",
      version: health.version,
      protocolVersion: PROTOCOL_VERSION,
      runtime: { name: "node", version: process.versions.node },
      platform: `${process.platform}-${process.arch}`,
      pid: process.pid,
      methods: Object.keys(methods),
      notifications: Object.keys(notifications),
      limits: { frameBytes: limits.frameBytes, depth: limits.depth, inFlight: limits.inFlight, streams: limits.streams, outboundBytes: limits.outboundBytes },
    }),
    "system.status": (_params, call) => status.report(call.signal),
    "system.identity": (_params, { door: { caller } }) => ({ subject: caller.subject, scopes: SCOPES.filter((scope) => caller.scopes.has(scope)) }),
    "system.readiness": () => readiness.report(),
    "system.initialize": (params) => ({
      name: "steerable-sidecar",
      version: health.version,
      protocolVersion: PROTOCOL_VERSION,
      capabilities: host.announce(params),
    }),
    "system.children": async () => ({ children: await custody.children() }),
    "system.shutdown": async (_params, call) => {
      await control.drain();
      call.afterReply(() => control.finish());
      return null;
    },
    "system.shutdown_now": () => {
      // Behind the reply, but not dependent on a host that reads it.
      setImmediate(() => control.exitNow());
      return null;
    },
  };
}
