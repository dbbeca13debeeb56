import { FILE, type Node, UNKNOWN } from "./syntax.ts";

/** What a command text has set so far. Nothing is forgotten: what a branch that may not run sets, counts. */
export class Scope {
  /** Every value that a variable may have; the last one first. */
  private readonly variables = new Map<string, string[]>([
    ["HOME", ["~"]],
    ["SHELL", ["sh"]],
    ["BASH", ["bash"]],
    ["0", ["sh"]],
    ["PATH", ["/usr/local/bin:/usr/bin:/bin"]],
    ["IFS", [" \t\n"]],
  ]);
  /** The one of several values that is looked at now. */
  choice: ReadonlyMap<string, string> = new Map();
  readonly arrays = new Map<string, readonly string[]>();
  readonly functions = new Map<string, Node>();
  readonly aliases = new Map<string, string>();
  /** What was written to files, by path. */
  private readonly files = new Map<string, string>();
  /** Names that programs were copied, linked or moved to, and the programs. */
  private readonly copies = new Map<string, string>();
  positional: readonly string[] = [];
  /** Where `cd` has led; undefined where that is not known. */
  cwd: string | undefined;
  private pipes = 0;

  variable(name: string): string | undefined {
    return this.choice.get(name) ?? this.variables.get(name)?.[0];
  }

  values(name: string): readonly string[] {
    return this.variables.get(name) ?? [];
  }

  assign(name: string, value: string): void {
    const rest = this.values(name).filter((each) => each !== value);
    const kept = [value, ...rest];
    // More than that cannot be followed.
    this.variables.set(name, kept.length > MOST_VALUES ? [UNKNOWN] : kept);
  }

  /** For loops, which set the variable anew each time. */
  replace(name: string, value: string): void {
    this.variables.set(name, [value]);
  }

  append(name: string, value: string): void {
    const before = this.values(name);
    for (const each of before.length > 0 ? [...before] : [""]) this.assign(name, each + value);
  }

  write(path: string, content: string): void {
    const key = fileKey(path);
    const before = this.files.get(key);
    this.files.set(key, before === undefined ? content : `${before}\n${content}`.slice(-LONGEST_FILE));
  }

  /** What is in a file, as far as that was written by the same text. */
  contentOf(path: string): string {
    return this.files.get(fileKey(path)) ?? FILE;
  }

  copy(path: string, program: string): void {
    this.copies.set(fileKey(path), program);
  }

  /** The program that a path is a copy of. */
  originalOf(path: string): string | undefined {
    return this.copies.get(fileKey(path));
  }

  /** A path for what a process substitution gives. */
  pipe(content: string): string {
    const path = `/dev/fd/p${++this.pipes}`;
    this.files.set(fileKey(path), content);
    return path;
  }

  /** Every way in which the variables may have values at once; undefined where these are too many. */
  choices(names: Iterable<string>): ReadonlyMap<string, string>[] {
    let choices: ReadonlyMap<string, string>[] = [new Map()];
    for (const name of names) {
      const values = this.values(name);
      if (values.length < 2) continue;
      const unknown = choices.length * values.length > MOST_CHOICES;
      choices = choices.flatMap((choice) => (unknown ? [UNKNOWN] : values).map((value) => new Map([...choice, [name, value]])));
    }
    return choices;
  }
}

const MOST_VALUES = 8;
const MOST_CHOICES = 64;
const LONGEST_FILE = 65_536;

/** `./x` and `x` are the same file; so is one that another folder may hold. */
function fileKey(path: string): string {
  return path.startsWith("/dev/") ? path : (path.split(/[/\\]/).at(-1) ?? path);
}
