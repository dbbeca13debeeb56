/** At most `most` UTF-16 units of the text, without cutting a character in two; an ellipsis tells that there was more. */
export function shorten(text: string, most: number): string {
  return text.length <= most ? text : `${text.slice(0, most - 1).replace(/[\ud800-\udbff]$/, "")}…`;
}
