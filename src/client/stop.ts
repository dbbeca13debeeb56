import type { Child, Exit } from "./child.ts";
import { within } from "./deadline.ts";
import { SidecarError } from "./error.ts";
import type { StopDeadlines } from "./options.ts";

/** What it took: `exited` when the process had ended before, `abandoned` when not even SIGKILL ended it. */
export type StopMeans = "exited" | "shutdown" | "eof" | "sigterm" | "sigkill" | "abandoned";

export interface StopReport extends Exit {
  how: StopMeans;
}

interface Step {
  how: StopMeans;
  waitMs: number;
  /** Resolves early when the step is known to be in vain. */
  take(): Promise<"in vain"> | undefined;
}

/** Ends a process, gently first; each step is given its time. Never rejects. */
export async function escalate(child: Child, deadlines: StopDeadlines): Promise<StopReport> {
  let how: StopMeans = "exited";
  for (const step of stepsFor(child, deadlines)) {
    if (child.exit !== undefined) break;
    how = step.how;
    const vain = step.take();
    await within(vain === undefined ? child.gone : Promise.race([child.gone, vain]), step.waitMs);
  }
  if (child.exit === undefined) {
    child.abandon();
    return { code: null, signal: null, how: "abandoned" };
  }
  return { ...(await child.gone), how };
}

function stepsFor(child: Child, deadlines: StopDeadlines): Step[] {
  const signal = (name: "SIGTERM" | "SIGKILL") => () => {
    child.kill(name);
    return undefined;
  };
  return [
    { how: "shutdown", waitMs: deadlines.shutdownMs, take: () => askToShutDown(child, deadlines.shutdownMs) },
    {
      how: "eof",
      waitMs: deadlines.eofMs,
      take: () => {
        child.peer.endInput();
        return undefined;
      },
    },
    { how: "sigterm", waitMs: deadlines.sigtermMs, take: signal("SIGTERM") },
    { how: "sigkill", waitMs: deadlines.sigkillMs, take: signal("SIGKILL") },
  ];
}

async function askToShutDown(child: Child, timeoutMs: number): Promise<"in vain"> {
  try {
    await child.peer.request("system.shutdown", undefined, { timeoutMs, background: true });
  } catch (error) {
    // Refused: no reason to wait. A connection that closed is what an exit looks like from here.
    if (error instanceof SidecarError && error.kind !== "transport_closed") return "in vain";
  }
  return new Promise(() => {});
}
