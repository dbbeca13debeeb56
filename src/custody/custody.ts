import type { Readable, Writable } from "node:stream";
import type { ChildProcess } from "../contract/system.ts";

/** A program to start: no shell is involved. */
export interface Program {
  command: string;
  args: readonly string[];
  /** Windows: the arguments reach the program as they are, without being quoted. `cmd.exe` needs that. */
  verbatim?: boolean | undefined;
  cwd: string | undefined;
  /** The whole environment of the child; the marks of the custody are added to it. */
  env: Readonly<Record<string, string>>;
  /** How `system.children` lists it. */
  kind: "tool" | "mcp" | "probe";
  name: string;
  callId?: string | undefined;
  sessionId?: string | undefined;
}

/** How a program came to its end. */
export interface ProgramExit {
  code: number | null;
  signal: NodeJS.Signals | null;
}

/** A program that runs in a process group of its own, and everything that it starts. */
export interface Ward {
  readonly pid: number;
  /** An error of one of the three streams (`EPIPE` when the program reads no more) need not be listened to. */
  readonly stdin: Writable;
  readonly stdout: Readable;
  readonly stderr: Readable;
  /**
   * Resolves when the program itself has exited; processes that it started may still be there, and are
   * ended a second later if nobody calls `end` before. Never rejects.
   */
  readonly exited: Promise<ProgramExit>;
  /**
   * Ends the program and every process that came from it, however far it went (process groups and
   * sessions of its own included): SIGTERM first, SIGKILL `graceMs` later (500 when left out; 0 kills at
   * once). Then the streams are destroyed, read or not. Resolves when all are gone, at the latest after
   * two seconds. Idempotent; a later call can only shorten the grace. Never rejects.
   */
  end(graceMs?: number): Promise<void>;
}

/**
 * Custody of child processes. None outlives its call, nor this process, even when this process is
 * killed with SIGKILL: a custodian, started with the first child, then ends the others.
 */
export interface Custody {
  /** False from the moment when it begins to end its children. */
  readonly isOpen: boolean;
  /**
   * Starts come one by one. Rejects with the error of the system (`ENOENT`, `EACCES`, …) when the program
   * cannot be started, and with the reason of `signal` when that is aborted before it is.
   */
  start(program: Program, signal?: AbortSignal): Promise<Ward>;
  children(): Promise<ChildProcess[]>;
  /** Ends every child; none can be started from here on. Never rejects. */
  close(): Promise<void>;
  /** The same within this call: everything is sent SIGKILL, and the custodian sees to the rest. */
  closeNow(): void;
}
