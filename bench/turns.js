/**
 * Runs the contestants in turns, so that whatever else the machine does hits all of them.
 *
 * @template {string} Name
 * @param {number} count Turns of each.
 * @param {Record<Name, () => Promise<T>>} contestants Each gives what it measured.
 * @template T
 * @returns {Promise<Record<Name, T>[]>} One entry for each turn.
 */
export async function takeTurns(count, contestants) {
  const turns = [];
  for (let turn = 0; turn < count; turn++) {
    const measured = {};
    for (const [name, run] of Object.entries(contestants)) measured[name] = await run();
    turns.push(measured);
  }
  return turns;
}

/** The median of what `of` picks from each turn. */
export function medianOf(turns, of) {
  return percentile(turns.map(of), 50);
}

/** The value that `percent` of the values do not exceed; between two of them for the median of an even number. */
export function percentile(values, percent) {
  const sorted = values.toSorted((a, b) => a - b);
  const at = ((sorted.length - 1) * percent) / 100;
  const below = sorted[Math.floor(at)];
  const above = sorted[Math.ceil(at)];
  return below + (above - below) * (at - Math.floor(at));
}
