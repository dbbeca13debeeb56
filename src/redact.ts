/**
 * Redaction at the sink: nothing that looks like a secret, and nothing that is known to be one,
 * leaves through a log line, a trace, an error or the database.
 */

/** What stands where a secret was. */
export const MASK = "********";

const secretKey = /pass(word|wd|phrase)|secret|token$|^token|api[-_]?key|authorization|credential|cookie|private[-_]?key/i;
/** Keys that end in "token(s)" but count or cap something: `maxTokens`, `completion_tokens`. */
const countedKey = /tokens$|maxtoken$/i;
const secretShapes = [
  /\b(?:sk|pk|rk)-[A-Za-z0-9_-]{8,}/g,
  /\bBearer\s+[A-Za-z0-9._~+/=-]{8,}/gi,
  /\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*/g,
  /(?<=:\/\/)[^/\s:@]+:[^/\s@]+(?=@)/g,
];

/** Secrets shorter than this are not searched for by value: they would mask ordinary words. */
const SHORTEST_VALUE = 6;
/** Most recently seen secret values that are searched for; older ones are still masked by key and shape. */
const MOST_VALUES = 512;

const known = new Set<string>();

/** Remembers a secret, so that it is masked wherever it appears from now on. */
export function registerSecret(value: string | undefined): void {
  if (value === undefined || value.length < SHORTEST_VALUE) return;
  known.delete(value);
  known.add(value);
  if (known.size > MOST_VALUES) known.delete(known.values().next().value as string);
}

export function isSecretKey(key: string): boolean {
  return secretKey.test(key) && !countedKey.test(key);
}

/** The text with every known secret and everything of a secret's shape masked. */
export function redactText(text: string): string {
  let out = text;
  for (const secret of known) if (out.includes(secret)) out = out.replaceAll(secret, MASK);
  for (const shape of secretShapes) out = out.replace(shape, MASK);
  return out;
}

/** A copy of any JSON-like value with secrets masked by key name and by value. */
export function redact(value: unknown, depth = 0): unknown {
  if (typeof value === "string") return redactText(value);
  if (typeof value !== "object" || value === null) return value;
  if (depth > 32) return "[too deep]";
  if (Array.isArray(value)) return value.map((item) => redact(item, depth + 1));
  if (value instanceof Error) return redactText(value.message);
  const out: Record<string, unknown> = {};
  for (const [key, item] of Object.entries(value)) {
    out[redactText(key)] = isSecretKey(key) && item !== null && item !== undefined && item !== "" ? MASK : redact(item, depth + 1);
  }
  return out;
}
