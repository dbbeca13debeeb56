import * as z from "zod";
import { stat } from "node:fs/promises";
import nodePath from "node:path";
import type { ContainerStatus } from "../../contract/status.ts";
import type { Programs } from "./programs.ts";

export type Cstack = ContainerStatus["workspace"]["cstack"];

const NO_TASKS = { open: 0, ready: 0, in_progress: 0, blocked: 0, closed: 0, total: 0 };
export const NO_CSTACK: Cstack = { exists: false, ...NO_TASKS };

/** Of what `cs stats --json` prints. */
const MOST_BYTES = 64 * 1024;

/** The tasks of a workspace, as its `cs` counts them; all 0 where it is missing or fails. Never rejects. */
export async function countTasks(workspace: string, programs: Programs): Promise<Cstack> {
  if (!(await isFolder(nodePath.join(workspace, ".cstack")))) return NO_CSTACK;
  const command = await programs.find("cs");
  const text = command === undefined ? undefined : await programs.ask({ command, args: ["stats", "--json"], cwd: workspace, mostBytes: MOST_BYTES });
  return { exists: true, ...(text === undefined ? NO_TASKS : tasksIn(text)) };
}

const count = z.int().min(0).catch(0);
const Stats = z.object({ open: count, ready: count, in_progress: count, blocked: count, closed: count, total: z.int().min(0).optional().catch(undefined) });

/** What is no count is 0; a total that is not given is the sum of the others. */
function tasksIn(text: string): Omit<Cstack, "exists"> {
  const parsed = Stats.safeParse(jsonIn(text));
  if (!parsed.success) return NO_TASKS;
  const { total, ...tasks } = parsed.data;
  return { ...tasks, total: total ?? Object.values(tasks).reduce((sum, each) => sum + each, 0) };
}

function jsonIn(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // A program that prints something else has nothing to tell.
    return undefined;
  }
}

async function isFolder(path: string): Promise<boolean> {
  // What cannot be looked at is not there for us.
  return (await stat(path).catch(() => undefined))?.isDirectory() === true;
}
