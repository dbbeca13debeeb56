import { unescapeAnsi } from "./escapes.ts";
import type { Budget, Dialect, Node, Part, Word } from "./syntax.ts";

/** Reads words: quotes, escapes and everything that begins with `$`. What stands between words is `parse.ts`. */
export abstract class Words {
  readonly text: string;
  readonly dialect: Dialect;
  protected readonly budget: Budget;
  protected pos = 0;
  /** Shells would not agree on what this means, or quotes do not end. */
  unclear = false;
  /** No shell's grammar. */
  odd = false;

  constructor(text: string, dialect: Dialect, budget: Budget) {
    this.text = text;
    this.dialect = dialect;
    this.budget = budget;
    budget.spend(text.length);
  }

  /** The commands up to `)` or `}`, which is read as well. */
  protected abstract enclosed(closing: ")" | "}"): Node;

  /** A reader of the same kind for a text inside this text. */
  protected abstract inner(text: string): Words & { whole(): Node };

  /** The word that starts here; undefined where none does. */
  protected word(): Word | undefined {
    const parts: Part[] = [];
    const start = this.pos;
    while (this.pos < this.text.length && this.part(parts, plainRun)) this.budget.spend(WORD_COST);
    return this.pos === start ? undefined : parts;
  }

  /** The whole text as it would stand between double quotes: the body of a here-document, an arithmetic expression. */
  quotedBody(): Word {
    const parts: Part[] = [];
    while (this.pos < this.text.length) if (!this.quotedPart(parts, bodyRun)) push(parts, this.text[this.pos++] ?? "", true);
    return parts;
  }

  /** Reads one part of an unquoted word; false where the word ends. */
  private part(parts: Part[], run: RegExp): boolean {
    const at = this.text[this.pos];
    if (at === "\\") {
      this.escape(parts);
    } else if (at === "'") {
      push(parts, this.upTo("'"), true);
    } else if (at === '"') {
      this.doubleQuoted(parts);
    } else if (at === "$") {
      this.dollar(parts, false);
    } else if (at === "`") {
      this.backticks(parts, false);
    } else if ((at === "<" || at === ">") && this.text[this.pos + 1] === "(" && this.dialect === "bash") {
      this.pos += 2;
      parts.push({ kind: "process", body: this.enclosed(")"), output: at === ">" });
    } else {
      const plain = this.match(run);
      if (plain === undefined) return false;
      push(parts, plain, false);
    }
    return true;
  }

  private escape(parts: Part[]): void {
    const next = this.text[this.pos + 1];
    this.pos += 2;
    if (next === undefined) push(parts, "\\", true);
    else if (next !== "\n") push(parts, next, true);
  }

  private doubleQuoted(parts: Part[]): void {
    this.pos++;
    // So that "" is a word, if an empty one.
    push(parts, "", true);
    while (this.text[this.pos] !== '"') {
      if (this.pos >= this.text.length) {
        this.unclear = true;
        return;
      }
      this.quotedPart(parts, quotedRun);
    }
    this.pos++;
  }

  /** Reads one part between double quotes; false at a quote. */
  private quotedPart(parts: Part[], run: RegExp): boolean {
    const at = this.text[this.pos];
    if (at === "\\") {
      const next = this.text[this.pos + 1] ?? "";
      this.pos += 2;
      if (next !== "\n") push(parts, '$`"\\'.includes(next) ? next : `\\${next}`, true);
    } else if (at === "$") {
      this.dollar(parts, true);
    } else if (at === "`") {
      this.backticks(parts, true);
    } else {
      const plain = this.match(run);
      if (plain === undefined) return false;
      push(parts, plain, true);
    }
    return true;
  }

  private dollar(parts: Part[], quoted: boolean): void {
    this.budget.spend(WORD_COST);
    this.pos++;
    this.skipContinuations();
    const at = this.text[this.pos];
    if (at === "(") {
      this.substitution(parts, quoted);
    } else if (at === "{") {
      this.pos++;
      this.budget.deeper(() => this.braced(parts, quoted));
    } else if (at === "'" && !quoted && this.dialect === "bash") {
      this.ansiQuoted(parts);
    } else if (at === '"' && !quoted && this.dialect === "bash") {
      // Translated text; the quote is read next.
    } else {
      const name = this.match(/[A-Za-z_]\w*|[0-9@*#?$!_-]/y);
      if (name === undefined) push(parts, "$", quoted);
      else parts.push({ kind: "param", name, prefix: "", index: undefined, operator: "", argument: [], quoted });
    }
  }

  private substitution(parts: Part[], quoted: boolean): void {
    this.pos++;
    if (this.text[this.pos] === "(") {
      const end = this.arithmeticEnd(this.pos + 1);
      if (end !== undefined) {
        parts.push({ kind: "arithmetic", parts: this.quotedText(this.text.slice(this.pos + 1, end)) });
        this.pos = end + 2;
        return;
      }
      // bash reads a command here, dash goes on looking for `))`.
      this.unclear = true;
    }
    parts.push({ kind: "command", body: this.enclosed(")"), quoted });
  }

  protected quotedText(text: string): Word {
    const inner = this.inner(text);
    const parts = this.budget.deeper(() => inner.quotedBody());
    this.unclear ||= inner.unclear;
    return parts;
  }

  /** Where the `))` stands that ends an arithmetic expression; undefined where `((` opened something else. */
  protected arithmeticEnd(start: number): number | undefined {
    let open = 0;
    for (let at = start; at < this.text.length; at++) {
      const char = this.text[at];
      if (char === "\\") at++;
      else if (char === "(") open++;
      else if (char === ")" && --open < 0) {
        this.budget.spend(at - start);
        return this.text[at + 1] === ")" ? at : undefined;
      }
    }
    this.budget.spend(this.text.length - start);
    return undefined;
  }

  /** `${…}`, after the brace. */
  private braced(parts: Part[], quoted: boolean): void {
    if (/[ \t\n|]/.test(this.text[this.pos] ?? "")) {
      // The newest bash runs `${ command; }`.
      this.pos++;
      parts.push({ kind: "command", body: this.enclosed("}"), quoted });
      return;
    }
    const prefix = this.match(/!(?=[A-Za-z_0-9])|#(?=[A-Za-z_0-9@*])/y) ?? "";
    const name = this.match(/[A-Za-z_]\w*|[0-9]+|[@*#?$!_-]/y) ?? "";
    let index: Word | undefined;
    if (this.match(/\[/y) !== undefined) index = this.bracedWord("]", quoted);
    const operator = this.match(/:?[-=?+]|##?|%%?|\/\/?|\^\^?|,,?|:|@/y) ?? "";
    // Between double quotes, single quotes stand for themselves in a default, not in a pattern.
    const literal = quoted && /^:?[-=?+]?$/.test(operator);
    const argument = this.bracedWord("}", literal);
    parts.push({ kind: "param", name, prefix, index, operator, argument, quoted });
  }

  /** Up to `closing`, which is read as well; blanks and operators have no meaning here. */
  private bracedWord(closing: "}" | "]", quoted: boolean): Word {
    const parts: Part[] = [];
    const run = closing === "}" ? braceRun : indexRun;
    while (this.text[this.pos] !== closing) {
      if (this.pos >= this.text.length) {
        this.unclear = true;
        return parts;
      }
      if (this.text[this.pos] === '"') this.doubleQuoted(parts);
      else if (!(quoted ? this.quotedPart(parts, run) : this.part(parts, run))) push(parts, this.text[this.pos++] ?? "", quoted);
    }
    this.pos++;
    return parts;
  }

  private backticks(parts: Part[], quoted: boolean): void {
    this.pos++;
    const body = this.match(/(?:[^`\\]|\\[\s\S])*/y) ?? "";
    if (this.text[this.pos] === "`") this.pos++;
    else this.unclear = true;
    const inner = this.inner(body.replace(quoted ? /\\([\\$`"])/g : /\\([\\$`])/g, "$1"));
    parts.push({ kind: "command", body: this.budget.deeper(() => inner.whole()), quoted });
    this.unclear ||= inner.unclear;
    this.odd ||= inner.odd;
  }

  /** `$'…'`, at the quote. */
  private ansiQuoted(parts: Part[]): void {
    this.pos++;
    const body = this.match(/(?:[^'\\]|\\[\s\S])*/y) ?? "";
    if (this.text[this.pos] === "'") this.pos++;
    else this.unclear = true;
    push(parts, unescapeAnsi(body), true);
  }

  /** What stands before the next `quote`; at a single quote. */
  private upTo(quote: string): string {
    const start = this.pos + 1;
    const end = this.text.indexOf(quote, start);
    if (end < 0) this.unclear = true;
    this.pos = end < 0 ? this.text.length : end + 1;
    return this.text.slice(start, end < 0 ? undefined : end);
  }

  protected skipContinuations(): void {
    while (this.text[this.pos] === "\\" && this.text[this.pos + 1] === "\n") this.pos += 2;
  }

  /** What a sticky pattern matches here. */
  protected match(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.pos;
    const found = pattern.exec(this.text)?.[0];
    if (found === undefined || found === "") return undefined;
    this.pos += found.length;
    return found;
  }
}

/** Beside its characters. */
const WORD_COST = 16;

const plainRun = /[^ \t\n;&|()<>\\'"$`]+/y;
const quotedRun = /[^\\"$`]+/y;
const bodyRun = /[^\\$`]+/y;
const braceRun = /[^}\\'"$`<>]+/y;
const indexRun = /[^\]\\'"$`<>]+/y;

/** Adds text, to the last part where that is of the same kind. */
function push(parts: Part[], text: string, quoted: boolean): void {
  const last = parts.at(-1);
  if (last?.kind === "text" && last.quoted === quoted) last.text += text;
  else parts.push({ kind: "text", text, quoted });
}
