/**
 * Where `wanted` begins in `text`, from left to right and without overlaps; `wanted` is not empty.
 * Takes time in proportion to the lengths added up, unlike `indexOf`, which multiplies them on texts
 * made for that and then blocks everything for minutes.
 */
export function* occurrences(text: string, wanted: string): Generator<number, void, undefined> {
  if (wanted.length > text.length) return;
  // Knuth, Morris and Pratt. A fast look for the first character skips what cannot be a start.
  const first = wanted[0] ?? "";
  const fallback = borders(wanted);
  let matched = 0;
  for (let at = 0; at < text.length; at += 1) {
    if (matched === 0) {
      at = text.indexOf(first, at);
      if (at === -1) return;
    }
    const unit = text.charCodeAt(at);
    while (matched > 0 && unit !== wanted.charCodeAt(matched)) matched = fallback[matched - 1] ?? 0;
    if (unit === wanted.charCodeAt(matched)) matched += 1;
    if (matched === wanted.length) {
      yield at - matched + 1;
      matched = 0;
    }
  }
}

/** For each start of `wanted`: the length of its longest proper part that is both its start and its end. */
function borders(wanted: string): Uint32Array {
  const lengths = new Uint32Array(wanted.length);
  let length = 0;
  for (let at = 1; at < wanted.length; at += 1) {
    while (length > 0 && wanted.charCodeAt(at) !== wanted.charCodeAt(length)) length = lengths[length - 1] ?? 0;
    if (wanted.charCodeAt(at) === wanted.charCodeAt(length)) length += 1;
    lengths[at] = length;
  }
  return lengths;
}
