import { readBody } from "./heredoc.ts";
import type { Redirect } from "./syntax.ts";
import { Words } from "./words.ts";

interface Pending {
  redirect: Redirect;
  delimiter: string;
  /** Any quote in the delimiter makes the body plain text. */
  plain: boolean;
}

/** Reads what stands between words: blanks, comments, ends of lines, keywords, redirections and here-documents. */
export abstract class Lines extends Words {
  /** Here-documents whose bodies begin after this line. */
  protected pending: Pending[] = [];
  /** What the substitution that is being read ends with. */
  protected closing: ")" | "}" | undefined;

  protected redirects(into: Redirect[]): Redirect[] {
    do this.spaces();
    while (this.redirect(into));
    return into;
  }

  protected redirect(into: Redirect[]): boolean {
    const start = this.pos;
    const bash = this.dialect === "bash";
    const found = this.match(bash ? bashRedirect : dashRedirect);
    if (found === undefined) return false;
    const operator = found.replace(/^(?:\d+|\{\w+\})/, "");
    if (bash && /^[<>]$/.test(operator) && this.text[this.pos] === "(") {
      this.pos = start;
      return false;
    }
    this.budget.spend(16);
    this.skipContinuations();
    this.spaces();
    const from = this.pos;
    const target = this.word() ?? [];
    const redirect: Redirect = { operator, target };
    into.push(redirect);
    if (operator === "<<" || operator === "<<-") {
      const written = this.text.slice(from, this.pos);
      const texts = target.map((part) => (part.kind === "text" ? part.text : undefined));
      const delimiter = texts.includes(undefined) ? written : texts.join("");
      this.pending.push({ redirect, delimiter, plain: /['"\\]/.test(written) });
    }
    return true;
  }

  /** What is between commands on one line, or also the ends of lines, after which here-documents begin. */
  protected blanks(lines: boolean): void {
    for (;;) {
      this.spaces();
      if (!lines || this.text[this.pos] !== "\n") return;
      this.pos++;
      this.bodies();
    }
  }

  protected spaces(): void {
    this.match(/(?:[ \t]|\\\n)+/y);
    // Within a word, `#` is read with the word.
    if (this.text[this.pos] === "#") this.match(/[^\n]+/y);
  }

  protected bodies(): void {
    for (const { redirect, delimiter, plain } of this.pending.splice(0)) {
      const strip = redirect.operator === "<<-";
      const { body, next, unclear } = readBody(this.text, this.pos, { delimiter, plain, strip, joined: this.dialect === "bash", closing: this.closing });
      this.budget.spend(next - this.pos);
      this.pos = next;
      this.unclear ||= unclear;
      redirect.operator = "<<";
      redirect.target = plain ? [{ kind: "text", text: body, quoted: true }] : this.quotedText(body);
    }
  }

  protected close(closing: ")" | "}"): void {
    if (this.text[this.pos] === closing) this.pos++;
    else this.unclear = true;
  }

  /** An error of syntax. dash is taken at its word, so that what only bash understands is not judged twice. */
  protected strange(): void {
    this.odd = true;
    if (this.dialect === "dash") this.pos = this.text.length;
  }

  protected startsWith(text: string): boolean {
    return this.text.startsWith(text, this.pos);
  }

  protected keyword(): string | undefined {
    keywords.lastIndex = this.pos;
    return keywords.exec(this.text)?.[0];
  }

  protected atKeyword(stops: readonly string[]): boolean {
    const keyword = this.keyword();
    return keyword !== undefined && stops.includes(keyword);
  }

  protected takeKeyword(wanted: string): boolean {
    if (this.keyword() !== wanted) return false;
    this.pos += wanted.length;
    return true;
  }
}

const keywords = /(?:if|then|elif|else|fi|do|done|case|esac|while|until|for|in|function|select|time|coproc|\{|\}|!|\[\[)(?=[ \t\n;&|()<>]|\\\n|$)/y;

const bashRedirect = /(?:\d+|\{[A-Za-z_]\w*\})?(?:&>>|&>|<<<|<<-|<<|<>|<&|>>|>&|>\||<|>)/y;
const dashRedirect = /\d*(?:<<-|<<|<>|<&|>>|>&|>\||<|>)/y;
