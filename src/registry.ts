/** The bill of materials: every provider and store there is. Each is loaded on first use. */
import { defaults } from "./contract/defaults.ts";
import type { ProviderEntry } from "./providers/provider.ts";
import type { Store, StoreOptions } from "./store/store.ts";
import type { Tool } from "./tools/tool.ts";

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
  { name: "scripted", aliases: [], needsModel: false, load: async () => (await import("./providers/scripted.ts")).scripted },
];

/** `:memory:` keeps everything in this process; anything else is a database file. */
export async function openStore(options: StoreOptions): Promise<Store> {
  if (options.path === ":memory:") return (await import("./store/memory.ts")).openMemoryStore(options);
  return (await import("./store/sqlite.ts")).openSqliteStore(options);
}

export async function loadTools(options: { enabled: readonly string[]; roots: readonly string[]; now(): number }): Promise<Tool[]> {
  if (options.enabled.length === 0) return [];
  return (await import("./tools/builtin.ts")).builtinTools(options);
}
