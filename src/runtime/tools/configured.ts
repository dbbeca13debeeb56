import type { Config } from "../../contract/config.ts";
import type { Log } from "../../log.ts";
import { messageOf } from "../../tools/result.ts";
import type { Tool, ToolSource } from "../../tools/tool.ts";
import { canonicalJson } from "../canonical.ts";
import type { ToolRegistry } from "./registry.ts";

export interface ConfiguredToolsDependencies {
  /** Makes the tools that the configuration names now. */
  tools(): Promise<Tool[]>;
  /** Makes the source of its MCP servers; undefined when it names none. */
  source(): Promise<ToolSource | undefined>;
  log: Log;
}

/** Keeps the registry in step with the configuration. Calls that run go on with the tool that they began with, except those of MCP servers, which are all started anew when one of them changes. */
export class ConfiguredTools {
  readonly #registry: ToolRegistry;
  readonly #deps: ConfiguredToolsDependencies;
  #source: ToolSource | undefined;
  #applied: Promise<void> = Promise.resolve();
  /** The configuration whose tools there are; undefined until there are any. */
  #held: Config | undefined;
  #fault: string | undefined;

  constructor(registry: ToolRegistry, deps: ConfiguredToolsDependencies) {
    this.#registry = registry;
    this.#deps = deps;
  }

  /** What is wrong with the tools of the configuration; undefined where nothing is. */
  get health(): { status: "error"; message: string } | undefined {
    return this.#fault === undefined ? undefined : { status: "error", message: this.#fault };
  }

  /** Resolves when the last change has taken effect, and rejects when it could not. */
  get applied(): Promise<void> {
    return this.#applied;
  }

  /** Never rejects: without its tools the sidecar is still of use, and its health tells. */
  async start(current: Config): Promise<void> {
    await this.#apply(current).catch((error: unknown) => this.#deps.log.error({ error }, "the tools of the configuration could not be made"));
  }

  changed(current: Config): void {
    const before = this.#applied.catch(() => undefined);
    this.#applied = before.then(() => this.#apply(current));
    // Whoever made the change waits for it; should nobody, the log knows.
    this.#applied.catch((error: unknown) => this.#deps.log.warn({ error }, "a change of the tools could not be applied"));
  }

  async #apply(current: Config): Promise<void> {
    const held = this.#held;
    if (held !== undefined && sameTools(current, held)) {
      // What could not be applied was taken back.
      this.#fault = undefined;
      return;
    }
    const before = this.#source;
    let source = before;
    try {
      const tools = await this.#deps.tools();
      // Servers that the change does not touch go on running.
      if (held === undefined || !sameServers(current, held)) source = await this.#deps.source();
      this.#registry.configure(tools, source);
    } catch (error) {
      this.#fault = messageOf(error);
      if (source !== before) await source?.close();
      throw error;
    }
    this.#held = current;
    this.#fault = undefined;
    this.#source = source;
    if (source !== before) await before?.close();
  }
}

function sameTools(a: Config, b: Config): boolean {
  return sameServers(a, b) && canonicalJson(a.tools) === canonicalJson(b.tools);
}

function sameServers(a: Config, b: Config): boolean {
  return canonicalJson([a.mcpServers, a.tools.timeoutMs]) === canonicalJson([b.mcpServers, b.tools.timeoutMs]);
}
