/**
 * JSON text that every reader accepts on one line: no raw U+2028/2029 (line ends to JavaScript and
 * to some line readers), no lone surrogates (refused by strict parsers).
 */
export function encodeJson(value: unknown): string {
  return mend(JSON.stringify(value));
}

const eachLineSeparator = /[\u2028\u2029]/g;
/** A pair of backslashes is consumed first, so that text which merely spells `\ud800` stays as it is. */
const loneSurrogateEscape = /\\\\|\\ud[89a-f][0-9a-f]{2}/g;

function mend(json: string): string {
  let out = json;
  if (out.includes("\u2028") || out.includes("\u2029")) out = out.replace(eachLineSeparator, (char) => (char === "\u2028" ? "\\u2028" : "\\u2029"));
  // JSON.stringify escapes lone surrogates and nothing else as \udxxx.
  if (out.includes("\\ud")) out = out.replace(loneSurrogateEscape, (match) => (match === "\\\\" ? match : "\ufffd"));
  return out;
}

const OPEN_BRACE = 123;
const CLOSE_BRACE = 125;
const OPEN_BRACKET = 91;
const CLOSE_BRACKET = 93;
const QUOTE = 34;
const BACKSLASH = 92;

/** Whether JSON text nests deeper than `limit` levels. */
export function deeperThan(text: string, limit: number): boolean {
  // Each level needs two brackets, so short text cannot be too deep.
  if (text.length < limit * 2) return false;
  let depth = 0;
  for (let index = 0; index < text.length; index++) {
    const char = text.charCodeAt(index);
    if (char === QUOTE) {
      index = endOfString(text, index);
    } else if (char === OPEN_BRACE || char === OPEN_BRACKET) {
      if (++depth > limit) return true;
    } else if (char === CLOSE_BRACE || char === CLOSE_BRACKET) {
      depth--;
    }
  }
  return false;
}

/**
 * The raw text of the `id` of a frame, or of its params where the frame has none, for integers beyond
 * 2^53 that JSON.parse rounds. The last one counts, as in JSON.parse. The text must be valid JSON.
 */
export function rawIntegerId(text: string): string | undefined {
  let depth = 0;
  const found: (string | undefined)[] = [];
  for (let index = 0; index < text.length; index++) {
    const char = text.charCodeAt(index);
    if (char === QUOTE) {
      const end = endOfString(text, index);
      if (depth <= 2 && text.slice(index, end + 1) === '"id"') {
        const value = /^\s*:\s*(-?\d+)\s*[,}]/.exec(text.slice(end + 1, end + 1 + LONGEST_ID));
        if (value) found[depth] = value[1];
      }
      index = end;
    } else if (char === OPEN_BRACE || char === OPEN_BRACKET) depth++;
    else if (char === CLOSE_BRACE || char === CLOSE_BRACKET) depth--;
  }
  return found[1] ?? found[2];
}

/** Characters that an integer id may have, with the white space around it. */
const LONGEST_ID = 256;

function endOfString(text: string, start: number): number {
  for (let index = start + 1; index < text.length; index++) {
    const char = text.charCodeAt(index);
    if (char === BACKSLASH) index++;
    else if (char === QUOTE) return index;
  }
  return text.length;
}
