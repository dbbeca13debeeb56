import type { ContainerStatus } from "../../contract/status.ts";
import type { Programs } from "./programs.ts";

/** A coding agent for the command line. */
export type AgentCli = ContainerStatus["dhf"] & {
  /** Whether it has answered and no other goes before it: looking again would change nothing. */
  isSure: boolean;
};

export const NO_AGENT_CLI: AgentCli = { name: null, version: null, isSure: false };

/** The first that answers is taken. */
const NAMES = ["claude", "gemini", "codex", "aider", "opencode"] as const;
/** Of what `--version` prints: one line, and maybe a notice before it. */
const MOST_BYTES = 4096;

/**
 * The first CLI on PATH that answers `--version`, else the first there is, without a version. All are
 * asked at a time, so one that hangs costs no more than itself.
 */
export async function findAgentCli(programs: Programs): Promise<AgentCli> {
  const asked = await Promise.all(NAMES.map((name) => ask(name, programs)));
  const found = asked.filter((each) => each !== undefined);
  const [first] = found;
  if (first === undefined) return NO_AGENT_CLI;
  const { name, line } = found.find((each) => each.line !== undefined) ?? first;
  return { name, version: line === undefined ? null : versionIn(line), isSure: first.line !== undefined };
}

/** The first version number in a text: `2.1.20` of `2.1.20 (Claude Code)`, `1.2.3-rc.1` of `v1.2.3-rc.1`. */
export function versionIn(text: string): string | null {
  return /\d{1,9}(?:\.\d{1,9}){1,4}(?:-[a-z\d]{1,20}(?:[.-][a-z\d]{1,20}){0,4})?/i.exec(text)?.[0] ?? null;
}

async function ask(name: (typeof NAMES)[number], programs: Programs) {
  const command = await programs.find(name);
  if (command === undefined) return undefined;
  return { name, line: await programs.ask({ command, args: ["--version"], mostBytes: MOST_BYTES }) };
}
