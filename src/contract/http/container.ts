/** What a container says of itself, to people and to those who watch it. */
import * as z from "zod";
import { status as systemStatus } from "../status.ts";
import { rawRoute, route } from "./define.ts";

export const health = rawRoute({
  surface: "container",
  verb: "GET",
  path: "/health",
  summary: "Says that the process is there. Waits for nothing.",
  open: true,
  request: {},
  status: 200,
  contentType: "application/json",
  response: z.object({ status: z.literal("ok") }),
});

export const ready = route({
  surface: "container",
  verb: "GET",
  path: "/ready",
  summary: "200 where the store can be written and there is room for more requests, else 503 with the reason.",
  method: "system.readiness",
  open: true,
  request: {},
  status: ({ ready: isReady }) => (isReady ? 200 : 503),
  statuses: [200, 503],
  response: z.object({ ready: z.boolean(), reason: z.string().optional().describe("Why not.") }),
  params: () => ({}),
  reply: ({ ready: isReady, reason }) => ({ ready: isReady, ...(reason === undefined ? {} : { reason }) }),
  example: { response: { ready: true } },
});

export const status = route({
  surface: "container",
  verb: "GET",
  path: "/status",
  summary: "The container's report on itself: its agent CLI, task stack, process and credentials.",
  method: "system.status",
  public: "status",
  isSpared: true,
  request: {},
  status: 200,
  response: systemStatus.result,
  params: () => ({}),
  reply: (result) => result,
  example: { response: systemStatus.example.result },
});

export const metrics = rawRoute({
  surface: "container",
  verb: "GET",
  path: "/metrics",
  summary: "Counters, gauges and histograms as Prometheus text.",
  public: "metrics",
  isSpared: true,
  scope: "read",
  request: {},
  status: 200,
  contentType: "text/plain",
});
