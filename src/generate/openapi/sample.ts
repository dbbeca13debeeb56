/** A stream as it goes over the wire, told by the teller of a route from the examples of the notifications. */
import type { StreamNotice, StreamTeller } from "../../contract/http/define.ts";
import { notifications } from "../../contract/index.ts";
import type { OperationFacts } from "./facts.ts";

/** The text of a short stream that goes well. */
export function sampleStream({ path, example }: OperationFacts, teller: (request: unknown) => StreamTeller): string {
  const names = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name ?? "");
  const told = teller({ path: Object.fromEntries(names.map((name) => [name, SAMPLE_ID])), query: {}, body: example.request ?? {}, requestId: SAMPLE_REQUEST });
  const events = [...told.begin(), ...notices.flatMap((notice) => told.tell(notice))];
  return events.map(({ event, data }) => `event: ${event}\ndata: ${JSON.stringify(data)}\n\n`).join("");
}

const SAMPLE_ID = "550e8400-e29b-41d4-a716-446655440000";
const SAMPLE_REQUEST = "0b9ccf0e-5d39-4f0f-8a53-1f6f2b1f6a7e";

const notices: StreamNotice[] = [
  { method: "stream.chunk", params: notifications["stream.chunk"].example.params },
  { method: "stream.done", params: { ...notifications["stream.done"].example.params, turns: 1 } },
];
