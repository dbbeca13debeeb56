import { type Budget, type Node, type Reading, type Redirect, type Sequence, UNKNOWN, type Word } from "./syntax.ts";

/** Reads a text as the command prompt of Windows would, into the same tree as a shell's. Throws `TooMuch`. */
export function parseCmd(text: string, budget: Budget): Reading {
  budget.spend(text.length);
  const tokens = tokensOf(text, budget);
  const items: Sequence["items"] = [];
  let stages: Node[] = [];
  let command: Token[] = [];
  const endStage = () => {
    const simple = simpleOf(command, text);
    if (simple !== undefined) stages.push(simple);
    command = [];
  };
  const endPipeline = () => {
    endStage();
    const [first] = stages;
    if (first !== undefined) items.push({ node: stages.length > 1 ? { kind: "pipeline", stages } : first, background: false });
    stages = [];
  };
  for (const token of tokens) {
    if (token.kind !== "operator" || /[<>]/.test(token.text)) command.push(token);
    else if (token.text === "|") endStage();
    else endPipeline();
  }
  endPipeline();
  return { tree: { kind: "sequence", items }, unclear: false, odd: false };
}

interface Token {
  kind: "word" | "operator";
  text: string;
  start: number;
  end: number;
}

const pieces = new RegExp(
  [
    /(?<blank>[ \t,;=\r]+)/,
    /(?<operator>\n|\(|\)|&&?|\|\|?|\d?>>?(?:&\d)?|\d?<(?:&\d)?)/,
    /(?<escaped>\^[\s\S]?)/,
    /"(?<quoted>[^"\n]*)"?/,
    /(?<variable>%[^%\s]{1,64}%|![\w:~,=]{1,64}!)/,
    /[^ \t,;=\r\n()&|<>^"%!]+|[\s\S]/,
  ]
    .map(({ source }) => source)
    .join("|"),
  "g",
);

const TOKEN_COST = 16;

function tokensOf(text: string, budget: Budget): Token[] {
  const tokens: Token[] = [];
  let word: Token | undefined;
  for (const found of text.matchAll(pieces)) {
    budget.spend(TOKEN_COST);
    const { blank, operator, escaped, quoted, variable } = found.groups ?? {};
    const [all] = found;
    const span = { start: found.index, end: found.index + all.length };
    if (blank !== undefined || operator !== undefined) {
      word = undefined;
      if (operator !== undefined) tokens.push({ kind: "operator", text: operator, ...span });
      continue;
    }
    if (word === undefined) {
      word = { kind: "word", text: "", ...span };
      tokens.push(word);
    }
    word.end = span.end;
    if (escaped !== undefined) word.text += escaped === "^\n" ? "" : escaped.slice(1);
    else word.text += variable === undefined ? (quoted ?? all) : environment(variable.slice(1, -1).toLowerCase());
  }
  return tokens;
}

function environment(name: string): string {
  if (name === "comspec") return "cmd";
  if (name === "userprofile" || name === "homepath") return "~";
  if (/^(?:systemroot|windir)$/.test(name)) return "c:\\windows";
  return name === "systemdrive" ? "c:" : UNKNOWN;
}

function simpleOf(tokens: readonly Token[], text: string): Node | undefined {
  const words: string[] = [];
  const redirects: Redirect[] = [];
  for (let at = 0; at < tokens.length; at++) {
    const token = tokens[at];
    if (token === undefined) continue;
    if (token.kind === "word") {
      words.push(token.text);
    } else if (!token.text.includes("&")) {
      redirects.push({ operator: token.text.replace(/^\d/, ""), target: wordOf(tokens[++at]?.text ?? "") });
    }
  }
  const [first = "", ...rest] = words;
  // `del/s` is `del /s`, `@del` is `del`, `c:\bin\del` is a path.
  const [, name = first, joined = ""] = /^@?([a-z]+)(\/.*)$/i.exec(first) ?? [];
  const all = [name.replace(/^@/, ""), joined, ...rest].filter((word) => word !== "");
  const source = text.slice(tokens[0]?.start ?? 0, tokens.at(-1)?.end ?? 0);
  if (all.length === 0 && redirects.length === 0) return undefined;
  return { kind: "simple", assignments: [], words: all.map(wordOf), redirects, source };
}

function wordOf(text: string): Word {
  return [{ kind: "text", text, quoted: true }];
}
