/**
 * A layer is part of a configuration, as somebody wrote it: plain objects that nest like the schema.
 * Layers are values: nothing here changes what it is given.
 */
export type Layer = Readonly<Record<string, unknown>>;

export function isLayer(value: unknown): value is Layer {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** `below` with everything that `above` says in its place. Lists are replaced, not joined. */
export function overlay(below: Layer, above: Layer): Layer {
  const out: Record<string, unknown> = { ...below };
  for (const [key, value] of Object.entries(above)) {
    const under = out[key];
    if (value !== undefined) out[key] = isLayer(value) && isLayer(under) ? overlay(under, value) : value;
  }
  return out;
}

/** Like `overlay`, but `null` takes the key and all below it out. */
export function amend(layer: Layer, change: Layer): Layer {
  const out: Record<string, unknown> = { ...layer };
  for (const [key, value] of Object.entries(change)) {
    const under = out[key];
    if (value === null) delete out[key];
    else if (isLayer(value)) out[key] = amend(isLayer(under) ? under : {}, value);
    else if (value !== undefined) out[key] = value;
  }
  return out;
}

export function valueAt(layer: Layer, path: readonly string[]): unknown {
  let at: unknown = layer;
  for (const key of path) at = isLayer(at) && Object.hasOwn(at, key) ? at[key] : undefined;
  return at;
}

export function withValue(layer: Layer, [key, ...rest]: readonly string[], value: unknown): Layer {
  if (key === undefined) return layer;
  const under = layer[key];
  return { ...layer, [key]: rest.length === 0 ? value : withValue(isLayer(under) ? under : {}, rest, value) };
}

/** The layer with every single value passed through `change`; what comes back undefined is left out. */
export function mapValues(layer: Layer, change: (value: unknown, path: readonly string[]) => unknown, at: readonly string[] = []): Layer {
  const entries = Object.entries(layer).map(([key, value]) => {
    const path = [...at, key];
    return [key, isLayer(value) ? mapValues(value, change, path) : change(value, path)] as const;
  });
  // From entries, not by assignment: a key `__proto__` that nobody has refused yet must stay a key.
  return Object.fromEntries(entries.filter(([, value]) => value !== undefined));
}
