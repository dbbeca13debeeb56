import { errorTable, failureTable, type FailureKind } from "../errors.ts";

type TableEntry = (typeof errorTable)[keyof typeof errorTable];

/** What a host switches on. Sidecars of another version may send kinds that are not listed here. */
export type SidecarErrorKind = TableEntry["kind"] | FailureKind | (string & {});

/**
 * The one error of the client: what the sidecar answered, how a stream failed, or why no answer
 * came (`transport_closed`, `timeout`, `cancelled`).
 */
export class SidecarError extends Error {
  override readonly name = "SidecarError";
  /** JSON-RPC error code. */
  readonly code: number;
  readonly kind: SidecarErrorKind;
  readonly data: Record<string, unknown> | undefined;

  constructor(code: number, kind: SidecarErrorKind, message: string, data?: Record<string, unknown>, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
    this.kind = kind;
    this.data = data;
  }
}

export function transportClosed(message: string, data?: Record<string, unknown>): SidecarError {
  return new SidecarError(errorTable.transport_closed.code, "transport_closed", message, data);
}

export function timedOut(what: string, timeoutMs: number, detail = ""): SidecarError {
  return new SidecarError(errorTable.timeout.code, "timeout", `${what} took longer than ${timeoutMs} ms${detail}`, { timeoutMs });
}

/** `reason` is that of the AbortSignal. */
export function aborted(what: string, reason: unknown): SidecarError {
  return new SidecarError(errorTable.cancelled.code, "cancelled", `${what} was cancelled`, undefined, { cause: reason });
}

/** How a stream failed, from the params of its `stream.error`. */
export function streamFailure(params: Record<string, unknown>): SidecarError {
  const { kind: sent, message, seq: _seq, ...data } = params;
  const kind = typeof sent === "string" ? sent : "internal";
  const text = typeof message === "string" ? message : kind in failureTable ? failureTable[kind as FailureKind].meaning : "The stream failed";
  return new SidecarError(codeOf(kind), kind, text, data);
}

/** The kind that belongs to a code, for sidecars whose errors carry none. */
export function kindOf(code: number): SidecarErrorKind {
  return Object.values(errorTable).find((entry) => entry.code === code)?.kind ?? "internal";
}

/** Stream failures carry no code; those without one of their own are failures of transport, as the seed calls them. */
function codeOf(kind: string): number {
  return Object.values(errorTable).find((entry) => entry.kind === kind)?.code ?? errorTable.transport_closed.code;
}
