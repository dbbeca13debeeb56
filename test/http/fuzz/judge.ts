import { eventsIn, type Described, type Description, type Seen } from "./description.ts";
import type { Drawn } from "./requests.ts";

/** What every answer has, whatever it is. */
const common = { "x-content-type-options": "nosniff", "cache-control": "no-store" };

/** What is wrong with an answer to a request; empty where all is as the description says. */
export function faultsOf(description: Description, described: Described, drawn: Drawn, seen: Seen): string[] {
  const { status, headers, text } = seen;
  // Where the address is none of the operation's, it is said so as everywhere.
  if (status === 404 && drawn.isOddAddress && text.includes('"code":"not_found"')) return [];
  return [
    ...(status >= 500 ? [`the status ${status}`] : []),
    ...Object.entries(common).flatMap(([name, value]) => (headers[name] === value ? [] : [`${name} is ${headers[name]}`])),
    ...description.surprises(described, seen),
    ...lastEventFaults(seen),
    ...bodyFaults(description, described, drawn, seen),
  ];
}

/** Streams come to an end that says how it went. */
function lastEventFaults({ headers, text }: Seen): string[] {
  if (headers["content-type"]?.includes("text/event-stream") !== true) return [];
  const last = eventsIn(text).at(-1)?.event;
  return last !== undefined && ["finished", "error", "stream.done", "stream.error"].includes(last) ? [] : [`the stream ends with ${last}`];
}

/** A body is refused just where it does not fit its schema. */
function bodyFaults(description: Description, { operation, name }: Described, { body }: Drawn, { status, text }: Seen): string[] {
  const schema = operation.requestBody?.content["application/json"]?.schema;
  // A frame is answered with a frame.
  if (schema === undefined || !("value" in body) || name === "POST /rpc" || status === 415) return [];
  const unfit = description.faults(schema, body.value);
  if (unfit.length > 0) return status === 400 ? [] : [`a body that does not fit (${unfit.join("; ")}) is taken`];
  return status === 400 && /"message":"(body\b|The body)/.test(text) ? ["a body that fits its schema is refused"] : [];
}
