import type { ProcessEntry, ProcessTable } from "./processes.ts";

/** How the processes of one ward are told from all others. */
export interface Kin {
  /** What they inherit. */
  marks: ReadonlySet<string>;
  /** Processes seen as members before, the program itself first among them: pid and start. */
  seen: ReadonlyMap<number, number>;
}

/**
 * The processes of a ward: those that carry its mark, those in a group or session that one of them has
 * led, those that were seen as members before, and whatever these have started. Zombies are among them.
 */
export function membersOf(table: ProcessTable, kin: Kin): ProcessEntry[] {
  const ours = new Map<number, ProcessEntry>();
  // A group keeps its number from being used again, even when its leader is gone; one that is led by another process is another group.
  const isLedByUs = (pid: number): boolean => ours.has(pid) || (kin.seen.has(pid) && (table.get(pid)?.start ?? kin.seen.get(pid)) === kin.seen.get(pid));
  const isOurs = (entry: ProcessEntry): boolean =>
    (entry.mark !== undefined && kin.marks.has(entry.mark)) ||
    kin.seen.get(entry.pid) === entry.start ||
    ours.has(entry.parent) ||
    isLedByUs(entry.group) ||
    isLedByUs(entry.session);
  let before: number;
  do {
    before = ours.size;
    for (const entry of table.values()) if (!ours.has(entry.pid) && isOurs(entry)) ours.set(entry.pid, entry);
  } while (ours.size > before);
  return [...ours.values()];
}

/** What is worth remembering until the next look: the members, and those gone that have left a group or session behind. */
export function remembered(table: ProcessTable, members: readonly ProcessEntry[], seen: ReadonlyMap<number, number>): Map<number, number> {
  const out = new Map(members.map((entry) => [entry.pid, entry.start]));
  const leaders = new Set(members.flatMap((entry) => [entry.group, entry.session]));
  for (const [pid, start] of seen) if (!table.has(pid) && leaders.has(pid)) out.set(pid, start);
  return out;
}

/**
 * The table without process `own` (this one), its helpers and what these have started: they inherit the
 * watermark of the latest ward without belonging to it. Helpers are children in our session, and the
 * custodian. (A child in another session may be an orphan of a ward that has become ours: in a container
 * where we are process 1, all do.)
 */
export function withoutStrangers(table: ProcessTable, own: number, custodian: number | undefined): ProcessTable {
  const strangers = new Set([own]);
  const session = table.get(own)?.session;
  const isStranger = (entry: ProcessEntry): boolean =>
    entry.parent === own ? entry.session === session || entry.pid === custodian : strangers.has(entry.parent);
  let before: number;
  do {
    before = strangers.size;
    for (const entry of table.values()) if (isStranger(entry)) strangers.add(entry.pid);
  } while (strangers.size > before);
  return new Map([...table].filter(([pid]) => !strangers.has(pid)));
}
