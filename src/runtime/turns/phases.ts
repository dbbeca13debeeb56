import type { NotificationParams } from "../../contract/index.ts";

type Status = NotificationParams<"stream.status">;
export type Phase = Status["phase"];

/** How often a host hears of a phase that goes on. Milliseconds. */
const REPEAT_MS = 10_000;

/** What a turn waits for, told on every change and every ten seconds, so that a host is never left in silence. */
export class Phases {
  readonly #tell: ((status: Omit<Status, "streamId">) => void) | undefined;
  #current: { phase: Phase; since: number; deadlineMs: number | undefined } | undefined;
  #timer: NodeJS.Timeout | undefined;
  #isClosed = false;

  /** `tell`: undefined where nobody wants to know. */
  constructor(tell: ((status: Omit<Status, "streamId">) => void) | undefined) {
    this.#tell = tell;
  }

  /** `deadlineMs`: how long the phase may last in all. */
  enter(phase: Phase, deadlineMs: number | undefined): void {
    if (this.#tell === undefined || this.#isClosed) return;
    this.#current = { phase, since: performance.now(), deadlineMs };
    this.#report();
    this.#timer ??= setInterval(() => this.#report(), REPEAT_MS).unref();
    this.#timer.refresh();
  }

  /** The turn has ended: nothing more is told. */
  close(): void {
    this.#isClosed = true;
    clearInterval(this.#timer);
  }

  #report(): void {
    if (this.#current === undefined) return;
    const { phase, since, deadlineMs } = this.#current;
    this.#tell?.({ phase, sinceMs: Math.round(performance.now() - since), ...(deadlineMs === undefined ? {} : { deadlineMs }) });
  }
}
