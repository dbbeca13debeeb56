import { shorten } from "../text/shorten.ts";
import type { Hit } from "./matcher.ts";

export interface Excerpt {
  /** From 1. */
  line: number;
  /** Where the match begins in the line, from 1, in UTF-16 units. */
  column: number;
  /** The line; of a long one, 500 characters around the match. */
  text: string;
  /** The lines before it, as many as were asked for. */
  before?: string[];
  /** The lines after it. */
  after?: string[];
}

/** A matching line with `context` lines on both sides. */
export function excerpt(text: string, { line, start, column }: Hit, context: number): Excerpt {
  const end = endOf(text, start);
  return {
    line,
    column: column + 1,
    text: around(lineOf(text, start, end), column),
    ...(context === 0 ? {} : { before: linesBefore(text, start, context), after: linesAfter(text, end, context) }),
  };
}

const LONGEST_LINE = 500;
/** Characters in front of the match that are shown of a long line. */
const LEAD = 100;

function around(line: string, column: number): string {
  if (column + LEAD < LONGEST_LINE) return shorten(line, LONGEST_LINE);
  const from = column - LEAD;
  return `…${shorten(line.slice(from).replace(/^[\udc00-\udfff]/, ""), LONGEST_LINE - 1)}`;
}

function linesBefore(text: string, start: number, count: number): string[] {
  const lines: string[] = [];
  for (let end = start - 1; end >= 0 && lines.length < count; ) {
    const from = end === 0 ? 0 : text.lastIndexOf("\n", end - 1) + 1;
    lines.unshift(shorten(lineOf(text, from, end), LONGEST_LINE));
    end = from - 1;
  }
  return lines;
}

function linesAfter(text: string, end: number, count: number): string[] {
  const lines: string[] = [];
  for (let from = end + 1; from < text.length && lines.length < count; ) {
    const next = endOf(text, from);
    lines.push(shorten(lineOf(text, from, next), LONGEST_LINE));
    from = next + 1;
  }
  return lines;
}

function endOf(text: string, start: number): number {
  const end = text.indexOf("\n", start);
  return end === -1 ? text.length : end;
}

function lineOf(text: string, start: number, end: number): string {
  return text.slice(start, text[end - 1] === "\r" && end > start ? end - 1 : end);
}
