/**
 * The candidate that somebody who typed `word` most likely meant, or undefined when none is close.
 * Case and the separators `-` and `_` do not count, so that `log_level` finds `logLevel`.
 */
export function nearest(word: string, candidates: Iterable<string>): string | undefined {
  const typed = plain(word);
  if (typed.length === 0 || typed.length > LONGEST) return undefined;
  let best: string | undefined;
  let bestDistance = Number.POSITIVE_INFINITY;
  for (const candidate of candidates) {
    const meant = plain(candidate);
    // The start of a name is a likely slip, but never more likely than a name with one wrong letter.
    const distance = typed.length >= 3 && meant.startsWith(typed) ? Math.min(1, meant.length - typed.length) : editDistance(typed, meant);
    if (distance < bestDistance && distance <= Math.max(1, Math.floor(meant.length / 3))) {
      best = candidate;
      bestDistance = distance;
    }
  }
  return best;
}

/** Longer words are not typing slips, and comparing them would cost time. */
const LONGEST = 64;

function plain(word: string): string {
  return word.toLowerCase().replace(/[-_]/g, "");
}

/** Insertions, deletions, replacements and swaps of neighbours that turn `a` into `b`. */
function editDistance(a: string, b: string): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let row = 1; row <= a.length; row++) {
    const current = [row];
    for (let column = 1; column <= b.length; column++) {
      const same = a[row - 1] === b[column - 1];
      let cost = Math.min((last[column] ?? 0) + 1, (current[column - 1] ?? 0) + 1, (last[column - 1] ?? 0) + (same ? 0 : 1));
      if (row > 1 && column > 1 && a[row - 1] === b[column - 2] && a[row - 2] === b[column - 1]) cost = Math.min(cost, (beforeLast[column - 2] ?? 0) + 1);
      current.push(cost);
    }
    beforeLast = last;
    last = current;
  }
  return last[b.length] ?? 0;
}
