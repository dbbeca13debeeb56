import type { Call } from "./call.ts";
import { credentials } from "./dangers/credentials.ts";
import type { Danger } from "./dangers/danger.ts";
import { disk } from "./dangers/disks.ts";
import { deletes } from "./dangers/files.ts";
import { system } from "./dangers/machine.ts";
import { outside } from "./dangers/outside.ts";
import { history } from "./dangers/repositories.ts";
import { privilege } from "./dangers/rights.ts";

/** The table of dangers, by class, in the order in which they are told. What depends on paths is in `places.ts`. */
export const dangers: Readonly<Record<string, readonly Danger[]>> = { deletes, privilege, disk, history, credentials, system, outside };

/** What the call would do; undefined where nothing of the table fits. */
export function dangerOf(call: Call): string | undefined {
  const name = call.name.startsWith("mkfs.") ? "mkfs" : call.name;
  return byProgram.get(name)?.find(({ when }) => when(call))?.says;
}

/** Whether anything that the program can do is in the table. */
export function mayBeDangerous(name: string): boolean {
  return byProgram.has(name);
}

const byProgram = new Map<string, Danger[]>();
for (const danger of Object.values(dangers).flat()) {
  for (const program of danger.programs.split(" ")) byProgram.set(program, [...(byProgram.get(program) ?? []), danger]);
}
