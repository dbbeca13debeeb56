/**
 * The form of text in which it survives every driver and every reader: well-formed Unicode, and, in a
 * database, without the NUL character, at which one of the drivers would cut a text off.
 */

/** The text with lone surrogates replaced by U+FFFD. */
export function wellFormed(text: string): string {
  return loneSurrogate.test(text) ? text.replace(loneSurrogates, "\ufffd") : text;
}

/** Text for a column. The same text always gives the same column, so that filters can compare them. */
export function toColumn(text: string): string {
  const sound = wellFormed(text);
  return needsEscape.test(sound) ? sound.replace(escaped, (char) => (char === NUL ? `${SUB}0` : `${SUB}1`)) : sound;
}

export function fromColumn(column: string): string {
  return column.includes(SUB) ? column.replace(escapes, (found) => (found === `${SUB}0` ? NUL : SUB)) : column;
}

/** Any JSON value as text, lone surrogates replaced. */
export function toJson(value: unknown): string {
  const json = JSON.stringify(value);
  // JSON.stringify writes lone surrogates, and only those, as \ud800 to \udfff.
  return json.includes("\\ud") ? json.replace(jsonEscape, (found) => (found === "\\\\" ? found : "\ufffd")) : json;
}

/** A copy that nobody else holds, in the form that a database would have given back. */
export function jsonCopy<T>(value: T): T {
  // A JSON value goes through JSON unchanged but for its lone surrogates, so its type stays.
  return JSON.parse(toJson(value)) as T;
}

const NUL = "\u0000";
const SUB = "\u001a";
const loneSurrogate = /\p{Surrogate}/u;
const loneSurrogates = /\p{Surrogate}/gu;
const needsEscape = /[\u0000\u001a]/;
const escaped = /[\u0000\u001a]/g;
const escapes = /\u001a[01]/g;
/** An escaped backslash is matched as well, so that the text `\\ud800` is not taken for a surrogate. */
const jsonEscape = /\\\\|\\ud[89a-f][0-9a-f]{2}/g;
