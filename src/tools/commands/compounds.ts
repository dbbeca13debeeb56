import { Lines } from "./lines.ts";
import type { Block, Node, Word } from "./syntax.ts";

/** Reads what is made of other commands and begins with a keyword: groups, `if`, loops and `case`. */
export abstract class Compounds extends Lines {
  /** Commands until one of the keywords given; that is not read. */
  protected abstract list(stops: readonly string[]): Node;

  protected compound(keyword: string): Block {
    const block: Block = { kind: "block", parts: [], redirects: [], subshell: false };
    if (keyword === "{") this.body(block, "}");
    else if (keyword === "case") this.cases(block);
    else if (keyword === "if") this.branches(block);
    else this.loop(block, keyword);
    this.redirects(block.redirects);
    return block;
  }

  /** Adds the commands up to one of the keywords, and reads it. */
  private body(block: Block, ...stops: readonly string[]): string | undefined {
    block.parts.push(this.list(stops));
    const keyword = this.keyword();
    if (keyword !== undefined && stops.includes(keyword)) {
      this.pos += keyword.length;
      return keyword;
    }
    this.strange();
    return undefined;
  }

  private branches(block: Block): void {
    let keyword: string | undefined;
    do {
      this.body(block, "then");
      keyword = this.body(block, "elif", "else", "fi");
    } while (keyword === "elif");
    if (keyword === "else") this.body(block, "fi");
  }

  private loop(block: Block, keyword: string): void {
    if (keyword === "while" || keyword === "until") {
      const start = this.pos;
      this.body(block, "do");
      if (/(?:^|[\s;|&(])read\s/.test(this.text.slice(start, this.pos))) block.reading = true;
      this.body(block, "done");
      return;
    }
    this.loopHead(block);
    this.blanks(true);
    this.match(/;/y);
    this.blanks(true);
    if (this.takeKeyword("{")) this.body(block, "}");
    else if (this.takeKeyword("do")) this.body(block, "done");
    else this.strange();
  }

  private loopHead(block: Block): void {
    this.spaces();
    if (this.dialect === "bash" && this.startsWith("((")) {
      const end = this.arithmeticEnd(this.pos + 2);
      if (end !== undefined) {
        block.subject = this.quotedText(this.text.slice(this.pos + 2, end));
        this.pos = end + 2;
        return;
      }
    }
    const name = this.match(/[^ \t\n;&|()<>]+/y) ?? "";
    this.blanks(true);
    const words = this.takeKeyword("in") ? this.wordList() : undefined;
    block.loop = { name, words };
  }

  private cases(block: Block): void {
    this.spaces();
    block.subject = this.word() ?? [];
    this.blanks(true);
    if (!this.takeKeyword("in")) this.strange();
    for (;;) {
      this.blanks(true);
      if (this.takeKeyword("esac")) return;
      this.match(/\(/y);
      const start = this.pos;
      do {
        this.spaces();
        this.word();
        this.spaces();
      } while (this.match(/\|/y) !== undefined);
      if (this.match(/\)/y) === undefined || this.pos === start) return this.strange();
      block.parts.push(this.list(["esac"]));
      this.match(/;;&|;;|;&/y);
      if (this.pos >= this.text.length) return this.strange();
    }
  }

  protected wordList(lines = false): Word[] {
    const words: Word[] = [];
    for (;;) {
      if (lines) this.blanks(true);
      else this.spaces();
      const word = this.word();
      if (word === undefined) return words;
      words.push(word);
    }
  }
}
