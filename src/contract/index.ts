/** The catalog: every method and notification, by its name on the wire. */
import type * as z from "zod";
import * as budget from "./agent/budgets.ts";
import * as chat from "./agent/chat.ts";
import * as model from "./agent/models.ts";
import * as session from "./agent/sessions.ts";
import * as stream from "./agent/streams.ts";
import * as config from "./config.ts";
import * as container from "./status.ts";
import * as system from "./system.ts";
import * as tool from "./tool.ts";
import * as trace from "./trace.ts";

export const methods = {
  "system.ping": system.ping,
  "system.info": system.info,
  "system.status": container.status,
  "system.identity": system.identity,
  "system.readiness": system.readiness,
  "system.initialize": system.initialize,
  "system.children": system.children,
  "system.shutdown": system.shutdown,
  "system.shutdown_now": system.shutdownNow,
  "agent.session.create": session.create,
  "agent.session.resume": session.resume,
  "agent.session.list": session.list,
  "agent.session.get": session.get,
  "agent.session.close": session.close,
  "agent.session.delete": session.remove,
  "agent.session.fork": session.fork,
  "agent.session.compress": session.compress,
  "agent.session.configure": session.configure,
  "agent.session.empty": session.empty,
  "agent.chat.stream": chat.stream,
  "agent.chat.complete": chat.complete,
  "agent.chat.steer": chat.steer,
  "agent.chat.cancel": chat.cancel,
  "agent.chat.estimate": chat.estimate,
  "agent.model.list": model.list,
  "agent.budget.get": budget.get,
  "agent.budget.reset": budget.reset,
  "tool.list": tool.list,
  "tool.invoke": tool.invoke,
  "tool.register": tool.register,
  "tool.unregister": tool.unregister,
  "tool.grants": tool.grants,
  "tool.revoke": tool.revoke,
  "trace.fetch": trace.fetch,
  "trace.list": trace.list,
  "config.get": config.get,
  "config.set": config.set,
} as const;

export const notifications = {
  "lifecycle.ready": system.ready,
  "lifecycle.shutdown": system.stopped,
  "stream.chunk": stream.chunk,
  "stream.done": stream.done,
  "stream.error": stream.error,
  "stream.status": stream.status,
  "trace.event": trace.event,
  "$/cancelRequest": system.cancelRequest,
} as const;

/** What the sidecar asks the host for. */
export const hostRequests = {
  "tool.invoke": tool.invokeOnHost,
  "approval.request": tool.approvalRequest,
} as const;

export type MethodName = keyof typeof methods;
export type NotificationName = keyof typeof notifications;

/** What a handler is given: params after validation. */
export type Params<M extends MethodName> = z.output<(typeof methods)[M]["params"]>;
/** What a caller may pass: params before validation. */
export type CallParams<M extends MethodName> = z.input<(typeof methods)[M]["params"]>;
export type Result<M extends MethodName> = z.output<(typeof methods)[M]["result"]>;
export type NotificationParams<N extends NotificationName> = z.output<(typeof notifications)[N]["params"]>;

export type HostRequestName = keyof typeof hostRequests;
export type HostRequestParams<R extends HostRequestName> = z.output<(typeof hostRequests)[R]["params"]>;
export type HostRequestResult<R extends HostRequestName> = z.output<(typeof hostRequests)[R]["result"]>;
