import { emptyIn, fieldsOf, namesIn, textOf, type Values } from "./expand.ts";
import { Scope } from "./scope.ts";
import {
  type Assignment,
  type Block,
  type Budget,
  type Dialect,
  FILE,
  NETWORK,
  type Node,
  type Redirect,
  type Sequence,
  type Simple,
  UNKNOWN,
  type Word,
} from "./syntax.ts";

/**
 * Goes through a tree as a shell would, every branch of it, with what each command reads and prints as
 * far as that is known. What a single call means is `run.ts`. Throws `TooMuch`.
 */
export abstract class Walk {
  protected readonly scope = new Scope();
  protected readonly budget: Budget;
  protected dialect: Dialect;
  /** The command that is looked at, as it was written. */
  protected source = "";
  /** How many of the commands around the current one do not wait for it. */
  protected background = 0;
  /** How many of the loops around the current command go over what something else has found. */
  private finding = 0;
  private readonly values: Values;
  /** What the substitutions of the current command print, so that they are gone through once. */
  private substituted = new Map<Node, string>();

  constructor(dialect: Dialect, budget: Budget) {
    this.dialect = dialect;
    this.budget = budget;
    this.values = {
      budget,
      variable: (name) => this.scope.variable(name),
      array: (name) => this.scope.arrays.get(name),
      positional: () => this.scope.positional,
      assign: (name, value) => this.scope.assign(name, value),
      output: (body) => this.remembered(body, () => this.node(body, "").replace(/\n+$/, "")),
      process: (body, output) => this.remembered(body, () => this.scope.pipe(this.node(body, output ? UNKNOWN : ""))),
    };
  }

  /** What a program and its arguments mean; returns what it prints. */
  protected abstract call(fields: readonly string[], stdin: string, bulk: boolean): string;
  protected abstract reads(path: string): void;
  protected abstract writes(path: string): void;
  /** A program reads these files in place of its stdin. */
  protected abstract given(fields: readonly string[], inputs: readonly string[]): void;
  /** A variable was set, for the text or for one program. */
  protected abstract assigned(name: string, value: string): void;

  /** Returns what the node prints when it reads `stdin`. */
  protected node(node: Node, stdin: string): string {
    this.budget.spend(NODE_COST);
    return this.budget.deeper(() => {
      switch (node.kind) {
        case "simple":
          return this.simple(node, stdin);
        case "pipeline":
          return this.pipeline(node.stages, stdin);
        case "sequence":
          return this.sequence(node, stdin);
        case "block":
          return this.block(node, stdin);
        case "function":
          return this.define(node.name, node.body);
      }
    });
  }

  /** Runs a function's body with arguments. */
  protected withArguments(args: readonly string[], body: () => string): string {
    const before = this.scope.positional;
    this.scope.positional = args;
    try {
      return body();
    } finally {
      this.scope.positional = before;
    }
  }

  private pipeline(stages: readonly Node[], stdin: string): string {
    let data = stdin;
    this.background++;
    for (const stage of stages) data = this.node(stage, data);
    this.background--;
    return data;
  }

  private sequence({ items }: Sequence, stdin: string): string {
    let printed = "";
    for (const { node, background } of items) {
      if (background) this.background++;
      printed = this.joined(printed, this.node(node, stdin));
      if (background) this.background--;
    }
    return printed;
  }

  private block(block: Block, stdin: string): string {
    const { cwd } = this.scope;
    const { data, outputs } = this.redirected(block.redirects, stdin);
    if (block.subject !== undefined) textOf(block.subject, this.values);
    let printed = "";
    const parts = () => {
      for (const part of block.parts) printed = this.joined(printed, this.node(part, data));
    };
    if (block.reading === true) this.overFound(parts);
    else if (block.loop === undefined) parts();
    else this.loop(block.loop, parts);
    if (block.subshell) this.scope.cwd = cwd;
    this.printedTo(outputs, printed);
    return printed;
  }

  private loop({ name, words }: NonNullable<Block["loop"]>, body: () => void): void {
    const values = words === undefined ? this.scope.positional : fieldsOf(words, this.values);
    for (const value of values) this.reads(value);
    if (values.length > MOST_ROUNDS) {
      this.scope.replace(name, UNKNOWN);
      this.overFound(body);
      return;
    }
    for (const value of values) {
      this.scope.replace(name, value);
      if (value.includes(UNKNOWN)) this.overFound(body);
      else body();
    }
  }

  private overFound(body: () => void): void {
    this.finding++;
    body();
    this.finding--;
  }

  /** A body is looked at even where nothing calls the function: a trap may. */
  private define(name: string, body: Node): string {
    const known = this.scope.functions.get(name) === body;
    this.scope.functions.set(name, body);
    if (!known) this.withArguments([], () => this.node(body, ""));
    return "";
  }

  private simple(simple: Simple, stdin: string): string {
    const { choice } = this.scope;
    const { source } = this;
    const words = [
      ...simple.words,
      ...simple.assignments.flatMap(({ value, items = [] }) => [value, ...items]),
      ...simple.redirects.map(({ target }) => target),
    ];
    let printed = "";
    for (const each of this.scope.choices(namesIn(words))) {
      this.budget.spend(NODE_COST + words.length);
      this.scope.choice = each.size > 0 ? new Map([...choice, ...each]) : choice;
      this.source = simple.source;
      printed = this.joined(printed, this.once(simple, stdin));
    }
    this.scope.choice = choice;
    this.source = source;
    return printed;
  }

  private once(simple: Simple, stdin: string): string {
    const before = this.substituted;
    this.substituted = new Map();
    const { data, outputs, inputs } = this.redirected(simple.redirects, stdin);
    for (const assignment of simple.assignments) this.assign(assignment);
    const fields = fieldsOf(simple.words, this.values);
    const others = this.withEmpty(simple.words, fields);
    this.substituted = before;
    this.source = simple.source;
    this.given(fields, inputs);
    const printed = fields.length > 0 ? this.call(fields, data, this.finding > 0) : "";
    for (const other of others) this.call(other, data, false);
    this.printedTo(outputs, printed);
    return printed;
  }

  /** The same call where what may expand to nothing does: in `${x+y} rm`, `rm` is the program then. */
  private withEmpty(words: readonly Word[], fields: readonly string[]): string[][] {
    if (plain.has(fields[0] ?? "")) return [];
    const seen = new Set([fields.join("\n")]);
    return emptyIn(words)
      .map((empty) => fieldsOf(words, this.values, empty))
      .filter((other) => other.length > 0 && !seen.has(other.join("\n")) && seen.add(other.join("\n")));
  }

  private remembered(body: Node, work: () => string): string {
    const { substituted } = this;
    const known = substituted.get(body);
    if (known !== undefined) return known;
    const found = work();
    substituted.set(body, found);
    return found;
  }

  private assign({ name, append, value, items }: Assignment): void {
    if (items !== undefined) {
      const fields = fieldsOf(items, this.values);
      this.scope.arrays.set(name, append ? [...(this.scope.arrays.get(name) ?? []), ...fields] : fields);
      this.scope.assign(name, fields[0] ?? "");
      return;
    }
    const text = textOf(value, this.values);
    this.budget.spend(text.length);
    // Both values that `${x+y}` may have.
    if (!append && emptyIn([value]).includes("alternatives")) this.scope.assign(name, fieldsOf([value], this.values, "alternatives").join(" "));
    if (append) this.scope.append(name, text);
    else this.scope.assign(name, text);
    this.assigned(name, text);
  }

  /** What is read instead of `stdin`, and the files that are written. */
  private redirected(redirects: readonly Redirect[], stdin: string): { data: string; outputs: string[]; inputs: string[] } {
    let data = stdin;
    const inputs: string[] = [];
    const outputs: string[] = [];
    for (const { operator, target } of redirects) {
      const text = operator === "<<" || operator === "<<<" ? textOf(target, this.values) : this.path(target);
      if (operator === "<<" || operator === "<<<") {
        data = text;
      } else if (operator === "<") {
        this.reads(text);
        inputs.push(text);
        if (!/^\/dev\/(?:stdin|fd\/0)$/.test(text)) data = this.scope.contentOf(text);
      } else if (operator === "<&") {
        if (!/^[0-]$/.test(text)) data = /^\d+$/.test(text) ? UNKNOWN : FILE;
      } else if (!/^(?:\d+|-|\d-)$/.test(text) || !operator.endsWith("&")) {
        this.writes(text);
        outputs.push(text);
      }
    }
    return { data, outputs, inputs };
  }

  private path(target: Word): string {
    return fieldsOf([target], this.values)[0] ?? "";
  }

  private printedTo(outputs: readonly string[], printed: string): void {
    for (const path of outputs) this.scope.write(path, printed);
  }

  private joined(first: string, second: string): string {
    if (first === "" || second === "") return first + second;
    this.budget.spend((first.length + second.length) / 64);
    const all = first.endsWith("\n") ? first + second : `${first}\n${second}`;
    if (all.length <= LONGEST_OUTPUT) return all;
    // What is too long to follow may be anything.
    return all.includes(NETWORK) ? NETWORK : UNKNOWN;
  }
}

const NODE_COST = 32;
/** Commands that run nothing, with or without an argument. */
const plain = new Set("echo printf test [ [[ : true false cd export local declare typeset readonly read shift return exit set".split(" "));
/** Times that the body of a loop is looked at, once per value. */
const MOST_ROUNDS = 16;
const LONGEST_OUTPUT = 65_536;
