/** Who is asking, and what there is: keys, models, roles, agents, knowledge bases. */
import * as z from "zod";
import { fail } from "../../errors.ts";
import { SCOPES } from "../caller.ts";
import { route } from "./define.ts";

export const authCheck = route({
  surface: "completions",
  verb: "POST",
  path: "/v1/auth/check",
  summary: "Checks the key, and says whose it is.",
  method: "system.identity",
  request: {},
  status: 200,
  response: z.object({ subject: z.string(), scopes: z.array(z.enum(SCOPES)) }),
  params: () => ({}),
  reply: ({ subject, scopes }) => ({ subject, scopes }),
  example: { response: { subject: "alice", scopes: ["read", "write"] } },
});

export const info = route({
  surface: "completions",
  verb: "GET",
  path: "/v1/info",
  summary: "What is running here, and how it is.",
  method: "system.ping",
  request: {},
  status: 200,
  response: z.object({
    name: z.string(),
    version: z.string(),
    protocol_version: z.string(),
    status: z.enum(["starting", "ok", "degraded", "shutting_down"]),
    uptime_seconds: z.number().min(0),
    platform: z.string(),
    providers: z.array(z.string()).describe("Used in this run."),
    tools: z.int().min(0).describe("How many there are."),
  }),
  params: () => ({}),
  reply: ({ version, protocolVersion, status, uptimeMs, platform, loadedProviders, loadedTools }) => ({
    name: "steerable-sidecar",
    version,
    protocol_version: protocolVersion,
    status,
    uptime_seconds: uptimeMs / 1000,
    platform,
    providers: loadedProviders,
    tools: loadedTools,
  }),
  example: {
    response: {
      name: "steerable-sidecar",
      version: "0.1.0",
      protocol_version: "0.1.0",
      status: "ok",
      uptime_seconds: 12.3,
      platform: "linux-x64",
      providers: [],
      tools: 0,
    },
  },
});

export const models = route({
  surface: "completions",
  verb: "GET",
  path: "/v1/models",
  summary: "The models that are configured.",
  method: "agent.model.list",
  request: {},
  status: 200,
  response: z.array(z.object({ id: z.string().describe("`provider:name`"), provider: z.string(), name: z.string() })),
  params: () => ({}),
  reply: ({ models: configured }) => configured.map(({ id, provider, model }) => ({ id, provider, name: model })),
  example: { response: [{ id: "openai:gpt-4o", provider: "openai", name: "gpt-4o" }] },
});

export const agents = nothingYet("/v1/agents", "The agents that are installed.");
export const roles = nothingYet("/v1/roles", "The roles that are installed.");
export const rags = nothingYet("/v1/rags", "The knowledge bases that are installed.");

export const rebuildRag = route({
  surface: "completions",
  verb: "POST",
  path: "/v1/rags/{name}/rebuild",
  summary: "Builds the index of a knowledge base anew.",
  method: "system.ping",
  scope: "write",
  request: { path: z.object({ name: z.string().min(1).max(256) }) },
  status: 200,
  response: z.object({ name: z.string() }),
  params: () => ({}),
  reply: (_, { path }) => {
    throw fail("rag_not_found", { rag: path.name });
  },
  errors: ["rag_not_found"],
  example: {},
});

/** A list of what cannot be installed yet. */
function nothingYet(path: string, summary: string) {
  return route({
    surface: "completions",
    verb: "GET",
    path,
    summary,
    method: "system.ping",
    request: {},
    status: 200,
    response: z.array(z.object({ name: z.string() })),
    params: () => ({}),
    reply: () => [],
    example: { response: [] },
  });
}
