import { HOST } from "../../contract/caller.ts";
import type { HarnessTrace } from "../../contract/model.ts";
import { fail } from "../../errors.ts";
import { decodeCursor, encodeCursor } from "../cursor.ts";
import { hasEnded } from "../messages.ts";
import type { Page, TraceFilter, TraceRecord } from "../store.ts";
import { jsonCopy, wellFormed } from "../text.ts";

interface Trace {
  key: number;
  record: TraceRecord & { owner: string };
}

/** Traces beyond the limit that are put up with before the oldest are dropped, all at once. */
const PRUNE_STEP = 100;

export class Traces {
  private readonly keep: number;
  private readonly traces = new Map<string, Trace>();
  /** Ascending by key. */
  private byAge: Trace[] = [];
  private last = 0;

  constructor(keep: number) {
    this.keep = keep;
  }

  save(given: TraceRecord): void {
    const { owner = HOST.subject, trace: shown, spans, events } = given;
    const record = jsonCopy({ owner, trace: shown, spans, events });
    const known = this.traces.get(record.trace.traceId);
    if (known !== undefined) {
      known.record = { ...record, owner: known.record.owner };
      return;
    }
    const trace: Trace = { key: ++this.last, record };
    this.traces.set(record.trace.traceId, trace);
    this.byAge.push(trace);
    if (this.byAge.length <= this.keep + PRUNE_STEP) return;
    const excess = this.byAge.length - this.keep;
    for (const { record: old } of this.byAge.slice(0, excess)) this.traces.delete(old.trace.traceId);
    this.byAge = this.byAge.slice(excess);
  }

  /** Saves the end of a trace, unless it has one. */
  end(record: TraceRecord): void {
    const known = this.traces.get(wellFormed(record.trace.traceId));
    if (known === undefined || !hasEnded(known.record.trace)) this.save(record);
  }

  get(traceId: string): TraceRecord {
    const trace = this.traces.get(wellFormed(traceId));
    if (trace === undefined) throw fail("trace_not_found", { traceId });
    return jsonCopy(trace.record);
  }

  ownerOf(traceId: string): string | undefined {
    return this.traces.get(wellFormed(traceId))?.record.owner;
  }

  /** Newest first. */
  list(filter: TraceFilter): Page<HarnessTrace> {
    const [before = 0] = filter.cursor === undefined ? [Number.POSITIVE_INFINITY] : decodeCursor("t", filter.cursor);
    const sessionId = filter.sessionId === undefined ? undefined : wellFormed(filter.sessionId);
    const owner = filter.owner === undefined ? undefined : wellFormed(filter.owner);
    const items: HarnessTrace[] = [];
    let last = 0;
    for (let index = this.byAge.length - 1; index >= 0; index--) {
      const found = this.byAge[index];
      if (found === undefined || found.key >= before) continue;
      const { trace } = found.record;
      if (owner !== undefined && found.record.owner !== owner) continue;
      if (sessionId !== undefined && trace.sessionId !== sessionId) continue;
      if (filter.status !== undefined && trace.status !== filter.status) continue;
      if (items.length === filter.limit) return { items, nextCursor: encodeCursor("t", [last]) };
      items.push(jsonCopy(trace));
      last = found.key;
    }
    return { items, nextCursor: undefined };
  }
}
