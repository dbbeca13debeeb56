/**
 * What the model server answers is asked for by the name of the model, so that the host knows it too:
 * `text:20000:8` is 20,000 deltas of 8 characters, `ticks:500:4` is 500 deltas, one every 4 ms, each
 * holding the time of its sending.
 */

/** @returns {{ kind: string, count: number, size: number }} */
export function parseModel(model) {
  const [kind, count, size] = model.split(":");
  return { kind, count: Number(count), size: Number(size) };
}

/** The deltas of a `text` model: numbered, so that one that is lost or in the wrong place shows. */
export function textDeltas(model) {
  const { count, size } = parseModel(model);
  return Array.from({ length: count }, (_, index) => ` ${index.toString(36)}`.padEnd(size, "-"));
}

export function fullText(model) {
  return textDeltas(model).join("");
}

/** Microseconds on a clock that all processes of a machine share. */
export function clock() {
  return Number(process.hrtime.bigint() / 1000n);
}
