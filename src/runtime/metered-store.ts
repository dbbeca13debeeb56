import type { Store } from "../store/store.ts";
import { type Meter, measured, outcomeOf } from "./meter.ts";

/** Looked at, not asked: these say what is known already. */
const UNMEASURED = new Set<PropertyKey>(["health", "close", "closeSync"] satisfies (keyof Store)[]);

/** The same store, with everything that is asked of it timed, under the name of the function. */
export function meteredStore(store: Store, meter: Meter): Store {
  const functions = new Map<PropertyKey, unknown>();
  return new Proxy(store, {
    get(target, name) {
      if (functions.has(name)) return functions.get(name);
      // Its own object is `this`: a store may have private fields.
      const value: unknown = Reflect.get(target, name, target);
      if (typeof value !== "function") return value;
      const call = (...args: unknown[]): unknown => Reflect.apply(value, target, args);
      const timed = UNMEASURED.has(name) ? call : (...args: unknown[]) => ask(String(name), meter, () => call(...args));
      functions.set(name, timed);
      return timed;
    },
  });
}

function ask(operation: string, meter: Meter, call: () => unknown): unknown {
  const ended = meter.storeOperation(operation);
  if (ended === undefined) return call();
  try {
    return measured(call(), ended);
  } catch (error) {
    ended(outcomeOf(error));
    throw error;
  }
}
