import type { McpServer } from "../contract/config.ts";
import { registerSecret } from "../redact.ts";
import { mayName } from "./mcp/names.ts";
import { type McpDeps, Server } from "./mcp/server.ts";
import type { Tool, ToolSource } from "./tool.ts";
import { atMost } from "./waiting.ts";

/** How long the servers have to end. */
const CLOSE_MS = 1000;

/**
 * The tools of MCP servers, named `mcp__<server>__<tool>`. Nothing is started before `tools` or `find`
 * is called; from then on each server is shared by all. A server that cannot be used has no tools, and
 * the others do not notice: why is in the log.
 */
export function createMcpSources(servers: Readonly<Record<string, McpServer>>, deps: McpDeps): ToolSource {
  const names = Object.keys(servers);
  // Loaded on first use: it takes longer than the rest of the start.
  const loadLibrary = () => import("@modelcontextprotocol/client");
  const all = Object.entries(servers).map(([name, config]) => {
    registerCredentials(config);
    return { name, server: new Server(name, config, { ...deps, others: names.filter((other) => other !== name), loadLibrary }) };
  });

  const meantBy = (patterns: readonly string[]) => all.filter(({ name }) => patterns.some((pattern) => mayName(pattern, name)));

  return {
    async tools(patterns) {
      const found = new Map<string, Tool>();
      const asked = patterns === undefined ? all : meantBy(patterns);
      for (const tool of (await Promise.all(asked.map(({ server }) => server.tools()))).flat()) {
        // Names end in a hash where they might meet, so this takes a server that is looking for it.
        if (!found.has(tool.name)) found.set(tool.name, tool);
      }
      return [...found.values()];
    },

    patienceMs(patterns) {
      const asked = meantBy(patterns);
      return asked.length === 0 ? undefined : Math.max(...asked.map(({ server }) => server.startTimeoutMs));
    },

    get known() {
      return all.reduce((sum, { server }) => sum + server.known, 0);
    },

    async find(name) {
      const found = await Promise.all(meantBy([name]).map(({ server }) => server.find(name)));
      return found.find((tool) => tool !== undefined);
    },

    async close() {
      await atMost(Promise.all(all.map(({ server }) => server.close())), CLOSE_MS);
    },
  };
}

/** `Authorization: Bearer …`: the token alone is a secret too. */
function registerCredentials({ headers }: McpServer): void {
  for (const [name, value] of Object.entries(headers)) {
    if (name.toLowerCase().endsWith("authorization")) registerSecret(value.replace(/^\w+\s+/, ""));
  }
}
