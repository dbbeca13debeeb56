import type * as z from "zod";
import type { ErrorName } from "../errors.ts";
import type { Scope } from "./caller.ts";

/** One method: the only place where its shape is written. */
export interface MethodEntry<P extends z.ZodType = z.ZodType, R extends z.ZodType = z.ZodType> {
  name: string;
  /** One sentence, printed in protocol.md. */
  summary: string;
  params: P;
  result: R;
  /** What a caller needs. `host`: only the host that has spawned us may ask for it, because it is about that connection. */
  scope: Scope | "host";
  /** What of a caller's own the call is about: to anybody but its owner, and callers with `admin`, it does not exist. */
  touches?: { [K in "session" | "stream" | "trace"]?: (params: z.output<P>) => string | undefined };
  /** What it can raise beside the errors that any request can meet (see `universalErrors`). */
  errors: readonly ErrorName[];
  /** Calls with the same key run one after the other; calls without one never wait for each other. */
  concurrency?: { description: string; key: (params: z.output<P>) => string | undefined };
  /** Worked example; a test parses it with the schemas above. */
  example: { params?: z.input<P>; result: z.input<R> };
}

export interface NotificationEntry<P extends z.ZodType = z.ZodType> {
  name: string;
  direction: "toHost" | "toSidecar";
  summary: string;
  params: P;
  example: { params: z.input<P> };
}

/** A request of the sidecar to the host. */
export interface HostRequestEntry<P extends z.ZodType = z.ZodType, R extends z.ZodType = z.ZodType> {
  name: string;
  summary: string;
  params: P;
  /** What the host answers. */
  result: R;
  example: { params: z.input<P>; result: z.input<R> };
}

/** Errors that any request can meet; entries list only what comes on top. */
export const universalErrors = [
  "parse",
  "invalid_request",
  "method_not_found",
  "invalid_params",
  "internal",
  "overloaded",
  "shutting_down",
  "cancelled",
] as const satisfies readonly ErrorName[];

export function method<const N extends string, P extends z.ZodType, R extends z.ZodType>(
  entry: MethodEntry<P, R> & { name: N },
): MethodEntry<P, R> & { name: N } {
  return entry;
}

export function notification<const N extends string, P extends z.ZodType>(entry: NotificationEntry<P> & { name: N }): NotificationEntry<P> & { name: N } {
  return entry;
}

export function hostRequest<const N extends string, P extends z.ZodType, R extends z.ZodType>(
  entry: HostRequestEntry<P, R> & { name: N },
): HostRequestEntry<P, R> & { name: N } {
  return entry;
}
