import * as z from "zod";
import { SCOPES } from "./caller.ts";
import { PROTOCOL_VERSION } from "./defaults.ts";
import { method, notification } from "./define.ts";
import { NoParams } from "./model.ts";

const Check = z.strictObject({
  status: z.enum(["ok", "warn", "error"]),
  message: z.string().optional(),
  latencyMs: z.int().min(0).optional(),
});

export const Health = z
  .strictObject({
    status: z.enum(["ok", "degraded", "starting", "shutting_down"]).describe("`degraded`: a check is not `ok`."),
    version: z.string().describe("Of the sidecar."),
    protocolVersion: z.literal(PROTOCOL_VERSION).describe("Of this document."),
    uptimeMs: z.int().min(0).describe("Milliseconds since the process was started."),
    pid: z.int().min(1),
    platform: z.string().describe("`linux-x64`, `darwin-arm64`, `win32-x64`, …"),
    loadedProviders: z.array(z.string()).describe("Providers that were used in this run."),
    loadedTools: z.int().min(0).describe("How many tools `tool.list` names."),
    activeTraces: z.int().min(0).describe("Turns and tool calls that are running."),
    checks: z
      .record(z.string(), Check)
      .describe("`runtime` always; `storage` once the database is in use; `tools` when tools of the configuration could not be made."),
  })
  .describe("Also what follows the ready marker on stderr.");
export type Health = z.output<typeof Health>;

const healthExample = {
  status: "ok" as const,
  version: "0.1.0",
  protocolVersion: PROTOCOL_VERSION,
  uptimeMs: 1234,
  pid: 42,
  platform: "linux-x64",
  loadedProviders: [],
  loadedTools: 0,
  activeTraces: 0,
  checks: { runtime: { status: "ok" as const, message: "node 20.20.2" } },
} satisfies Health;

export const ping = method({
  name: "system.ping",
  scope: "read",
  summary: "Health. Answered whatever else is going on.",
  params: NoParams,
  result: Health,
  errors: [],
  example: { result: healthExample },
});

export const info = method({
  name: "system.info",
  scope: "read",
  summary: "What this sidecar is, which methods it answers and the limits it keeps.",
  params: NoParams,
  result: z.object({
    name: z.literal("steerable-sidecar"),
    version: z.string(),
    protocolVersion: z.literal(PROTOCOL_VERSION),
    runtime: z.object({ name: z.string(), version: z.string() }),
    platform: z.string().describe("As in `system.ping`."),
    pid: z.int(),
    methods: z.array(z.string()).describe("Names of the methods that are answered."),
    notifications: z.array(z.string()).describe("Names of the notifications of both directions."),
    limits: z.object({ frameBytes: z.int(), depth: z.int(), inFlight: z.int(), streams: z.int(), outboundBytes: z.int() }),
  }),
  errors: [],
  example: {
    result: {
      name: "steerable-sidecar",
      version: "0.1.0",
      protocolVersion: PROTOCOL_VERSION,
      runtime: { name: "node", version: "20.20.2" },
      platform: "linux-x64",
      pid: 42,
      methods: ["system.ping", "agent.chat.stream"],
      notifications: ["stream.chunk", "stream.done", "stream.error"],
      limits: { frameBytes: 16777216, depth: 256, inFlight: 10000, streams: 10000, outboundBytes: 33554432 },
    },
  },
});

export const identity = method({
  name: "system.identity",
  scope: "read",
  summary: "Whom the sidecar takes the caller for. The host that has started it is `local` and may do everything.",
  params: NoParams,
  result: z.object({
    subject: z.string().describe("What the caller makes belongs to this name."),
    scopes: z.array(z.enum(SCOPES)).describe("What the caller may do."),
  }),
  errors: [],
  example: { result: { subject: "local", scopes: ["read", "write", "admin"] } },
});

export const readiness = method({
  name: "system.readiness",
  scope: "read",
  summary:
    "Whether a turn could begin now: something was just written to the store and made durable, and fewer streams are open than there may be. The store is tried at most once a second and waited for at most 2 seconds.",
  params: NoParams,
  result: z.object({
    ready: z.boolean(),
    reason: z.string().optional().describe("Why not, in short."),
    checks: z.object({
      store: Check,
      streams: Check,
      requests: Check.optional().describe("Of the HTTP listener, where there is one."),
    }),
  }),
  errors: [],
  example: {
    result: {
      ready: false,
      reason: "The store cannot be written (disk_full)",
      checks: { store: { status: "error", message: "The store cannot be written (disk_full)" }, streams: { status: "ok" } },
    },
  },
});
export type Readiness = z.output<typeof readiness.result>;

export const initialize = method({
  name: "system.initialize",
  scope: "host",
  summary:
    "Tells the sidecar who the host is and what it can be sent. Optional: without it nothing is announced, and nothing else depends on it. A second call takes the place of the first.",
  params: z.object({
    clientInfo: z.object({ name: z.string().min(1).max(256), version: z.string().max(256).optional() }).describe("For the log."),
    capabilities: z
      .object({
        hostTools: z.boolean().optional().describe("It answers `tool.invoke`. Implied by `tool.register`."),
        approvals: z.boolean().optional().describe("It answers `approval.request`; without it whatever the policy wants to ask about is denied."),
        status: z.boolean().optional().describe("It wants `stream.status`."),
      })
      .optional(),
  }),
  result: z.object({
    name: z.literal("steerable-sidecar"),
    version: z.string(),
    protocolVersion: z.literal(PROTOCOL_VERSION),
    capabilities: z.object({ hostTools: z.boolean(), approvals: z.boolean(), status: z.boolean() }).describe("What holds from now on."),
  }),
  errors: [],
  example: {
    params: { clientInfo: { name: "my-app", version: "1.0.0" }, capabilities: { approvals: true, status: true } },
    result: {
      name: "steerable-sidecar",
      version: "0.1.0",
      protocolVersion: PROTOCOL_VERSION,
      capabilities: { hostTools: false, approvals: true, status: true },
    },
  },
});

export const ChildProcess = z.object({
  pid: z.int().min(1),
  kind: z
    .enum(["tool", "mcp", "probe", "custodian"])
    .describe("`probe`: asked for `system.status`. `custodian`: ends the others should the sidecar be killed."),
  name: z.string().optional().describe("Of the tool or the MCP server."),
  sessionId: z.string().optional().describe("Whose turn it runs for."),
  callId: z.string().optional(),
  startedAt: z.iso.datetime(),
  descendants: z.int().min(0).describe("Processes that it has started and that are still there."),
  memoryBytes: z.int().min(0).optional().describe("Resident memory of it and its descendants; absent where the system does not tell."),
});
export type ChildProcess = z.output<typeof ChildProcess>;

export const children = method({
  name: "system.children",
  scope: "admin",
  summary: "Every process that the sidecar has started and that is still running.",
  params: NoParams,
  result: z.object({ children: z.array(ChildProcess) }),
  errors: [],
  example: {
    result: {
      children: [
        { pid: 4711, kind: "tool", name: "run_command", callId: "call_1", startedAt: "2026-01-01T10:00:00.000Z", descendants: 1, memoryBytes: 3_500_000 },
      ],
    },
  },
});

export const shutdown = method({
  name: "system.shutdown",
  scope: "admin",
  summary:
    "Ends the process in order: new requests are turned away, streams get their terminal, running requests are cancelled, replies are flushed, this call is answered, `lifecycle.shutdown` is sent and the process exits with 0.",
  params: NoParams,
  result: z.null(),
  errors: [],
  example: { result: null },
});

export const shutdownNow = method({
  name: "system.shutdown_now",
  scope: "admin",
  summary: "Ends the process without waiting for requests in flight. Streams still get their terminal, and what was acknowledged is safe.",
  params: NoParams,
  result: z.null(),
  errors: [],
  example: { result: null },
});

export const ready = notification({
  name: "lifecycle.ready",
  direction: "toHost",
  summary: "The first line on stdout: requests are accepted from here on.",
  params: z.object({
    version: z.string(),
    protocolVersion: z.literal(PROTOCOL_VERSION),
    pid: z.int(),
    listenInfo: z
      .object({
        transport: z.literal("stdio"),
        http: z
          .object({
            url: z.string().describe("`http://127.0.0.1:8900`"),
            token: z.string().optional().describe("Lets the bearer do everything. Made up for this run, where neither keys nor a token were given."),
          })
          .optional()
          .describe("The HTTP listener, where one is open."),
      })
      .describe("Where requests are taken from."),
  }),
  example: { params: { version: "0.1.0", protocolVersion: PROTOCOL_VERSION, pid: 42, listenInfo: { transport: "stdio" } } },
});

export const stopped = notification({
  name: "lifecycle.shutdown",
  direction: "toHost",
  summary: "The last line on stdout. `eof`: stdin was closed or the parent is gone; `normal`: everything else.",
  params: z.object({ reason: z.enum(["normal", "eof"]).describe("Why the process ends.") }),
  example: { params: { reason: "normal" } },
});

export const cancelRequest = notification({
  name: "$/cancelRequest",
  direction: "toSidecar",
  summary:
    "Cancels a request in flight; it is then answered with -32800, kind `cancelled`, unless it was already done. A stream is cancelled with `agent.chat.cancel`. The sidecar sends the same for requests of its own.",
  params: z.object({ id: z.union([z.string(), z.int()]).describe("Of the request to cancel.") }),
  example: { params: { id: 7 } },
});
