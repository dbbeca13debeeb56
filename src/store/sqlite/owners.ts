import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { hostname } from "node:os";
import { type Connection, number, text } from "./connection.ts";
import type { Row } from "./driver.ts";

/** The open stores of a file, each with the process that it belongs to. A turn runs as long as its owner lives. */
export class Owners {
  readonly self: string = randomUUID();
  private readonly connection: Connection;

  constructor(connection: Connection) {
    this.connection = connection;
  }

  /** Before the first turn is begun. */
  register(): void {
    inThisProcess.add(this.self);
    const started = startOf(process.pid)?.started ?? "";
    this.connection.run("INSERT INTO owners (owner_id, pid, started, host) VALUES (?, ?, ?, ?)", this.self, process.pid, started, hostname());
  }

  remove(owner: string): void {
    this.connection.run("DELETE FROM owners WHERE owner_id = ?", owner);
  }

  /** Call when the store is closed, whatever became of its row. */
  forgetSelf(): void {
    inThisProcess.delete(this.self);
  }

  /** Those whose process has ended: all of them. */
  dead(): string[] {
    const all = this.connection.all("SELECT owner_id, pid, started, host FROM owners WHERE owner_id <> ?", this.self);
    return died([...all, ...this.withTurns(), ...this.withCalls()]);
  }

  /** Those whose process has ended while a turn of theirs was running. Cheap when there is none. */
  deadWithTurns(): string[] {
    return died(this.withTurns());
  }

  /** The same for calls in the journal. */
  deadWithCalls(): string[] {
    return died(this.withCalls());
  }

  private withTurns(): Row[] {
    return this.connection.all(
      `SELECT DISTINCT turns.owner AS owner_id, pid, started, host FROM turns LEFT JOIN owners ON owner_id = turns.owner
       WHERE status = 'running' AND turns.owner <> ?`,
      this.self,
    );
  }

  private withCalls(): Row[] {
    return this.connection.all(
      `SELECT DISTINCT calls.owner AS owner_id, pid, started, host FROM calls LEFT JOIN owners ON owner_id = calls.owner
       WHERE result IS NULL AND calls.owner <> ?`,
      this.self,
    );
  }
}

/** Tells our own stores from those of a process that had our pid before us. */
const inThisProcess = new Set<string>();

function died(rows: Row[]): string[] {
  return [...new Set(rows.filter(hasDied).map((row) => text(row, "owner_id")))];
}

function hasDied(row: Row): boolean {
  // Without a row it has said goodbye, or was found dead before.
  if (row["pid"] === null) return true;
  // Nobody can tell from here whether a process of another machine lives.
  if (text(row, "host") !== hostname()) return false;
  const pid = number(row, "pid");
  const started = text(row, "started");
  if (!exists(pid)) return true;
  const now = startOf(pid);
  // Where the start is not known, a pid that is taken counts as alive, unless it is our own.
  if (started === "" || now === undefined) return pid === process.pid && !inThisProcess.has(text(row, "owner_id"));
  return now.started !== started || now.isZombie;
}

function exists(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error instanceof Error && "code" in error && error.code === "EPERM";
  }
}

/** Linux only: when a process started (field 22 of /proc/<pid>/stat, see proc(5)), which tells it from a later one with its pid. */
function startOf(pid: number): { started: string; isZombie: boolean } | undefined {
  if (process.platform !== "linux") return undefined;
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    // The second field is the name, in parentheses, and may hold spaces and parentheses itself.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    const started = fields[19];
    return started === undefined ? undefined : { started, isZombie: fields[0] === "Z" || fields[0] === "X" };
  } catch {
    return undefined;
  }
}
