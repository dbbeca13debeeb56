/** Keeps the event loop busy for longer than streams may take of one turn of it, however fast the machine is. */
export function work(): void {
  const end = performance.now() + 4;
  while (performance.now() < end);
}

/** Counts the turns of the event loop until it is told to stop. */
export function countTurns(): { now(): number; stop(): void } {
  let count = 0;
  let isOver = false;
  const next = () => {
    count++;
    if (!isOver) setImmediate(next);
  };
  setImmediate(next);
  return {
    now: () => count,
    stop: () => {
      isOver = true;
    },
  };
}
