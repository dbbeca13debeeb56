/** The bill of materials: every provider and store there is. Each is loaded on first use. */
import type { Config } from "./contract/config.ts";
import { defaults } from "./contract/defaults.ts";
import type { Custody } from "./custody/custody.ts";
import type { Log } from "./log.ts";
import type { ProviderEntry } from "./providers/provider.ts";
import type { Store, StoreOptions } from "./store/store.ts";
import type { AttachmentReader } from "./tools/attachment.ts";
import type { Tool, ToolSource } from "./tools/tool.ts";

export { hostTool } from "./tools/host.ts";

export const providers: readonly ProviderEntry[] = [
  {
    name: "openai",
    aliases: ["openai_compat", "openai-compatible", "ollama"],
    localAliases: { ollama: "http://127.0.0.1:11434/v1" },
    apiKeyVariable: "OPENAI_API_KEY",
    defaultBaseUrl: defaults.baseUrl.openai,
    needsModel: true,
    load: async () => (await import("./providers/openai.ts")).openai,
  },
  {
    name: "anthropic",
    aliases: ["claude"],
    apiKeyVariable: "ANTHROPIC_API_KEY",
    defaultBaseUrl: defaults.baseUrl.anthropic,
    needsModel: true,
    load: async () => (await import("./providers/anthropic.ts")).anthropic,
  },
  { name: "echo", aliases: [], needsModel: false, load: async () => (await import("./providers/echo.ts")).echo },
  { name: "scripted", aliases: [], adminOptions: ["script"], needsModel: false, load: async () => (await import("./providers/scripted.ts")).scripted },
];

/** `:memory:` keeps everything in this process; anything else is a database file. */
export async function openStore(options: StoreOptions): Promise<Store> {
  if (options.path === ":memory:") return (await import("./store/memory.ts")).openMemoryStore(options);
  return (await import("./store/sqlite.ts")).openSqliteStore(options);
}

export interface ToolParts {
  config: Config;
  custody: Custody;
  env: NodeJS.ProcessEnv;
  log: Log;
  now(): number;
}

/** The tools of the configuration: built in, and programs. */
export async function loadTools({ config: { tools }, custody, env, now }: ToolParts): Promise<Tool[]> {
  const found: Tool[] = [];
  if (tools.builtin.length > 0) {
    const { builtinTools } = await import("./tools/builtin.ts");
    found.push(...builtinTools({ enabled: tools.builtin, roots: tools.roots, fetch: tools.fetch, custody, env, now }));
  }
  if (tools.process.length > 0) {
    const { processTool } = await import("./tools/process.ts");
    found.push(...tools.process.map((tool) => processTool(tool, custody, env)));
  }
  return found;
}

/** What reads the files that go with a turn, by the same rules as the file tools and `fetch_url`, whether these are switched on or not. */
export async function loadAttachmentReader({ tools: { roots, fetch } }: Config): Promise<AttachmentReader> {
  return (await import("./tools/builtin/attach/reader.ts")).attachmentReader({ roots, fetch });
}

/** The MCP servers of the configuration; undefined when there are none. None is started by this. `onChange`: one offers other tools than before. */
export async function loadMcpServers({ config, custody, env, log, now }: ToolParts, onChange: () => void): Promise<ToolSource | undefined> {
  if (Object.keys(config.mcpServers).length === 0) return undefined;
  const { createMcpSources } = await import("./tools/mcp.ts");
  return createMcpSources(config.mcpServers, { custody, env, log, now, onChange, timeoutMs: config.tools.timeoutMs });
}
