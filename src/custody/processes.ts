/** A process as the system lists it. */
export interface ProcessEntry {
  pid: number;
  parent: number;
  /** Process group and session, by the pids of those who lead them. */
  group: number;
  session: number;
  /** When it started, in a unit of the system: with the pid it names a process for good, since pids are used again. */
  start: number;
  /** False for a zombie, which only waits to be reaped. */
  isAlive: boolean;
  /** A mark of this custody that it carries. */
  mark: string | undefined;
}

/** Every process of the machine, by pid, as far as it may be seen. Without this one, nothing could be seen. */
export type ProcessTable = ReadonlyMap<number, ProcessEntry>;

/** How to tell processes of this custody by what they inherit. */
export interface Marks {
  /** Processes that started before the first ward carry none. In the unit of `ProcessEntry.start`. */
  since: number;
  /** How the variable that every ward is given begins: `STEERABLE_WARD=<id of the custody>-`. */
  variable: string;
  /** How the watermark of every ward begins; undefined where there are no watermarks. */
  watermark: string | undefined;
}

/** The processes of this machine, the way one system tells of them. */
export interface Processes {
  /** Never rejects: what cannot be read is left out. */
  read(marks: Marks): Promise<ProcessTable>;
  /** `ProcessEntry.start` of a process right now; undefined where there is none, or no way to ask at once. */
  startOf(pid: number): number | undefined;
  /** Resident memory in bytes of those that are there; undefined where the system does not tell. */
  memoryOf(pids: readonly number[]): Promise<number | undefined>;
}

/** The variable that names the custody, and the one that names the ward. */
export const CUSTODY_VARIABLE = "STEERABLE_CUSTODY";
export const WARD_VARIABLE = "STEERABLE_WARD";
