import type { Traces } from "../runtime/traces.ts";
import type { Handlers } from "./dispatch.ts";

type Family = Extract<keyof Handlers, `trace.${string}`>;

export function traceMethods(traces: Traces): Pick<Handlers, Family> {
  return {
    "trace.fetch": ({ traceId }) => traces.fetch(traceId),
    "trace.list": (params, { door }) => traces.list(params, door.caller),
  };
}
