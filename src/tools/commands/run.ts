import { builtin } from "./builtins.ts";
import { type Call, operandsOf, programOf } from "./call.ts";
import { parseCmd } from "./cmd.ts";
import { commandsIn, dangerOfCode, literalsOf } from "./code.ts";
import { dangerOf, mayBeDangerous } from "./dangers.ts";
import { pathsOf, showsContent } from "./files.ts";
import { type Interpreted, interpreted } from "./interpreters.ts";
import { outputOf } from "./outputs.ts";
import { parse } from "./parse.ts";
import { holdsCredentials, mayHoldCredentials, writtenPlace } from "./places.ts";
import { parsePowershell } from "./powershell.ts";
import { FILE, NETWORK, type Node, type Reading, UNKNOWN } from "./syntax.ts";
import { Walk } from "./walk.ts";
import type { Inner, Language } from "./inner.ts";
import { wrapped } from "./wrappers.ts";

/** Something that a person is asked about. */
export interface Finding {
  /** "deletes folders with everything in them" */
  says: string;
  /** The part of the command text. */
  source: string;
  /** False where the danger is only that something cannot be known. */
  certain: boolean;
}

/** Goes through a command text and collects what is dangerous in it. */
export class Run extends Walk {
  readonly findings: Finding[] = [];
  private readonly running: string[] = [];

  /** Looks at a whole text. Throws `TooMuch`; what was found before is in `findings`. */
  text(text: string, language: Language, stdin = ""): string {
    if (language === "code") return this.code(text);
    const { source } = this;
    if (source === "") this.source = text;
    if (text.includes(NETWORK)) this.report(FROM_NETWORK);
    const plain = text.replaceAll(NETWORK, UNKNOWN).replaceAll(FILE, "");
    const reading = this.reading(plain, language);
    if (reading.unclear) this.report(NOT_UNDERSTOOD, false, text);
    const printed = this.node(reading.tree, stdin);
    // What no shell would read may be meant for PowerShell.
    if (reading.odd && language === "shell" && this.dialect === "bash") this.node(parsePowershell(plain, this.budget).tree, stdin);
    this.source = source;
    return printed;
  }

  private reading(text: string, language: Language): Reading {
    if (language === "cmd") return parseCmd(text, this.budget);
    return language === "powershell" ? parsePowershell(text, this.budget) : parse(text, this.dialect, this.budget);
  }

  protected override call(fields: readonly string[], stdin: string, bulk: boolean): string {
    const [word = "", ...args] = fields;
    this.budget.spend(CALL_COST + fields.length * WORD_COST);
    const name = this.named(word, fields, stdin);
    const call: Call = { name, args: this.clipped(name, args), stdin, bulk };
    const body = this.scope.functions.get(word);
    if (body !== undefined) return this.function(word, body, args, stdin);
    const danger = dangerOf(call);
    if (danger !== undefined) this.report(danger);
    this.files(call);
    if (setting.has(name)) this.settings(args);
    const original = this.scope.originalOf(word);
    if (original !== undefined && original !== name) this.budget.deeper(() => this.call([original, ...args], stdin, bulk));
    const effect = builtin(call, this.scope, (text) => this.text(text, "shell", stdin));
    if (effect !== undefined) return effect;
    const found = interpreted(call);
    if (found !== undefined) return this.interpret(found, stdin);
    const script = this.scope.contentOf(word);
    if (script !== FILE && /[/\\]/.test(word)) return this.data(script, "shell", args);
    const inner = wrapped(call);
    return inner.length > 0 ? inner.map((each) => this.inner(each, stdin)).join("") : outputOf(call, (path) => this.contentOf(path, stdin));
  }

  /** The program's name; one that is made at run time is a danger of its own. */
  private named(word: string, fields: readonly string[], stdin: string): string {
    // A shell takes the backslashes out of a path of Windows.
    const written = /^"?[A-Za-z]:\\[^\s"]*/.exec(this.source)?.[0] ?? "";
    const alias = this.scope.aliases.get(word);
    const program = programOf(written !== "" && written.replaceAll("\\", "").startsWith(word) ? written : word);
    const last = word.split("/").at(-1) ?? "";
    if (word.includes(NETWORK)) this.report(FROM_NETWORK);
    else if (!this.isUnset(word) && (last.includes(UNKNOWN) || (/[*?]|\[./.test(last) && last !== "[["))) this.report(MADE_AT_RUN_TIME, false);
    // What is not set or prints nothing is nothing, and the next word is the program then.
    if (word.replaceAll(UNKNOWN, "").replaceAll(FILE, "") === "" && fields.length > 1) this.budget.deeper(() => this.call(fields.slice(1), stdin, false));
    if (alias !== undefined && alias.split(/\s/)[0] !== word) {
      const words = [...alias.split(/\s+/), ...fields.slice(1)].filter((each) => each !== "");
      this.budget.deeper(() => this.call(words, "", false));
    }
    return program;
  }

  /**
   * What follows `[[ … &&` is a command to dash and an operand to bash. A variable that the text does not
   * set is empty then, or the host's; it was looked at for bash already.
   */
  private isUnset(word: string): boolean {
    const [, name] = /^"?\$\{?(\w+)\}?"?(?:\s|$)/.exec(this.source) ?? [];
    return this.dialect === "dash" && word === UNKNOWN && name !== undefined && this.scope.values(name).length === 0;
  }

  /** No shell can pass on an argument that is much longer. */
  private clipped(name: string, args: string[]): string[] {
    if (shellsOwn.has(name) || args.every((arg) => arg.length <= LONGEST_ARGUMENT)) return args;
    this.report(NOT_UNDERSTOOD, false);
    return args.map((arg) => arg.slice(0, LONGEST_ARGUMENT));
  }

  private function(name: string, body: Node, args: readonly string[], stdin: string): string {
    if (this.running.includes(name)) {
      if (this.background > 0) this.report("starts itself again and again until the machine stands still");
      return UNKNOWN;
    }
    // It may be called by the name of a program to hide that.
    const danger = dangerOf({ name: programOf(name), args, stdin, bulk: false });
    if (danger !== undefined) this.report(danger);
    this.running.push(name);
    const printed = this.withArguments(args, () => this.node(body, stdin));
    this.running.pop();
    return printed;
  }

  private inner(inner: Inner, stdin: string): string {
    return this.budget.deeper(() => {
      if (inner.kind === "words") return this.call(inner.words, inner.stdin ?? stdin, inner.bulk ?? false);
      const args = inner.args ?? [];
      // The first argument of `sh -c text` is the name.
      if (inner.args !== undefined) this.scope.assign("0", args[0] ?? "sh");
      return this.withArguments(args.slice(1), () => this.text(inner.text, inner.language, stdin));
    });
  }

  private interpret(found: Interpreted, stdin: string): string {
    const before = this.dialect;
    this.dialect = found.dialect ?? before;
    let printed = found.texts.map((text) => this.inner(text, stdin)).join("");
    if (/^(?:https?|data):/i.test(found.script ?? "")) this.report(FROM_NETWORK);
    if (found.script !== undefined) printed += this.data(this.contentOf(found.script, stdin), found.language, found.args);
    if (found.stdin) printed += this.data(stdin, found.language, found.args);
    this.dialect = before;
    return printed;
  }

  /** Text that an interpreter is given to run. */
  private data(data: string, language: Language, args: readonly string[]): string {
    if (data.includes(NETWORK)) this.report(FROM_NETWORK);
    else if (data.trim() === UNKNOWN) this.report("runs a text that is made at run time", false);
    else return this.budget.deeper(() => this.withArguments(args, () => this.text(data, language)));
    return UNKNOWN;
  }

  private contentOf(path: string, stdin: string): string {
    if (/^(?:-|\/dev\/stdin|\/(?:dev|proc\/self)\/fd\/\d+)$/.test(path)) return stdin === "" ? UNKNOWN : stdin;
    return this.scope.contentOf(path);
  }

  private code(text: string): string {
    if (text.length > LONGEST_CODE) this.report(NOT_UNDERSTOOD, false);
    const code = text.slice(0, LONGEST_CODE);
    const danger = dangerOfCode(code);
    if (code.includes(NETWORK)) this.report(FROM_NETWORK);
    if (danger !== undefined) this.report(danger);
    for (const path of literalsOf(code)) this.reads(path);
    for (const command of commandsIn(code)) this.budget.deeper(() => this.quietly(() => this.text(command.replaceAll(NETWORK, UNKNOWN), "shell")));
    return UNKNOWN;
  }

  /** What is only a guess does not count where the text may be no command at all. */
  private quietly(work: () => void): void {
    const before = this.findings.length;
    work();
    this.findings.push(...this.findings.splice(before).filter(({ certain }) => certain));
  }

  /** `NAME=value` among the arguments of `export` or `env`. */
  private settings(args: readonly string[]): void {
    for (const arg of args) {
      const [, name, value = ""] = /^([A-Za-z_]\w*)=([\s\S]*)$/.exec(arg) ?? [];
      if (name !== undefined) this.assigned(name, value);
    }
  }

  /** A program under another name is the same program. */
  private copied(call: Call): void {
    const [from = "", to] = operandsOf(call).slice(-2);
    if (to === undefined) return;
    const program = this.scope.originalOf(from) ?? programOf(from);
    if (mayBeDangerous(program) || /(?:^|\/)s?bin\//.test(from)) this.scope.copy(to, program);
  }

  private files(call: Call): void {
    if (copying.has(call.name)) this.copied(call);
    const { read, written } = pathsOf(call);
    for (const path of read) this.reads(path);
    if (showsContent(call)) for (const path of read) if (mayHoldCredentials(path)) this.report(READS_SECRETS);
    for (const path of written) {
      this.writes(path);
      this.scope.write(path, fetching.has(call.name) ? NETWORK : call.stdin);
    }
  }

  protected override given([word = "", ...args]: readonly string[], inputs: readonly string[]): void {
    if (inputs.some(mayHoldCredentials) && showsContent({ name: programOf(word), args, stdin: "", bulk: false })) this.report(READS_SECRETS);
  }

  protected override reads(path: string): void {
    this.budget.spend(PATH_COST);
    if (NET.test(path)) this.report("opens a connection to another machine from the shell");
    if (holdsCredentials(path, this.scope.cwd)) this.report(READS_SECRETS);
  }

  protected override writes(path: string): void {
    this.budget.spend(PATH_COST);
    if (NET.test(path)) this.report("opens a connection to another machine from the shell");
    const place = writtenPlace(path, this.scope.cwd);
    if (place !== undefined) this.report(place);
  }

  protected override assigned(name: string, value: string): void {
    if (loadVariables.test(name) && value !== "") this.report("makes programs load code of a file");
    if (name === "BASH_ENV" || (name === "ENV" && /[/\\]/.test(value))) this.report("makes shells run a file first");
    if (commandVariables.test(name)) this.budget.deeper(() => this.quietly(() => this.text(value, "shell")));
  }

  private report(says: string, certain = true, source = this.source): void {
    if (this.findings.length < MOST_FINDINGS) this.findings.push({ says, source, certain });
  }
}

/** Of another language than a shell's. */
const LONGEST_CODE = 32_768;
const LONGEST_ARGUMENT = 32_768;
const shellsOwn = new Set(["echo", "printf", "eval", "read", "set"]);
const setting = new Set(["export", "declare", "typeset", "local", "readonly", "env"]);
const copying = new Set(["cp", "ln", "mv", "install", "link", "hash"]);
const fetching = new Set(["curl", "wget", "aria2c", "axel"]);
const CALL_COST = 64;
const WORD_COST = 8;
const PATH_COST = 64;
const MOST_FINDINGS = 256;
export const NOT_UNDERSTOOD = "cannot be understood";
const FROM_NETWORK = "runs what comes from the network";
const MADE_AT_RUN_TIME = "runs a program whose name is made at run time";
const READS_SECRETS = "reads or sends passwords and keys";
const NET = /^\/dev\/(?:tcp|udp)\//;

/** Variables that name libraries for programs to load. */
const loadVariables = /^(?:LD_(?:PRELOAD|AUDIT)|DYLD_INSERT_LIBRARIES)$/;

/** Variables whose values other programs run as commands. */
const commandVariables = new RegExp(
  "^(?:GIT_(?:SSH_COMMAND|SSH|EDITOR|SEQUENCE_EDITOR|PAGER|EXTERNAL_DIFF|ASKPASS|PROXY_COMMAND)|EDITOR|VISUAL|PAGER|MANPAGER|BROWSER|" +
    "PROMPT_COMMAND|LESSOPEN|LESSCLOSE|RSYNC_RSH|SUDO_ASKPASS|SSH_ASKPASS)$",
);
