/** Every route of the HTTP listener, in the order of the documentation. */
import * as catalog from "./catalog.ts";
import * as completions from "./completions.ts";
import * as container from "./container.ts";
import { notEnabled } from "./context/not-enabled.ts";
import * as context from "./context/sessions.ts";
import * as tasks from "./context/tasks.ts";
import type { RawRoute, RouteEntry } from "./define.ts";
import * as sessions from "./sessions.ts";
import * as transport from "./transport.ts";

/** Methods of the catalog under a verb and a path. */
export const routes: readonly RouteEntry[] = [
  container.ready,
  container.status,
  catalog.authCheck,
  catalog.info,
  catalog.models,
  catalog.agents,
  catalog.roles,
  catalog.rags,
  catalog.rebuildRag,
  completions.oneShot,
  sessions.create,
  sessions.list,
  sessions.get,
  sessions.remove,
  completions.inSession,
  sessions.compress,
  sessions.empty,
  sessions.attachRole,
  sessions.detachRole,
  sessions.attachAgent,
  sessions.detachAgent,
  sessions.attachRag,
  sessions.detachRag,
  context.create,
  context.list,
  context.status,
  context.close,
  context.providers,
  tasks.dispatch,
  tasks.estimate,
  ...notEnabled,
].map((entry) => entry as unknown as RouteEntry);

/** What is about the listener itself. */
export const rawRoutes = {
  rpc: transport.rpc,
  streamEvents: transport.streamEvents,
  openapi: transport.openapi,
  docs: transport.docs,
  health: container.health,
  metrics: container.metrics,
} as const satisfies Record<string, RawRoute>;
