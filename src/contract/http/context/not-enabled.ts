/** What belongs to this surface and is not there. */
import * as z from "zod";
import { fail } from "../../../errors.ts";
import { ById } from "../by-id.ts";
import { route } from "../define.ts";

export const notEnabled = [
  ...["tools", "reflexive", "progressive", "stream-augmented", "agentic"].map((kind) =>
    absent("POST", `/sessions/{id}/dispatch/${kind}`, `Dispatch, ${kind}.`),
  ),
  absent("POST", "/sessions/{id}/ingest", "Takes in data from elsewhere."),
  absent("GET", "/sessions/{id}/facts", "The facts of a session."),
  absent("POST", "/sessions/{id}/facts/share", "Shares facts with another session."),
  absent("POST", "/sessions/{id}/facts/feedback", "Says how good a fact is."),
  absent("GET", "/sessions/{id}/envelope", "What would be sent along with a task."),
];

function absent(verb: "GET" | "POST", path: string, summary: string) {
  return route({
    surface: "context",
    verb,
    path,
    summary: `${summary} Not enabled: answered with 404.`,
    method: "system.ping",
    scope: verb === "GET" ? "read" : "write",
    request: { path: ById },
    status: 200,
    response: z.null(),
    params: () => ({}),
    reply: () => {
      throw fail("not_enabled");
    },
    errors: ["not_enabled"],
    example: {},
  });
}
