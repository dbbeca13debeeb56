import { HOST } from "../../contract/caller.ts";
import type { HarnessTrace, TraceEvent, TraceSpan } from "../../contract/model.ts";
import { fail } from "../../errors.ts";
import { decodeCursor, encodeCursor } from "../cursor.ts";
import { storageFailure } from "../failures.ts";
import { hasEnded } from "../messages.ts";
import type { Page, TraceFilter, TraceRecord } from "../store.ts";
import { fromColumn, toColumn, toJson } from "../text.ts";
import { array, type Connection, number, object, text } from "./connection.ts";
import type { Row, Value } from "./driver.ts";

/** The traces table. What is listed is one JSON column, spans and events another. */
export class Traces {
  private readonly connection: Connection;

  constructor(connection: Connection) {
    this.connection = connection;
  }

  /** A trace keeps the place in the list, and the owner, that it had when it was first saved. */
  save(record: TraceRecord): void {
    const { trace, owner = HOST.subject } = record;
    this.connection.run(
      `INSERT INTO traces (trace_id, subject, session_id, status, trace, detail) VALUES (?, ?, ?, ?, ?, ?)
       ON CONFLICT (trace_id) DO UPDATE SET session_id = excluded.session_id, status = excluded.status, trace = excluded.trace, detail = excluded.detail`,
      toColumn(trace.traceId),
      toColumn(owner),
      trace.sessionId === undefined ? null : toColumn(trace.sessionId),
      trace.status,
      toJson(trace),
      toJson([record.spans, record.events]),
    );
  }

  /** Saves the end of a trace, unless it has one. */
  end(record: TraceRecord): void {
    const row = this.connection.get("SELECT * FROM traces WHERE trace_id = ?", toColumn(record.trace.traceId));
    if (row === undefined || !hasEnded(toTrace(row))) this.save(record);
  }

  /** Changes what is listed of a trace, if it is still kept. */
  amend(traceId: string, changes: Partial<HarnessTrace>): void {
    const row = this.connection.get("SELECT * FROM traces WHERE trace_id = ?", toColumn(traceId));
    if (row === undefined) return;
    const trace = { ...toTrace(row), ...changes };
    this.connection.run("UPDATE traces SET status = ?, trace = ? WHERE trace_key = ?", trace.status, toJson(trace), number(row, "trace_key"));
  }

  get(traceId: string): TraceRecord {
    const row = this.connection.get("SELECT * FROM traces WHERE trace_id = ?", toColumn(traceId));
    if (row === undefined) throw fail("trace_not_found", { traceId });
    const [spans, events] = array(row, "detail");
    if (!Array.isArray(spans) || !Array.isArray(events)) throw storageFailure("corrupt");
    return { owner: fromColumn(text(row, "subject")), trace: toTrace(row), spans: spans as TraceSpan[], events: events as TraceEvent[] };
  }

  ownerOf(traceId: string): string | undefined {
    const row = this.connection.get("SELECT subject FROM traces WHERE trace_id = ?", toColumn(traceId));
    return row === undefined ? undefined : fromColumn(text(row, "subject"));
  }

  /** Newest first. */
  list(filter: TraceFilter): Page<HarnessTrace> {
    const conditions: string[] = [];
    const values: Value[] = [];
    if (filter.owner !== undefined) {
      conditions.push("subject = ?");
      values.push(toColumn(filter.owner));
    }
    if (filter.sessionId !== undefined) {
      conditions.push("session_id = ?");
      values.push(toColumn(filter.sessionId));
    }
    if (filter.status !== undefined) {
      conditions.push("status = ?");
      values.push(filter.status);
    }
    if (filter.cursor !== undefined) {
      conditions.push("trace_key < ?");
      values.push(...decodeCursor("t", filter.cursor));
    }
    const where = conditions.length === 0 ? "" : `WHERE ${conditions.join(" AND ")}`;
    const rows = this.connection.all(`SELECT trace_key, trace FROM traces ${where} ORDER BY trace_key DESC LIMIT ?`, ...values, filter.limit + 1);
    const items = rows.slice(0, filter.limit);
    const last = items.at(-1);
    return {
      items: items.map(toTrace),
      nextCursor: rows.length > items.length && last !== undefined ? encodeCursor("t", [number(last, "trace_key")]) : undefined,
    };
  }

  /** Deletes those beyond the newest `keep`, oldest first and at most `most` of them. How many. */
  prune(keep: number, most: number): number {
    // Counting reads the smallest index; looking for the place in the table would read every trace.
    const excess = number(this.connection.get("SELECT count(*) AS traces FROM traces") ?? {}, "traces") - keep;
    if (excess <= 0) return 0;
    return this.connection.run("DELETE FROM traces WHERE trace_key IN (SELECT trace_key FROM traces ORDER BY trace_key LIMIT ?)", Math.min(excess, most));
  }
}

function toTrace(row: Row): HarnessTrace {
  const trace = object(row, "trace");
  text(trace, "traceId");
  // `toJson` of a HarnessTrace is the only thing that is ever written to this column.
  return trace as HarnessTrace;
}
