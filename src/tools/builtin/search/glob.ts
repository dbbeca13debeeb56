import { ToolFailure } from "../../tool.ts";

/** Whether a path, with `/` between its names, is what was asked for. */
export type Glob = (path: string) => boolean;

/**
 * Understands `*`, `?`, `**` for any number of folders, `[a-z]`, `[!a-z]`, `{a,b}` and `\` before a
 * character that stands for itself. Without a slash it is about the name of the file, in any folder.
 * Names that begin with a dot are like others. Throws a `ToolFailure` for more than `MOST_CHOICES`.
 *
 * Not by way of a regular expression, as libraries do it: theirs takes half a minute for `*a*a*a*a*b`
 * and one long name. Here time is at most the product of both lengths.
 */
export function compileGlob(pattern: string): Glob {
  const choices = expandBraces(pattern).map(parse);
  return (path) => {
    const names = path.split("/");
    return choices.some((choice) => fits(choice, names, isFolders, nameFits));
  };
}

/** What `{a,b}` may multiply to. */
const MOST_CHOICES = 256;

type Character = "*" | "?" | { literal: string } | { ranges: readonly (readonly [string, string])[]; negated: boolean };
type Name = "**" | readonly Character[];

const isFolders = (name: Name): boolean => name === "**";
const isAny = (character: Character): boolean => character === "*";

function nameFits(pattern: Name, name: string): boolean {
  return pattern !== "**" && fits(pattern, [...name], isAny, characterFits);
}

function characterFits(pattern: Character, character: string): boolean {
  if (typeof pattern === "string") return true;
  if ("literal" in pattern) return pattern.literal === character;
  return pattern.ranges.some(([from, to]) => from <= character && character <= to) !== pattern.negated;
}

/** Matches items one by one, where a star stands for any number of them. Only the last star ever needs to be tried again. */
function fits<Part, Item>(
  parts: readonly Part[],
  items: readonly Item[],
  isStar: (part: Part) => boolean,
  partFits: (part: Part, item: Item) => boolean,
): boolean {
  let [part, item] = [0, 0];
  let star: { part: number; item: number } | undefined;
  while (item < items.length) {
    const [wanted, given] = [parts[part], items[item] as Item];
    if (wanted !== undefined && isStar(wanted)) {
      star = { part: part + 1, item };
      part += 1;
    } else if (wanted !== undefined && partFits(wanted, given)) {
      part += 1;
      item += 1;
    } else if (star !== undefined) {
      star.item += 1;
      ({ part, item } = star);
    } else {
      return false;
    }
  }
  return parts.slice(part).every(isStar);
}

function parse(choice: string): Name[] {
  const names = choice.replace(/^(?:\.?\/)+/, "").split("/");
  // `src/` is everything in src.
  if (names.at(-1) === "") names[names.length - 1] = "**";
  const parsed = names.map((name): Name => (name === "**" ? "**" : characters(name)));
  return choice.includes("/") ? parsed : ["**", ...parsed];
}

function characters(name: string): Character[] {
  const units = [...name];
  const out: Character[] = [];
  for (let at = 0; at < units.length; at += 1) {
    const unit = units[at] ?? "";
    const set = unit === "[" ? setAt(units, at) : undefined;
    if (set !== undefined) {
      out.push(set.character);
      at = set.end;
    } else if (unit === "\\" && at + 1 < units.length) {
      at += 1;
      out.push({ literal: units[at] ?? "" });
    } else if (unit === "*" || unit === "?") {
      out.push(unit);
    } else {
      out.push({ literal: unit });
    }
  }
  return out;
}

/** `[a-z]` from its bracket on; undefined where it is not closed, so that the bracket is one. */
function setAt(units: readonly string[], start: number): { character: Character; end: number } | undefined {
  const negated = units[start + 1] === "!" || units[start + 1] === "^";
  const first = start + (negated ? 2 : 1);
  // A closing bracket at the start is one of the characters.
  const end = units.indexOf("]", first + 1);
  if (end === -1) return undefined;
  const ranges: [string, string][] = [];
  for (let at = first; at < end; at += 1) {
    const from = units[at] ?? "";
    if (units[at + 1] === "-" && at + 2 < end) {
      ranges.push([from, units[at + 2] ?? ""]);
      at += 2;
    } else {
      ranges.push([from, from]);
    }
  }
  return { character: { ranges, negated }, end };
}

function expandBraces(pattern: string): string[] {
  const group = firstGroup(pattern);
  if (group === undefined) return [pattern];
  const middles = group.choices.flatMap(expandBraces);
  const rests = expandBraces(group.after);
  if (middles.length * rests.length > MOST_CHOICES) throw new ToolFailure(`The glob has more than ${MOST_CHOICES} alternatives`, "invalid_params");
  return middles.flatMap((middle) => rests.map((rest) => group.before + middle + rest));
}

interface Group {
  before: string;
  choices: string[];
  after: string;
}

/** The first `{a,b}`; braces without a comma stand for themselves. */
function firstGroup(pattern: string): Group | undefined {
  const open: { at: number; commas: number[] }[] = [];
  let found: Group | undefined;
  for (let at = 0; at < pattern.length && (found === undefined || open.length > 0); at += 1) {
    const unit = pattern[at];
    if (unit === "\\") at += 1;
    else if (unit === "{") open.push({ at, commas: [] });
    else if (unit === ",") open.at(-1)?.commas.push(at);
    else if (unit === "}") {
      const group = open.pop();
      // The one around it, which closes later, takes its place; the next one does not.
      if (group !== undefined && group.commas.length > 0 && group.at < (found?.before.length ?? Number.POSITIVE_INFINITY)) {
        found = groupOf(pattern, group.at, group.commas, at);
      }
    }
  }
  return found;
}

function groupOf(pattern: string, start: number, commas: readonly number[], end: number): Group {
  const edges = [start, ...commas, end];
  const choices = commas.concat(end).map((edge, index) => pattern.slice((edges[index] ?? 0) + 1, edge));
  return { before: pattern.slice(0, start), choices, after: pattern.slice(end + 1) };
}
