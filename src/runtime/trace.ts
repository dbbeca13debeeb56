import type { HarnessTrace, TraceEvent, TraceSpan } from "../contract/model.ts";
import { redact, redactText } from "../redact.ts";
import type { TraceRecord } from "../store/store.ts";

/** A turn that retries and calls tools stays far below this; a runaway one must not fill the memory. */
const MOST_EVENTS = 2_000;
/** Characters of JSON in the payload of one event, and how many are kept of a longer one. */
const LONGEST_PAYLOAD = 16 * 1024;
const KEPT_OF_LONG = 1_000;

export interface TraceSubject {
  sessionId?: string | undefined;
  chatId?: string | undefined;
  userId?: string | undefined;
  modelId?: string | undefined;
}

/** Records one turn or tool call as it happens. What goes in is redacted here, and only here. */
export class TraceRecorder {
  readonly traceId: string;
  /** The subject that it belongs to. */
  readonly owner: string;
  readonly #now: () => number;
  readonly #onEvent: (event: TraceEvent) => void;
  readonly #trace: HarnessTrace;
  readonly #spans: TraceSpan[] = [];
  readonly #events: TraceEvent[] = [];

  constructor(ids: { traceId: string; owner: string }, subject: TraceSubject, now: () => number, onEvent: (event: TraceEvent) => void) {
    const { traceId, owner } = ids;
    this.traceId = traceId;
    this.owner = owner;
    this.#now = now;
    this.#onEvent = onEvent;
    const startedAtMs = now();
    const at = new Date(startedAtMs).toISOString();
    this.#trace = {
      traceId,
      ...defined(subject),
      status: "running",
      hadError: false,
      eventCount: 0,
      spanCount: 0,
      startedAtMs,
      createdAt: at,
      updatedAt: at,
    };
  }

  /** Opens a span; the function returned closes it. */
  span(name: string, kind: TraceSpan["kind"], attrs: Record<string, unknown>): (status: TraceSpan["status"], more?: Record<string, unknown>) => void {
    const span: TraceSpan = {
      spanId: `span_${this.#spans.length + 1}`,
      traceId: this.traceId,
      name,
      kind,
      startMs: this.#now(),
      status: "running",
      attrs: redact(attrs) as Record<string, unknown>,
    };
    this.#spans.push(span);
    return (status, more) => {
      this.#closeSpan(span, status);
      if (more !== undefined) Object.assign(span.attrs, redact(more));
    };
  }

  event(kind: TraceEvent["kind"], name: string, payload?: Record<string, unknown>, status?: TraceEvent["status"]): void {
    if (this.#events.length >= MOST_EVENTS) return;
    const event: TraceEvent = {
      traceId: this.traceId,
      kind,
      name,
      sequence: this.#events.length,
      timestampMs: this.#now(),
      ...(status === undefined ? {} : { status }),
      ...(payload === undefined ? {} : { payload: bounded(redact(payload) as Record<string, unknown>) }),
    };
    this.#events.push(event);
    this.#onEvent(event);
  }

  finish(status: Exclude<HarnessTrace["status"], "running">, outcome: { errorMessage?: string | undefined; totalTokens?: number | undefined }): TraceRecord {
    const trace = this.#trace;
    trace.status = status;
    trace.hadError = status === "error" || status === "budget_exhausted";
    if (outcome.errorMessage !== undefined) trace.errorMessage = redactText(outcome.errorMessage).slice(0, 2048);
    if (outcome.totalTokens !== undefined) trace.totalTokens = outcome.totalTokens;
    for (const span of this.#spans) if (span.status === "running") this.#closeSpan(span, status === "cancelled" ? "cancelled" : "error");
    trace.durationMs = Math.max(0, this.#now() - trace.startedAtMs);
    return this.record();
  }

  #closeSpan(span: TraceSpan, status: TraceSpan["status"]): void {
    span.endMs = this.#now();
    span.durationMs = Math.max(0, span.endMs - span.startMs);
    span.status = status;
  }

  /** The trace as it stands. */
  record(): TraceRecord {
    this.#trace.eventCount = this.#events.length;
    this.#trace.spanCount = this.#spans.length;
    this.#trace.updatedAt = new Date(this.#now()).toISOString();
    return { owner: this.owner, trace: { ...this.#trace }, spans: this.#spans.map((span) => ({ ...span })), events: [...this.#events] };
  }
}

/** The traces that are running, so that they can be fetched before they are stored. */
export class LiveTraces {
  readonly #live = new Map<string, TraceRecorder>();

  get size(): number {
    return this.#live.size;
  }

  add(recorder: TraceRecorder): void {
    this.#live.set(recorder.traceId, recorder);
  }

  remove(recorder: TraceRecorder): void {
    this.#live.delete(recorder.traceId);
  }

  ownerOf(traceId: string): string | undefined {
    return this.#live.get(traceId)?.owner;
  }

  find(traceId: string): TraceRecord | undefined {
    return this.#live.get(traceId)?.record();
  }
}

/** A payload that is too long keeps its beginning: a trace tells what happened, it does not carry it. */
function bounded(payload: Record<string, unknown>): Record<string, unknown> {
  const text = JSON.stringify(payload);
  return text.length <= LONGEST_PAYLOAD ? payload : { truncated: true, length: text.length, beginning: text.slice(0, KEPT_OF_LONG) };
}

function defined(subject: TraceSubject): Partial<HarnessTrace> {
  return Object.fromEntries(Object.entries(subject).filter(([, value]) => value !== undefined));
}
