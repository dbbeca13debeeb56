/** The surfaces as tags, in the order in which a reader meets them. */
import type { Surface } from "../../contract/http/define.ts";

export const surfaces: Record<Surface, { name: string; description: string }> = {
  completions: {
    name: "Completions and sessions",
    description: "One-shot completions, and sessions that remember. Streams are server-sent events.",
  },
  context: {
    name: "Sessions with context",
    description: "Sessions that tasks are dispatched to. Field names are in snake case.",
  },
  container: {
    name: "Container",
    description: "What orchestrators and monitors ask for: whether the process is there, whether it is ready, what it runs, and its figures.",
  },
  own: {
    name: "Sidecar",
    description: "The methods of protocol.md over HTTP, the events of streams, and the description of all of this.",
  },
};
