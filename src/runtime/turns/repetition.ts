import type { ToolCall } from "../../contract/model.ts";
import { canonicalJson } from "../canonical.ts";

/** How often one call may be made again without a pause. */
const MOST = 3;

/**
 * Finds a model that goes round in circles: the same tool with the same arguments, in one model call
 * after the other. A step without the call starts the count anew, so that a test may be run after
 * every change.
 */
export class Repetition {
  #before = new Map<string, number>();
  #now = new Map<string, number>();

  /** A model call is done; what it asks for is counted next. */
  nextStep(): void {
    this.#before = this.#now;
    this.#now = new Map();
  }

  /** Why the call is not to be run; undefined where it may. */
  count(call: ToolCall): string | undefined {
    const key = `${call.name} ${canonicalJson(call.arguments)}`;
    const times = (this.#now.get(key) ?? this.#before.get(key) ?? 0) + 1;
    this.#now.set(key, times);
    return times > MOST
      ? `This very call was made ${MOST} times in a row and is not run again; use the results that you have, or try something else`
      : undefined;
  }
}
