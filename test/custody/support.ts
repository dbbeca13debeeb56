import { readdirSync, readFileSync } from "node:fs";
import { onTestFinished } from "vitest";
import { type CustodyOptions, createCustody } from "../../src/custody/create.ts";
import type { Custody, Program, Ward } from "../../src/custody/custody.ts";
import { Watermarks } from "../../src/custody/watermark.ts";
import { until } from "../support/until.ts";

export { until };

/** False on machines that lack prlimit of util-linux. */
export const hasWatermarks = (await new Watermarks("prlimit").next()) !== undefined;

/** A custody that is closed when the test is over. */
export function testCustody(options: CustodyOptions = {}): Custody {
  const custody = createCustody(options);
  onTestFinished(() => custody.close());
  return custody;
}

/** Whether the process is there and no zombie. */
export function isAlive(pid: number): boolean {
  const state = stateOf(pid);
  return state !== undefined && state !== "Z";
}

export function zombieChildren(): number[] {
  return pids().filter((pid) => {
    const [state, parent] = fieldsOf(pid);
    return state === "Z" && Number(parent) === process.pid;
  });
}

export function childrenOf(parent: number): number[] {
  return pids().filter((pid) => Number(fieldsOf(pid)[1]) === parent);
}

export function openDescriptors(): number {
  return readdirSync("/proc/self/fd").length;
}

export function shell(script: string, more: Partial<Program> = {}): Program {
  return { command: "/bin/sh", args: ["-c", script], cwd: undefined, env: { PATH: process.env["PATH"] ?? "" }, kind: "tool", name: "test", ...more };
}

export function node(script: string, more: Partial<Program> = {}): Program {
  return { ...shell(""), command: process.execPath, args: ["-e", script], ...more };
}

/** Everything that it prints until its stdout ends. */
export async function output(ward: Ward): Promise<string> {
  let text = "";
  for await (const chunk of ward.stdout.setEncoding("utf8")) text += chunk;
  return text;
}

/** The lines that it has printed, as soon as there are `count`. */
export function lines(ward: Ward, count: number): Promise<string[]> {
  let text = "";
  ward.stdout.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
  return until(() => (text.split("\n").length > count ? text.split("\n").slice(0, count) : undefined), `${count} lines`);
}

/**
 * A script for `node -e` that starts a process as hard to find as can be: through a parent that ends at
 * once, in a session of its own, without pipes, with nothing in its environment. It prints the pid.
 */
export const FUGITIVE = `
  const last = "setInterval(() => {}, 1000); process.on('SIGTERM', () => {})";
  const middle = "const c = require('child_process').spawn(process.execPath, ['-e', " + JSON.stringify(last) + "], { detached: true, stdio: 'ignore', env: {} }); console.log(c.pid); c.unref()";
  require("child_process").spawnSync(process.execPath, ["-e", middle], { detached: true, stdio: ["ignore", "inherit", "ignore"], env: {} });
`;

function stateOf(pid: number): string | undefined {
  return fieldsOf(pid)[0];
}

function pids(): number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number);
}

/** State and parent. */
function fieldsOf(pid: number): string[] {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "utf8");
    return text.slice(text.lastIndexOf(")") + 2).split(" ");
  } catch {
    // Gone.
    return [];
  }
}
