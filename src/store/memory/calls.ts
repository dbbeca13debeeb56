import type { ToolResult } from "../../contract/model.ts";
import { KEY_KEPT_MS } from "../idempotency.ts";
import type { IdempotencyMark } from "../store.ts";
import { jsonCopy, wellFormed } from "../text.ts";

interface Call {
  digest: string;
  result: ToolResult | undefined;
  beganAt: number;
}

/** The journal of keyed calls. Calls never lose their process here: the journal goes with it. */
export class Calls {
  private readonly now: () => number;
  /** In the order in which they began. */
  private readonly calls = new Map<string, Call>();

  constructor(now: () => number) {
    this.now = now;
  }

  begin(mark: IdempotencyMark): "begun" | { digest: string; result: ToolResult | undefined } {
    const now = this.now();
    for (const [key, call] of this.calls) {
      if (call.beganAt > now - KEY_KEPT_MS) break;
      this.calls.delete(key);
    }
    const key = wellFormed(mark.key);
    const known = this.calls.get(key);
    if (known !== undefined) return { digest: known.digest, result: known.result === undefined ? undefined : jsonCopy(known.result) };
    this.calls.set(key, { digest: wellFormed(mark.digest), result: undefined, beganAt: now });
    return "begun";
  }

  end(key: string, result: ToolResult | undefined): void {
    const call = this.calls.get(wellFormed(key));
    if (result === undefined) {
      if (call?.result === undefined) this.calls.delete(wellFormed(key));
    } else if (call !== undefined) call.result ??= jsonCopy(result);
  }
}
