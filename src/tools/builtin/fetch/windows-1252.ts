/** What Windows-1252 has from 128 to 159, where Latin-1 has control characters; what is in neither stays. */
const letters = "€\u0081‚ƒ„…†‡ˆ‰Š‹Œ\u008dŽ\u008f\u0090‘’“”•–—˜™š›œ\u009džŸ";

/**
 * The text with these control characters replaced by what was meant. The web means Windows-1252
 * when it says Latin-1, and so does the standard; TextDecoder of Node 20 and 22 does not.
 */
export function asWindows(text: string): string {
  return text.replace(/[\x80-\x9f]/g, (control) => letters[control.charCodeAt(0) - 0x80] ?? control);
}
