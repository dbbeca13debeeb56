import { methods } from "../contract/index.ts";
import type { Call } from "../rpc/request.ts";
import { type Meter, measured, outcomeOf } from "../runtime/meter.ts";

/** The same answers, with every request counted by its method and how it ended. */
export function metered<D extends unknown[]>(answer: (call: Call, ...door: D) => unknown, meter: Meter): (call: Call, ...door: D) => unknown {
  return (call, ...door) => {
    const ended = meter.request(Object.hasOwn(methods, call.method) ? call.method : "unknown");
    if (ended === undefined) return answer(call, ...door);
    try {
      return measured(answer(call, ...door), ended);
    } catch (error) {
      ended(outcomeOf(error));
      throw error;
    }
  };
}
