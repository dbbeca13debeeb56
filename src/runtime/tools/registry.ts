import type { ToolDescriptor } from "../../contract/model.ts";
import { fail } from "../../errors.ts";
import { nearest } from "../../nearest.ts";
import { describe, type Tool, type ToolMode, type ToolSource } from "../../tools/tool.ts";

/** Tools of a source begin with this; no other tool may. */
const SOURCE_PREFIX = "mcp__";

/** Which tools there are: those of the configuration, those that the host has registered, and those of sources that have to be asked. */
export class ToolRegistry {
  #configured: ReadonlyMap<string, Tool> = new Map();
  #host: ReadonlyMap<string, Tool> = new Map();
  #source: ToolSource | undefined;
  /** How many the source had when it was asked last. */
  #sourceCount = 0;

  /** How many tools are known without asking anybody. */
  get count(): number {
    return this.#configured.size + this.#host.size + this.#sourceCount;
  }

  /** The configuration has changed: its tools and the source are replaced. Rejects with `invalid_params` when two have one name, and then changes nothing. */
  configure(tools: readonly Tool[], source: ToolSource | undefined): void {
    const configured = new Map<string, Tool>();
    for (const tool of tools) {
      if (configured.has(tool.name)) throw fail("invalid_params", { tool: tool.name }, `Two tools are named "${tool.name}"`);
      this.#refuseTaken(tool.name, this.#host);
      configured.set(tool.name, tool);
    }
    this.#configured = configured;
    this.#source = source;
    this.#sourceCount = 0;
  }

  /** The host offers tools; those of the same name that it offered before are replaced. All of them are taken, or none. Names of all its tools. */
  register(tools: readonly Tool[]): string[] {
    const host = new Map(this.#host);
    const given = new Set<string>();
    for (const tool of tools) {
      this.#refuseTaken(tool.name, this.#configured);
      if (given.has(tool.name)) throw fail("invalid_params", { tool: tool.name }, `Two tools are named "${tool.name}"`);
      if (!/^[\w-]{1,64}$/.test(tool.name)) {
        throw fail(
          "invalid_params",
          { tool: tool.name.slice(0, 128) },
          `"${tool.name.slice(0, 128)}": use 1 to 64 letters, digits, _ and -, as model servers ask for`,
        );
      }
      given.add(tool.name);
      host.set(tool.name, tool);
    }
    this.#host = host;
    return [...host.keys()];
  }

  /** The host takes tools back, all of them when `names` is undefined. Names of those that are left. */
  unregister(names: readonly string[] | undefined): string[] {
    this.#host = names === undefined ? new Map() : new Map([...this.#host].filter(([name]) => !names.includes(name)));
    return [...this.#host.keys()];
  }

  /** Undefined for a tool that the host does not offer, or not any more. */
  modeOfHostTool(name: string): ToolMode | undefined {
    return this.#host.get(name)?.mode;
  }

  async list(): Promise<ToolDescriptor[]> {
    return (await this.#all()).map(describe);
  }

  async find(name: string): Promise<Tool | undefined> {
    return this.#configured.get(name) ?? this.#host.get(name) ?? (name.startsWith(SOURCE_PREFIX) ? await this.#source?.find(name) : undefined);
  }

  /**
   * Refuses patterns of `useTools` that can name nothing, without asking the source: what that will have
   * is not known yet. Throws `invalid_params` with `nearest`.
   */
  check(patterns: readonly string[]): void {
    const known = [...this.#configured.keys(), ...this.#host.keys()];
    for (const [index, pattern] of patterns.entries()) {
      if (pattern.endsWith("*") || pattern.startsWith(SOURCE_PREFIX) || known.includes(pattern)) continue;
      const close = nearest(pattern, known);
      throw fail(
        "invalid_params",
        { path: `useTools[${index}]`, ...(close === undefined ? {} : { nearest: close }) },
        `No tool is named "${pattern.slice(0, 128)}"${close === undefined ? "" : `; did you mean "${close}"?`}`,
      );
    }
  }

  /** The tools that the patterns of `useTools` name: `*`, a name, or the beginning of one before a `*`. */
  async select(patterns: readonly string[]): Promise<Tool[]> {
    if (patterns.length === 0) return [];
    return (await this.#all(patterns)).filter((tool) => patterns.some((pattern) => matches(pattern, tool.name)));
  }

  /** How long a source may take that has to be asked, in milliseconds: as long as a server takes to start. Undefined where none has to be. */
  patienceMs(patterns: readonly string[]): number | undefined {
    return patterns.some(mayMeanSource) ? this.#source?.patienceMs(patterns) : undefined;
  }

  /** The source has other tools than before; `count` follows. */
  recount(): void {
    this.#sourceCount = this.#source?.known ?? 0;
  }

  /** Those of the source as far as the patterns may mean them, all when there are no patterns. */
  async #all(patterns?: readonly string[]): Promise<Tool[]> {
    const own = [...this.#configured.values(), ...this.#host.values()];
    if (this.#source === undefined || patterns?.some(mayMeanSource) === false) return own;
    const others = await this.#source.tools(patterns);
    this.recount();
    return [...own, ...others];
  }

  #refuseTaken(name: string, others: ReadonlyMap<string, Tool>): void {
    if (others.has(name)) throw fail("invalid_params", { tool: name }, `There is another tool named "${name}"`);
    if (name.startsWith(SOURCE_PREFIX))
      throw fail("invalid_params", { tool: name }, `Names that begin with ${SOURCE_PREFIX} are those of MCP servers: "${name}"`);
  }
}

function mayMeanSource(pattern: string): boolean {
  return pattern.startsWith(SOURCE_PREFIX) || (pattern.endsWith("*") && SOURCE_PREFIX.startsWith(pattern.slice(0, -1)));
}

/** `*` at the end of a pattern stands for anything. */
export function matches(pattern: string, name: string): boolean {
  return pattern.endsWith("*") ? name.startsWith(pattern.slice(0, -1)) : pattern === name;
}
