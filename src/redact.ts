/**
 * Redaction at the sink: nothing that looks like a secret, and nothing that is known to be one,
 * leaves through a log line, a trace, an error or the database.
 */

/** What stands where a secret was. */
export const MASK = "********";

/** What people give a local server as its key: masking these words would hide provider names and explain nothing. */
const placeholder = /^(?:ollama|openai|anthropic|claude|lm-?studio|local(?:host)?|none|null|dummy|empty|unused|not-?needed|no-?key|placeholder)$/i;

/**
 * Remembers a secret, so that it is masked wherever it appears from now on. `forGood`: one that the process was started
 * or configured with; of the others, which come with calls, the newest are remembered.
 */
export function registerSecret(value: string | undefined, { forGood = false }: { forGood?: boolean } = {}): void {
  const secret = value?.trim();
  if (secret === undefined || secret.length < SHORTEST_VALUE || secret === MASK || placeholder.test(secret)) return;
  const forms = known.get(secret) ?? writtenForms(secret);
  if (!known.delete(secret)) patterns = undefined;
  known.set(secret, forms);
  if (forGood) kept.add(secret);
  for (const oldest of known.keys()) {
    if (known.size - kept.size <= MOST_VALUES) break;
    if (kept.has(oldest)) continue;
    known.delete(oldest);
    patterns = undefined;
  }
}

/** True for names of secrets (`apiKey`, `access_token`, `Authorization`), false for counts (`maxTokens`). */
export function isSecretKey(key: string): boolean {
  return secretKey.test(key) && !countedKey.test(key);
}

/** The text with every known secret and everything of a secret's shape masked. */
export function redactText(text: string): string {
  if (text.length < SHORTEST_VALUE) return text;
  let out = text;
  // The longest first: masking a secret that is the start of another would leave the rest of that one.
  patterns ??= [...new Set([...known.values()].flat())].toSorted((a, b) => b.length - a.length);
  for (const pattern of patterns) if (out.includes(pattern)) out = out.replaceAll(pattern, MASK);
  for (const shape of secretShapes) out = out.replace(shape, MASK);
  return out;
}

/**
 * A copy of any value, fit for `JSON.stringify`, with secrets masked by key name and by value. Errors
 * become their message, dates ISO text, maps objects, sets arrays and bytes their number. Never throws,
 * and ends on values that contain themselves.
 */
export function redact(value: unknown): unknown {
  return copy(value, { above: new Set(), left: MOST_NODES });
}

// Whole words only where a word has an innocent use: a token ends a name (`access_token`) or says that it is a value.
const secretKey =
  /pass(?:word|wd|phrase)|(?:^|[-_.\s])pwd$|secret|api[-_\s]?key|private[-_\s]?key|access[-_\s]?key|authorization|credential|cookie|token$|token[-_]?value$|key[-_]?hash$|(?:access|refresh|auth|api|bearer)[-_]?tokens$/i;
/** Keys that end in "token" but cap or count something: `maxToken`. */
const countedKey = /(?:max|min|num|total|per)[-_]?token$/i;

// Each of these takes time linear in the text: a run of characters is entered at its start only, or is bounded.
// None matches a quote or a backslash, so that a line of JSON stays one.
const secretShapes = [
  /\b(?:sk|pk|rk)(?:-|_live_|_test_)[A-Za-z0-9_-]{8,}/g,
  /\b(?:gh[pousr]|github_pat|xox[abeprs]|hf|glpat)[-_][A-Za-z0-9_-]{16,}/g,
  /\bAIza[A-Za-z0-9_-]{30,}/g,
  /(?<=\bBearer\s{1,8})[A-Za-z0-9._~+/=-]{8,}/gi,
  /(?<=\bauthorization:\s{0,8}(?:[a-z]{1,16}\s{1,8})?)[^\s,"'\\<>]{8,}/gi,
  /(?<![A-Za-z0-9_-])eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*/g,
  /(?<=:\/\/)[^/\s:@"'\\<>]{0,256}:[^/\s@"'\\<>]{1,1024}(?=@)/g,
  /(?<=[?&](?:key|api[-_]?key|token|access_token|refresh_token|client_secret|password|secret|sig|signature)=)[^&#\s"'\\<>]{1,4096}/gi,
  /-----BEGIN [A-Z ]{0,32}PRIVATE KEY-----[^-"]{0,16384}(?:-----END [A-Z ]{0,32}PRIVATE KEY-----)?/g,
];

/** Secrets shorter than this are not searched for by value: they would mask ordinary words. */
const SHORTEST_VALUE = 6;
/** Most recently seen secret values that are searched for; older ones are still masked by key and shape. */
const MOST_VALUES = 512;
const DEEPEST = 32;
/** Values copied before the rest is left out: shared parts inside shared parts would multiply for ever. */
const MOST_NODES = 200_000;

/** Each known secret with the forms in which it is searched for, the one used last at the end. */
const known = new Map<string, readonly string[]>();
const kept = new Set<string>();
/** All forms, the longest first; undefined when they have to be gathered again. */
let patterns: readonly string[] | undefined;

/** A secret as it is, as it stands inside JSON text and JSON text inside that, and as it stands inside a URL. */
function writtenForms(secret: string): string[] {
  const escaped = JSON.stringify(secret).slice(1, -1);
  const forms = [secret, escaped, JSON.stringify(escaped).slice(1, -1), Buffer.from(secret).toString("base64")];
  try {
    forms.push(encodeURIComponent(secret));
  } catch {
    // A lone surrogate has no form in a URL.
  }
  return forms;
}

interface Walk {
  /** The objects that hold the one at hand: meeting one of them again is a cycle. */
  above: Set<object>;
  /** Values that may still be copied. */
  left: number;
}

function copy(value: unknown, walk: Walk): unknown {
  walk.left--;
  if (typeof value === "string") return redactText(value);
  if (typeof value === "bigint" || typeof value === "symbol") return redactText(String(value));
  if (typeof value === "function") return "[function]";
  if (typeof value !== "object" || value === null) return value;
  if (walk.above.has(value)) return "[circular]";
  if (walk.above.size >= DEEPEST) return "[too deep]";
  if (walk.left < 0) return "[left out]";
  walk.above.add(value);
  try {
    return copyObject(value, walk);
  } catch {
    // A getter or a toJSON of somebody else's that throws.
    return "[unreadable]";
  } finally {
    walk.above.delete(value);
  }
}

function copyObject(value: object, walk: Walk): unknown {
  if (Array.isArray(value)) return copyItems(value, walk);
  if (value instanceof Error) return redactText(messageOf(value));
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? null : value.toISOString();
  if (value instanceof Set) return copyItems(value, walk);
  if (value instanceof Map) return copyEntries(value, walk);
  if (value instanceof URL || value instanceof RegExp) return redactText(String(value));
  if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer) return `[${value.byteLength} bytes]`;
  if ("toJSON" in value && typeof value.toJSON === "function") return copy(value.toJSON(), walk);
  return copyEntries(Object.entries(value), walk);
}

function copyItems(items: Iterable<unknown>, walk: Walk): unknown[] {
  const out: unknown[] = [];
  for (const item of items) {
    if (walk.left <= 0) {
      out.push("[left out]");
      break;
    }
    out.push(copy(item, walk));
  }
  return out;
}

function copyEntries(entries: Iterable<[unknown, unknown]>, walk: Walk): Record<string, unknown> {
  const out: Record<string, unknown> = {};
  for (const [key, item] of entries) {
    const name = String(key);
    const copied = isSecretKey(name) && hidesSomething(item) ? MASK : copy(item, walk);
    // Defined, not assigned: assigning to `__proto__` would change what the copy inherits.
    Object.defineProperty(out, redactText(name), { value: copied, enumerable: true, writable: true, configurable: true });
    if (walk.left <= 0) break;
  }
  return out;
}

/** Whether there is anything to mask under a secret's name: `hasPassword: true` and empty values tell nothing. */
function hidesSomething(value: unknown): boolean {
  return value !== null && value !== undefined && value !== "" && typeof value !== "boolean";
}

/** An error in words; those that gather others (a failed connect to several addresses) have no message of their own. */
function messageOf(error: Error): string {
  if (error.message !== "") return error.message;
  return "code" in error && typeof error.code === "string" ? error.code : error.name;
}
