import { Compounds } from "./compounds.ts";
import type { Assignment, Budget, Dialect, Node, Reading, Sequence, Simple, Word } from "./syntax.ts";

/**
 * Reads a text as a shell of the given family would. What no shell accepts is read all the same, as
 * near to it as can be: of a script with an error, the lines before it run. Throws `TooMuch`.
 */
export function parse(text: string, dialect: Dialect, budget: Budget): Reading {
  const parser = new Parser(text, dialect, budget);
  const tree = parser.whole();
  return { tree, unclear: parser.unclear, odd: parser.odd };
}

class Parser extends Compounds {
  whole(): Node {
    const items: Sequence["items"] = [];
    while (this.pos < this.text.length) {
      items.push({ node: this.list([]), background: false });
      // A stray `)` or `fi`: an error in every shell.
      if (this.pos < this.text.length) {
        this.strange();
        if (this.keyword() === undefined) this.pos++;
      }
    }
    return single(items);
  }

  protected override inner(text: string): Parser {
    return new Parser(text, this.dialect, this.budget);
  }

  protected override enclosed(closing: ")" | "}"): Node {
    const { pending, closing: outer } = this;
    this.pending = [];
    this.closing = closing;
    const start = this.pos;
    const body = this.budget.deeper(() => this.list(closing === "}" ? ["}"] : []));
    // Whose body is it that begins on the next line? Shells differ.
    if (this.pending.length > 0 || (pending.length > 0 && this.text.slice(start, this.pos).includes("\n"))) this.unclear = true;
    this.pending = pending;
    this.closing = outer;
    this.close(closing);
    return body;
  }

  /** Commands until one of the words given, a `)`, `;;` or the end; none of these is read. */
  protected override list(stops: readonly string[]): Node {
    const items: Sequence["items"] = [];
    for (;;) {
      this.blanks(true);
      const at = this.text[this.pos];
      if (at === undefined || at === ")" || this.startsWith(";;") || this.startsWith(";&")) break;
      if (stops.length > 0 && this.atKeyword(stops)) break;
      if (at === ";" || at === "&" || at === "|") {
        this.pos++;
        continue;
      }
      const start = this.pos;
      const node = this.pipeline();
      if (this.pos === start) break;
      if (node === undefined) continue;
      this.spaces();
      items.push({ node, background: this.text[this.pos] === "&" && this.text[this.pos + 1] !== "&" });
    }
    return single(items);
  }

  private pipeline(): Node | undefined {
    const stages: Node[] = [];
    for (;;) {
      this.spaces();
      while (this.takeKeyword("!") || (this.dialect === "bash" && this.takeKeyword("time"))) {
        this.spaces();
        if (this.match(/-p(?=[ \t])/y) !== undefined) this.spaces();
      }
      this.budget.spend(COMMAND_COST);
      const stage = this.command();
      if (stage !== undefined) stages.push(stage);
      this.spaces();
      if (this.text[this.pos] !== "|" || this.text[this.pos + 1] === "|") break;
      this.pos += this.text[this.pos + 1] === "&" ? 2 : 1;
      this.blanks(true);
    }
    return stages.length > 1 ? { kind: "pipeline", stages } : stages[0];
  }

  private command(): Node | undefined {
    if (this.text[this.pos] === "(") return this.parenthesis();
    const keyword = this.keyword();
    if (keyword === undefined || !openers.has(keyword) || (this.dialect === "dash" && bashOnly.has(keyword))) {
      if (keyword !== undefined && closers.has(keyword)) this.strange();
      return this.simple();
    }
    this.pos += keyword.length;
    if (keyword === "[[") return this.test();
    if (keyword === "function") return this.definition();
    if (keyword === "coproc") {
      this.spaces();
      this.match(/[A-Za-z_]\w*(?=[ \t]+[{(])/y);
      this.spaces();
      return this.command();
    }
    return this.budget.deeper(() => this.compound(keyword));
  }

  private parenthesis(): Node {
    if (this.dialect === "bash" && this.text[this.pos + 1] === "(") {
      const end = this.arithmeticEnd(this.pos + 2);
      if (end !== undefined) {
        const parts = this.quotedText(this.text.slice(this.pos + 2, end));
        this.pos = end + 2;
        return { kind: "block", parts: [], redirects: this.redirects([]), subshell: false, subject: parts };
      }
    }
    this.pos++;
    const body = this.budget.deeper(() => this.list([]));
    this.close(")");
    return { kind: "block", parts: [body], redirects: this.redirects([]), subshell: true };
  }

  /** `[[ … ]]`, where operators have meanings of their own. */
  private test(): Simple {
    const start = this.pos;
    const words: Word[] = [[{ kind: "text", text: "[[", quoted: false }]];
    for (;;) {
      this.blanks(true);
      if (this.pos >= this.text.length || this.match(/\]\](?=[ \t\n;&|()<>]|$)/y) !== undefined) break;
      const word = this.word();
      if (word === undefined) this.pos++;
      else words.push(word);
    }
    return { kind: "simple", assignments: [], words, redirects: this.redirects([]), source: this.text.slice(start - 2, this.pos) };
  }

  private definition(): Node {
    this.spaces();
    const name = this.match(/[^ \t\n;&|()<>]+/y) ?? "";
    this.spaces();
    this.match(/\([ \t]*\)/y);
    this.blanks(true);
    return { kind: "function", name, body: this.budget.deeper(() => this.command()) ?? single([]) };
  }

  private simple(): Node | undefined {
    const start = this.pos;
    const simple: Simple = { kind: "simple", assignments: [], words: [], redirects: [], source: "" };
    for (;;) {
      this.spaces();
      if (this.redirect(simple.redirects)) continue;
      if (this.text[this.pos] === "(") {
        const only = simple.words.length === 1 && simple.assignments.length === 0;
        if (only && this.match(/\([ \t]*\)/y) !== undefined) {
          const name = this.text.slice(start, this.pos).replace(/\s*\(\s*\)$/, "");
          this.blanks(true);
          return { kind: "function", name, body: this.budget.deeper(() => this.command()) ?? single([]) };
        }
        this.strange();
        if (this.pos >= this.text.length) break;
        simple.words.push([{ kind: "command", body: this.parenthesis(), quoted: true }]);
        continue;
      }
      const word = this.word();
      if (word === undefined) break;
      const assignment = simple.words.length === 0 ? assignmentOf(word) : undefined;
      if (assignment === undefined) simple.words.push(word);
      else simple.assignments.push(this.withItems(assignment));
    }
    if (this.pos === start) return undefined;
    simple.source = this.text.slice(start, this.pos);
    return simple;
  }

  private withItems(assignment: Assignment): Assignment {
    if (assignment.value.length > 0 || this.text[this.pos] !== "(") return assignment;
    if (this.dialect === "dash") {
      this.strange();
      return assignment;
    }
    this.pos++;
    const items = this.budget.deeper(() => {
      const words = this.wordList(true);
      this.close(")");
      return words;
    });
    return { ...assignment, items };
  }
}

/** Beside its words. */
const COMMAND_COST = 16;

const openers = new Set(["if", "case", "while", "until", "for", "select", "function", "coproc", "{", "[["]);
const bashOnly = new Set(["select", "function", "coproc", "[["]);
const closers = new Set(["then", "elif", "else", "fi", "do", "done", "esac", "}"]);

/** `name=value`, where a word starts like that. */
function assignmentOf(word: Word): Assignment | undefined {
  const [first, ...rest] = word;
  if (first?.kind !== "text" || first.quoted) return undefined;
  const found = /^([A-Za-z_]\w*)(\[[^\]=]*\])?(\+?)=/.exec(first.text);
  if (found?.[1] === undefined) return undefined;
  const text = first.text.slice(found[0].length);
  return { name: found[1], append: found[3] === "+", value: text === "" ? rest : [{ ...first, text }, ...rest] };
}

function single(items: Sequence["items"]): Node {
  const [first] = items;
  return items.length === 1 && first !== undefined && !first.background ? first.node : { kind: "sequence", items };
}
