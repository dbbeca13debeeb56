import { braceWords } from "./braces.ts";
import { type Budget, FILE, type Node, type Part, UNKNOWN, type Word } from "./syntax.ts";

/** What words may refer to. */
export interface Values {
  budget: Budget;
  /** Undefined where the variable is not known: it may be set outside, to anything. */
  variable(name: string): string | undefined;
  array(name: string): readonly string[] | undefined;
  positional(): readonly string[];
  assign(name: string, value: string): void;
  /** What a command substitution prints. */
  output(body: Node): string;
  /** The path that stands for a process substitution. */
  process(body: Node, output: boolean): string;
}

/** What is taken to be empty: nothing, `${x+y}`, or all that may be. */
export type Empty = "none" | "alternatives" | "all";

/** The arguments that words become: none, one or several each. What cannot be known is a mark inside of them. */
export function fieldsOf(words: readonly Word[], values: Values, empty: Empty = "none"): string[] {
  return words.flatMap((word) => braceWords(word, values.budget).flatMap((each) => split(each, values, empty)));
}

/** The ways to take words that are worth looking at. */
export function emptyIn(words: readonly Word[]): Empty[] {
  const parts = words.flat();
  const alternatives = parts.some((part) => part.kind === "param" && part.operator.endsWith("+"));
  return [
    ...(alternatives ? (["alternatives"] as const) : []),
    ...(parts.some(({ kind }) => kind === "param" || kind === "command") ? (["all"] as const) : []),
  ];
}

/** One word as one text, as in an assignment or a here-document. */
export function textOf(word: Word, values: Values): string {
  return word.map((part) => piecesOf(part, values).join(" ")).join("");
}

/** The variables that words refer to. */
export function namesIn(words: readonly Word[], into: Set<string> = new Set()): Set<string> {
  for (const part of words.flat()) {
    if (part.kind === "arithmetic") namesIn([part.parts], into);
    if (part.kind !== "param") continue;
    into.add(part.name);
    namesIn([part.argument, part.index ?? []], into);
  }
  return into;
}

function split(word: Word, values: Values, empty: Empty): string[] {
  const fields: string[] = [];
  let current: string | undefined;
  const separators = splitter(values.variable("IFS") ?? " \t\n");
  let nothing = false;
  for (const [at, part] of word.entries()) {
    const pieces = emptied(part, word[at + 1], piecesOf(part, values), empty);
    nothing ||= pieces.length === 0;
    if (part.kind === "text" || part.kind === "process" || part.kind === "arithmetic" || part.quoted) {
      for (const [index, piece] of pieces.entries()) {
        if (index > 0) {
          fields.push(current ?? "");
          current = undefined;
        }
        current = (current ?? "") + piece;
      }
      continue;
    }
    for (const piece of pieces) {
      const [first = "", ...rest] = piece.split(separators);
      if (first !== "") current = (current ?? "") + first;
      for (const each of rest) {
        if (current !== undefined) fields.push(current);
        current = each === "" ? undefined : each;
      }
      // Values of a list are apart from each other, whatever they hold.
      if (pieces.length > 1 && current !== undefined) {
        fields.push(current);
        current = undefined;
      }
    }
  }
  // `"$@"` without arguments is no word, in spite of the quotes.
  if (current !== undefined && !(nothing && current === "")) fields.push(current);
  values.budget.spend(fields.length);
  return fields;
}

/** The pieces of a part, or an empty one where it may be that. In front of these signs it makes up a path or a pair, which is not likely without it. */
function emptied(part: Part, next: Part | undefined, pieces: readonly string[], empty: Empty): readonly string[] {
  if (empty === "none" || (part.kind !== "param" && part.kind !== "command")) return pieces;
  if (part.kind === "param" && part.operator.endsWith("+")) return [""];
  if (empty !== "all" || (next?.kind === "text" && /^[/:.=@]/.test(next.text))) return pieces;
  return pieces.every((piece) => piece.replaceAll(UNKNOWN, "").replaceAll(FILE, "").trim() === "") ? [""] : pieces;
}

/** Blanks separate in any case: an `IFS` that was set under a condition may not be in force. */
function splitter(ifs: string): RegExp {
  if (ifs === " \t\n") return /[ \t\n]+/;
  return new RegExp(`[ \\t\\n${ifs.replace(/[\\\]^-]/g, "\\$&")}]+`);
}

/** What a part stands for: one text, or for a list one per item. */
function piecesOf(part: Part, values: Values): readonly string[] {
  switch (part.kind) {
    case "text":
      return [part.text];
    case "command":
      return [values.output(part.body)];
    case "process":
      return [values.process(part.body, part.output)];
    case "arithmetic":
      textOf(part.parts, values);
      return ["1"];
    case "param":
      return paramOf(part, values);
  }
}

function paramOf(part: Extract<Part, { kind: "param" }>, values: Values): readonly string[] {
  const index = part.index === undefined ? undefined : textOf(part.index, values);
  const argument = textOf(part.argument, values);
  const list = listOf(part.name, index, values);
  if (list !== undefined && part.prefix === "" && part.operator === "") return list;
  const found = part.prefix === "!" ? indirect(part.name, values) : list === undefined ? scalar(part.name, index, values) : list.join(" ");
  if (part.prefix === "#") return [String(found?.length ?? 1)];
  values.budget.spend(argument.length + (found?.length ?? 0));
  const value = applied(found, part, argument);
  if (/^:?=$/.test(part.operator) && found === undefined) values.assign(part.name, argument);
  values.budget.spend(value.length);
  return [value];
}

function listOf(name: string, index: string | undefined, values: Values): readonly string[] | undefined {
  if (name === "@" || name === "*") return values.positional();
  return index === "@" || index === "*" ? (values.array(name) ?? [values.variable(name) ?? UNKNOWN]) : undefined;
}

function scalar(name: string, index: string | undefined, values: Values): string | undefined {
  if (/^[1-9]\d*$/.test(name)) return values.positional()[Number(name) - 1] ?? "";
  if (index === undefined) return fixed[name] ?? values.variable(name);
  return values.array(name)?.[Number(index)] ?? UNKNOWN;
}

/** What is always the same, or of no interest. */
const fixed: Record<string, string> = { "#": "1", "?": "0", $: "12345" };

function indirect(name: string, values: Values): string | undefined {
  const target = values.variable(name);
  return target === undefined ? undefined : values.variable(target);
}

/** The value after `${name<operator><argument>}`. */
function applied(value: string | undefined, { operator, name }: { operator: string; name: string }, argument: string): string {
  const known = value !== undefined && value !== "" && value !== UNKNOWN;
  if (/^:?[-=]$/.test(operator)) return known ? value : argument;
  if (/^:?\+$/.test(operator)) return argument;
  if (operator === ":" && /^ ?0*:0*1$/.test(argument) && firstIsSlash.has(name)) return "/";
  if (value === undefined || value.includes(UNKNOWN)) return operator === "" && value !== undefined ? value : UNKNOWN;
  if (operator === "^^") return value.toUpperCase();
  if (operator === ",,") return value.toLowerCase();
  if (operator === "^") return value.slice(0, 1).toUpperCase() + value.slice(1);
  if (operator === ",") return value.slice(0, 1).toLowerCase() + value.slice(1);
  if (operator === ":") return slice(value, argument);
  if (operator === "" || operator === "?" || operator === ":?") return value;
  // What a pattern would take away or replace is worked out for plain text only.
  if (/[*?[\\]/.test(argument) || operator === "@") return UNKNOWN;
  if (operator.startsWith("#")) return value.startsWith(argument) ? value.slice(argument.length) : value;
  if (operator.startsWith("%")) return argument !== "" && value.endsWith(argument) ? value.slice(0, -argument.length) : value;
  const [from = "", to = ""] = argument.split("/");
  if (from === "") return value;
  return operator === "//" ? value.replaceAll(from, () => to) : value.replace(from, () => to);
}

const firstIsSlash = new Set(["HOME", "PWD", "OLDPWD", "SHELL", "PATH", "BASH", "TMPDIR"]);

function slice(value: string, argument: string): string {
  const [, offset, length] = /^ ?(-?\d{1,6})(?::(-?\d{1,6}))?$/.exec(argument) ?? [];
  if (offset === undefined) return UNKNOWN;
  const start = Number(offset) < 0 ? Math.max(0, value.length + Number(offset)) : Number(offset);
  if (length === undefined) return value.slice(start);
  return value.slice(start, Number(length) < 0 ? value.length + Number(length) : start + Number(length));
}
