import { occurrences } from "../text/occurrences.ts";
import { shorten } from "../text/shorten.ts";

/**
 * What helps a model whose text is not in the file: where something nearly the same is. Empty where
 * nothing is.
 */
export function nearMiss(text: string, wanted: string): string {
  if (text.length > MOST_SEARCHED || wanted.length > MOST_SEARCHED) return "";
  return lineEnds(text, wanted) ?? whiteSpace(text, wanted) ?? letterCase(text, wanted) ?? firstLine(text, wanted) ?? "";
}

/** The numbers, from 1, of the lines that hold the characters at `indices`, which ascend. */
export function linesAt(text: string, indices: readonly number[]): number[] {
  let line = 1;
  let end = text.indexOf("\n");
  return indices.map((index) => {
    for (; end !== -1 && end < index; end = text.indexOf("\n", end + 1)) line += 1;
    return line;
  });
}

/** Characters of a file that is searched a second time. */
const MOST_SEARCHED = 1024 * 1024;
/** Characters of the file that a hint shows. */
const MOST_SHOWN = 400;

function lineEnds(text: string, wanted: string): string | undefined {
  const line = lineOf(unixEnds(text), unixEnds(wanted));
  if (line === undefined) return undefined;
  return ` It is there at line ${line} but for the line ends: the file has ${endsOf(text)}, oldText has ${endsOf(wanted)}.`;
}

function endsOf(text: string): string {
  const ends = [...(text.includes("\r\n") ? ["\\r\\n"] : []), ...(/(?:^|[^\r])\n/.test(text) ? ["\\n"] : [])];
  return ends.join(" and ");
}

function whiteSpace(text: string, wanted: string): string | undefined {
  const sought = even(wanted).replace(/^\n+|\n+$/g, "");
  const line = sought === "" ? undefined : lineOf(even(text), sought);
  if (line === undefined) return undefined;
  const count = sought.split("\n").length;
  const found = lines(text)
    .slice(line - 1, line - 1 + count)
    .join("\n");
  const where = count === 1 ? `line ${line}` : `lines ${line} to ${line + count - 1}`;
  return ` It is there but for white space at ${where}, which read: ${JSON.stringify(shorten(found, MOST_SHOWN))}`;
}

function letterCase(text: string, wanted: string): string | undefined {
  const line = lineOf(text.toLowerCase(), wanted.toLowerCase());
  return line === undefined ? undefined : ` It is there but for upper and lower case at line ${line}.`;
}

/** How far the file goes along with the text, from the first line that is not blank. */
function firstLine(text: string, wanted: string): string | undefined {
  const sought = even(wanted).replace(/^\n+/, "").split("\n");
  const first = sought[0] ?? "";
  // A brace or less is everywhere.
  if (first.length < 4 || sought.length === 1) return undefined;
  const present = even(text).split("\n");
  const line = present.indexOf(first);
  if (line === -1) return undefined;
  const same = sought.findIndex((each, index) => each !== present[line + index]);
  const shown = lines(text)[line + same];
  const then = shown === undefined ? "there the file ends" : `there the file has ${JSON.stringify(shorten(shown, MOST_SHOWN))}`;
  return ` Its first line is at line ${line + 1} of the file, but line ${same + 1} of oldText differs: ${then}.`;
}

function lineOf(text: string, wanted: string): number | undefined {
  if (wanted === "") return undefined;
  const { value } = occurrences(text, wanted).next();
  return value === undefined ? undefined : linesAt(text, [value])[0];
}

function unixEnds(text: string): string {
  return text.replaceAll("\r\n", "\n");
}

/** Lines without white space at their ends and with single spaces inside. */
function even(text: string): string {
  return lines(text)
    .map((line) => line.trim().split(/\s+/).join(" "))
    .join("\n");
}

function lines(text: string): string[] {
  return text.split(/\r?\n/);
}
