import { type Budget, type Part, TooMuch, UNKNOWN, type Word } from "./syntax.ts";

/** `{rm,-rf,/}` is three words, `a{b,c}` two, `{1..3}` three; a word without such braces is itself. */
export function braceWords(word: Word, budget: Budget): Word[] {
  if (!word.some((part) => part.kind === "text" && !part.quoted && part.text.includes("{"))) return [word];
  const tokens = word.flatMap(tokensOf);
  budget.spend(tokens.length * 8);
  return range({ tokens, pairs: pairsOf(tokens), budget }, 0, tokens.length);
}

/** More words than this out of one are not looked at. */
const MOST_WORDS = 1024;
/** Longer sequences are represented by their ends. */
const LONGEST_SEQUENCE = 64;

type Token = "{" | "," | "}" | Part;

interface Braces {
  tokens: readonly Token[];
  /** Where each `{` that has an end ends. */
  pairs: ReadonlyMap<number, number>;
  budget: Budget;
}

function tokensOf(part: Part): Token[] {
  if (part.kind !== "text" || part.quoted) return [part];
  return part.text
    .split(/([{},])/)
    .filter((piece) => piece !== "")
    .map((piece) => (piece === "{" || piece === "," || piece === "}" ? piece : { ...part, text: piece }));
}

function pairsOf(tokens: readonly Token[]): Map<number, number> {
  const pairs = new Map<number, number>();
  const open: number[] = [];
  for (const [at, token] of tokens.entries()) {
    if (token === "{") open.push(at);
    if (token !== "}") continue;
    const start = open.pop();
    if (start !== undefined) pairs.set(start, at);
  }
  return pairs;
}

function range(braces: Braces, from: number, to: number): Part[][] {
  let words: Part[][] = [[]];
  for (let at = from; at < to; at++) {
    const token = braces.tokens[at];
    if (token === undefined) continue;
    const end = token === "{" ? braces.pairs.get(at) : undefined;
    if (end === undefined) {
      const part: Part = typeof token === "string" ? { kind: "text", text: token, quoted: false } : token;
      braces.budget.spend(words.length);
      for (const word of words) word.push(part);
      continue;
    }
    const choices = braces.budget.deeper(() => alternatives(braces, at + 1, end));
    if (words.length * choices.length > MOST_WORDS) throw new TooMuch("too many words");
    words = words.flatMap((word) => choices.map((choice) => [...word, ...choice]));
    braces.budget.spend(words.length);
    at = end;
  }
  return words;
}

/** What may stand for one pair of braces. */
function alternatives(braces: Braces, from: number, to: number): Part[][] {
  const commas: number[] = [];
  for (let at = from; at < to; at++) {
    if (braces.tokens[at] === ",") commas.push(at);
    else if (braces.tokens[at] === "{") at = braces.pairs.get(at) ?? at;
  }
  if (commas.length > 0) {
    const starts = [from, ...commas.map((comma) => comma + 1)];
    return starts.flatMap((start, index) => range(braces, start, commas[index] ?? to));
  }
  const only = to - from === 1 ? braces.tokens[from] : undefined;
  const items = typeof only === "object" && only.kind === "text" ? sequence(only.text) : undefined;
  if (items !== undefined) return items.map((text) => [{ kind: "text", text, quoted: false }]);
  const brace = (text: string): Part => ({ kind: "text", text, quoted: false });
  return range(braces, from, to).map((word) => [brace("{"), ...word, brace("}")]);
}

/** `1..3` and `a..c`. */
function sequence(text: string): string[] | undefined {
  const [, first, last] = /^(-?\d{1,9}|[A-Za-z])\.\.(-?\d{1,9}|[A-Za-z])(?:\.\.-?\d{1,9})?$/.exec(text) ?? [];
  if (first === undefined || last === undefined) return undefined;
  const letters = /[A-Za-z]/.test(first) && /[A-Za-z]/.test(last);
  if (!letters && /[A-Za-z]/.test(first + last)) return undefined;
  const [start, end] = letters ? [first.charCodeAt(0), last.charCodeAt(0)] : [Number(first), Number(last)];
  const shown = (value: number) => (letters ? String.fromCharCode(value) : String(value));
  const count = Math.abs(end - start) + 1;
  if (count > LONGEST_SEQUENCE) return [first, UNKNOWN, last];
  return Array.from({ length: count }, (_, index) => shown(start + (end < start ? -index : index)));
}
