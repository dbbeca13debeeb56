/** What `$'…'`, `echo -e` and `printf` make of escapes: `\n`, `\x41`, `\u00e4`. */
export function unescapeAnsi(text: string): string {
  return text.replace(ansiEscape, ansiMeaning);
}

const ansiEscape = /\\(?:([0-7]{1,3})|x([0-9a-fA-F]{1,2})|u([0-9a-fA-F]{1,4})|U([0-9a-fA-F]{1,8})|c([\s\S])|([\s\S]))/g;
const ansiLetters: Record<string, string> = { n: "\n", t: "\t", r: "\r", a: "\u0007", b: "\b", e: "\u001b", E: "\u001b", f: "\f", v: "\v" };

function ansiMeaning(_: string, octal?: string, hex?: string, short?: string, long?: string, control?: string, letter?: string): string {
  const digits = hex ?? short ?? long;
  const code = octal === undefined ? (digits === undefined ? undefined : Number.parseInt(digits, 16)) : Number.parseInt(octal, 8) & 0xff;
  // The lowest codes are our own marks.
  if (code !== undefined) return code < 3 || code > 0x10ffff ? "?" : String.fromCodePoint(code);
  if (control !== undefined) return "?";
  // A backslash in front of anything else stays.
  return ansiLetters[letter ?? ""] ?? (/["'?\\]/.test(letter ?? "") ? "" : "\\") + (letter ?? "");
}
