import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, onTestFinished } from "vitest";
import type { z } from "zod";
import { Config } from "../../../src/contract/config.ts";
import type { ChildProcess } from "../../../src/contract/system.ts";
import { createCustody } from "../../../src/custody/create.ts";
import { createLog, type LogLevel } from "../../../src/log.ts";
import { createMcpSources } from "../../../src/tools/mcp.ts";
import type { McpResult } from "../../../src/tools/mcp/result.ts";
import { ToolFailure, type ToolSource } from "../../../src/tools/tool.ts";
import { root } from "../../support/root.ts";
import { until } from "../../support/until.ts";

export { until };

type Servers = NonNullable<z.input<typeof Config>["mcpServers"]>;
type Server = Servers[string];

export interface Bench {
  sources: ToolSource;
  /** Calls a tool by its offered name. */
  call(name: string, args?: Record<string, unknown>, more?: { signal?: AbortSignal; timeoutMs?: number }): Promise<McpResult>;
  /** The same, of a call that has to fail. */
  failure(name: string, args?: Record<string, unknown>, more?: { signal?: AbortSignal; timeoutMs?: number }): Promise<ToolFailure>;
  names(): Promise<string[]>;
  /** How often `onChange` was called. */
  changes(): number;
  children(): Promise<ChildProcess[]>;
  /** Ends all programs, as a shutdown does. */
  closeCustody(): Promise<void>;
  /** Records of the log, parsed. */
  log: Record<string, unknown>[];
  /** Milliseconds that the clock of the sources is ahead. */
  ahead: number;
}

export interface BenchOptions {
  timeoutMs?: number;
  env?: NodeJS.ProcessEnv;
  level?: LogLevel;
}

/** Sources over the real custody; both are closed when the test is over. */
export function bench(servers: Servers, { timeoutMs = 20_000, env = process.env, level = "INFO" }: BenchOptions = {}): Bench {
  const log: Record<string, unknown>[] = [];
  const custody = createCustody();
  const { mcpServers } = Config.parse({ mcpServers: servers });
  let changes = 0;
  const sources = createMcpSources(mcpServers, {
    custody,
    env,
    timeoutMs,
    log: createLog({ level, write: (line) => log.push(JSON.parse(line)) }),
    now: () => Date.now() + made.ahead,
    onChange: () => changes++,
  });
  onTestFinished(async () => {
    await sources.close();
    await custody.close();
  });

  const call: Bench["call"] = async (name, args = {}, more = {}) => {
    const tool = await sources.find(name);
    if (tool === undefined) throw new Error(`no tool ${name}`);
    const signal = more.signal ?? new AbortController().signal;
    return (await tool.run(args, { signal, callId: "call", timeoutMs: more.timeoutMs ?? tool.timeoutMs ?? timeoutMs })) as McpResult;
  };
  const made: Bench = {
    sources,
    call,
    async failure(name, args, more) {
      const error: unknown = await call(name, args, more).then(
        (result) => new Error(`it succeeded: ${JSON.stringify(result).slice(0, 200)}`),
        (thrown: unknown) => thrown,
      );
      expect(error).toBeInstanceOf(ToolFailure);
      return error as ToolFailure;
    },
    names: async () => (await sources.tools()).map((tool) => tool.name),
    changes: () => changes,
    children: () => custody.children(),
    closeCustody: () => custody.close(),
    log,
    ahead: 0,
  };
  return made;
}

const script = fileURLToPath(new URL("fake-server.mjs", import.meta.url));

/** The server of fake-server.mjs. */
export function fake(options: Record<string, unknown> = {}, more: Partial<Server> = {}): Server {
  return { command: process.execPath, args: [script, JSON.stringify(options)], ...more };
}

/** A file that each start of a fake server is written to (`record`), and what stands there. */
export function startRecord(): { record: string; pids(): number[] } {
  const folder = mkdtempSync(join(tmpdir(), "mcp-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const record = join(folder, "starts");
  return { record, pids: () => readFileSync(record, { encoding: "utf8", flag: "a+" }).split("\n").filter(Boolean).map(Number) };
}

/** The program of an MCP server from the npm registry. */
export function published(name: string): string {
  const folder = join(root, "node_modules", name);
  const { bin } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8")) as { bin: Record<string, string> };
  return join(folder, Object.values(bin)[0] as string);
}

export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
