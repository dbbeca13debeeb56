import type { ModelEvent } from "./provider.ts";
import type { SseEvent } from "./sse.ts";

/**
 * How one kind of model server talks: what its events mean. One is made for each attempt, and
 * remembers what is needed to finish (tool calls in pieces, usage, the reason).
 *
 * Every method adds to `out`. After a `finish` or `failure` nothing is added any more.
 */
export interface Dialect {
  /** True once `finish` or `failure` was added. */
  readonly isOver: boolean;
  /** True when the answer is whole and only the closing mark is missing: silence or a reset then end it well. */
  readonly isWhole: boolean;
  /** One event of the stream; true when it is a sign of life (pings are none). */
  event(event: SseEvent, out: ModelEvent[]): boolean;
  /** The whole answer in one JSON document, from servers that do not stream. */
  document(value: unknown, out: ModelEvent[]): void;
  /** The body has ended. Adds the `finish`, or a `truncated` failure. */
  end(out: ModelEvent[]): void;
}
