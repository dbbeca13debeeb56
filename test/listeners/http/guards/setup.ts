import { createLog, type Log } from "../../../../src/log.ts";

export const quiet: Log = createLog({ level: "ERROR", write: () => undefined });

/** A clock that goes on only when it is told to. */
export function makeClock(start = 1_000_000) {
  let time = start;
  return {
    now: () => time,
    pass: (ms: number) => {
      time += ms;
    },
  };
}
