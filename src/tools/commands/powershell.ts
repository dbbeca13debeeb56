import type { Assignment, Budget, Node, Part, Reading, Sequence, Simple, Word } from "./syntax.ts";

/** Reads a text as PowerShell would, into the same tree as a shell's. Throws `TooMuch`. */
export function parsePowershell(text: string, budget: Budget): Reading {
  budget.spend(text.length);
  const parser = new Parser(text, budget);
  const tree = parser.statements(undefined);
  return { tree, unclear: parser.unclear, odd: false };
}

class Parser {
  private readonly text: string;
  private readonly budget: Budget;
  private pos = 0;
  unclear = false;

  constructor(text: string, budget: Budget) {
    this.text = text;
    this.budget = budget;
  }

  /** Statements up to a closing bracket, which is read as well. */
  statements(closing: ")" | "}" | undefined): Node {
    const items: Sequence["items"] = [];
    let stages: Node[] = [];
    const end = () => {
      if (stages.length > 0) items.push({ node: stages.length > 1 ? { kind: "pipeline", stages } : (stages[0] as Node), background: false });
      stages = [];
    };
    for (;;) {
      const start = this.pos;
      const command = this.command();
      if (command !== undefined) stages.push(command);
      const at = this.text[this.pos];
      if (at === undefined) break;
      if (at === "|" && this.text[this.pos + 1] !== "|") {
        this.pos++;
        continue;
      }
      end();
      if (at === ")" || at === "}") {
        if (at === closing) {
          this.pos++;
          return { kind: "sequence", items };
        }
        this.pos++;
      } else if (/[|;&\n\r,]/.test(at) || this.pos === start) {
        this.pos++;
      }
    }
    end();
    if (closing !== undefined) this.unclear = true;
    return { kind: "sequence", items };
  }

  private command(): Simple | undefined {
    this.match(/[ \t\n\r;]+/y);
    const start = this.pos;
    const assignment = this.match(/\$(?:global:|script:|local:)?([A-Za-z_]\w*)[ \t]*\+?=(?!=)[ \t]*/y);
    const assignments: Assignment[] = [];
    if (assignment === undefined) this.match(/[&.](?=[ \t"'({$])[ \t]*/y);
    const called = this.pos > start;
    const words: Word[] = [];
    // An expression is not run; what it says is what it gives.
    if (!called && /["'(@[$\d]/.test(this.text[this.pos] ?? "")) words.push([plain("write-output", false)]);
    for (;;) {
      this.match(/(?:[ \t]|`\r?\n|<#[\s\S]*?(?:#>|$)|#[^\n]*)+/y);
      const word = this.word();
      if (word === undefined) break;
      words.push(word);
    }
    if (assignment !== undefined) {
      const name = /[A-Za-z_]\w*(?=[ \t]*\+?=)/.exec(assignment)?.[0] ?? "";
      const source = this.text.slice(start, this.pos);
      const literal = words.length === 1 && words[0]?.[0]?.kind === "text" && words[0][0].quoted;
      const body: Simple = { kind: "simple", assignments: [], words, redirects: [], source };
      assignments.push({ name, append: /\+=/.test(assignment), value: literal ? (words[0] ?? []) : [{ kind: "command", body, quoted: true }] });
      return { kind: "simple", assignments, words: [], redirects: [], source };
    }
    if (words.length === 0) return undefined;
    return { kind: "simple", assignments, words, redirects: [], source: this.text.slice(start, this.pos) };
  }

  private word(): Word | undefined {
    const parts: Part[] = [];
    const start = this.pos;
    for (;;) {
      this.budget.spend(PART_COST);
      const at = this.text[this.pos];
      if (at === "'") parts.push(plain(this.quoted(/'((?:[^']|'')*)'/y).replaceAll("''", "'"), true));
      else if (at === '"') this.doubleQuoted(parts);
      else if (at === "@" && /^@['"]\r?\n/.test(this.text.slice(this.pos, this.pos + 4))) parts.push(plain(this.hereString(), true));
      else if (at === "(" || at === "{") parts.push(this.bracket(at));
      else if ((at === "$" || at === "@") && this.text[this.pos + 1] === "(") {
        this.pos++;
        parts.push(this.bracket("("));
      } else if (at === "$") parts.push(this.variable());
      else if (at === "`") {
        parts.push(plain(this.text[this.pos + 1] ?? "", false));
        this.pos += 2;
      } else {
        const text = this.match(/[^\s;|&(){}'"$`,]+/y) ?? this.match(/,(?=\S)/y);
        if (text === undefined) break;
        parts.push(plain(text, false));
      }
    }
    return this.pos === start ? undefined : parts;
  }

  private bracket(open: "(" | "{"): Part {
    this.pos++;
    return { kind: "command", body: this.budget.deeper(() => this.statements(open === "(" ? ")" : "}")), quoted: true };
  }

  private variable(): Part {
    const name = this.match(/\$(?:\{[^}]*\}|[\w:]+|[?^$])/y);
    if (name !== undefined) return variablePart(name);
    this.pos++;
    return plain("$", false);
  }

  /** The inside of a quoted text; to the end of everything where it is not closed. */
  private quoted(pattern: RegExp): string {
    const found = this.match(pattern);
    if (found !== undefined) return found.slice(1, -1);
    this.unclear = true;
    const rest = this.text.slice(this.pos + 1);
    this.pos = this.text.length;
    return rest;
  }

  private hereString(): string {
    const quote = this.text[this.pos + 1] ?? "";
    const end = this.text.indexOf(`\n${quote}@`, this.pos);
    const body = this.text.slice(this.text.indexOf("\n", this.pos) + 1, end < 0 ? undefined : end);
    if (end < 0) this.unclear = true;
    this.pos = end < 0 ? this.text.length : end + 3;
    return body;
  }

  private doubleQuoted(parts: Part[]): void {
    this.pos++;
    parts.push(plain("", true));
    for (;;) {
      this.budget.spend(PART_COST);
      const at = this.text[this.pos];
      const next = this.text[this.pos + 1];
      if (at === undefined) {
        this.unclear = true;
        return;
      }
      if (at === '"' && next !== '"') break;
      if (at === '"' || at === "`") {
        parts.push(plain(next ?? "", true));
        this.pos += 2;
      } else if (at === "$" && next === "(") {
        this.pos++;
        parts.push(this.bracket("("));
      } else {
        const text = this.match(/[^"`$]+/y);
        parts.push(text === undefined ? this.variable() : plain(text, true));
      }
    }
    this.pos++;
  }

  private match(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.pos;
    const found = pattern.exec(this.text)?.[0];
    if (found === undefined || found === "") return undefined;
    this.pos += found.length;
    return found;
  }
}

const PART_COST = 16;

function variablePart(written: string): Part {
  const name = written.replace(/^\$\{?|\}$/g, "").replace(/^(?:global|script|local):/i, "");
  const known = /^(?:env:)?(?:home|userprofile)$/i.test(name) ? "HOME" : name;
  return { kind: "param", name: known, prefix: "", index: undefined, operator: "", argument: [], quoted: true };
}

function plain(text: string, quoted: boolean): Part {
  return { kind: "text", text, quoted };
}
