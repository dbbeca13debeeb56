import type { Call } from "./call.ts";
import { UNKNOWN } from "./syntax.ts";

/** What a call runs in its turn. */
export type Inner =
  | { kind: "words"; words: readonly string[]; bulk?: boolean; stdin?: string }
  /** A text in a language, with the arguments that it is given. */
  | { kind: "text"; language: Language; text: string; args?: readonly string[] };

export type Language = "shell" | "cmd" | "powershell" | "code";

export type Special = (call: Call) => Inner[];

/** The arguments from the first operand on; `valued` are options that are followed by a value: letters, or long names. */
export function afterOptions(args: readonly string[], valued: ReadonlySet<string>): readonly string[] {
  let at = 0;
  for (; at < args.length; at++) {
    const arg = args[at] ?? "";
    if (arg === "--") return args.slice(at + 1);
    if (!/^-./.test(arg)) break;
    if (arg.startsWith("--") || valued.has(arg.slice(1))) {
      if (valued.has(arg.replace(/^--?/, ""))) at++;
      continue;
    }
    const first = arg.slice(1).search(letterOf(valued));
    // The value is what is left of the word, or else the next word.
    if (first >= 0 && first === arg.length - 2) at++;
  }
  return args.slice(at);
}

/** Options whose value is a command text: what any group of the pattern holds, else the next argument. */
export const textAfter =
  (pattern: RegExp): Special =>
  ({ args }) =>
    args.flatMap((arg, at) => {
      const found = pattern.exec(arg);
      if (found === null) return [];
      return [shell(found.slice(1).find((group) => group !== undefined) ?? args[at + 1] ?? "")];
    });

/** The words of a known text, or one that is not known. */
export function wordsOf(text: string): string[] {
  const words = text.split(/[\s"']+/).filter((word) => word !== "");
  return words.length > 0 ? words.slice(0, MOST_VALUES) : [UNKNOWN];
}

export const MOST_VALUES = 64;

export function shell(text: string): Inner {
  return { kind: "text", language: "shell", text };
}

/** Matches any of the options that are one letter. */
function letterOf(valued: ReadonlySet<string>): RegExp {
  const letters = [...valued].filter((each) => each.length === 1).join("");
  return letters === "" ? /(?!)/ : new RegExp(`[${letters}]`);
}

export function setOf(text: string): ReadonlySet<string> {
  return new Set(text.split(" ").filter((each) => each !== ""));
}
