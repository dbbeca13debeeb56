/** What a command text is, once read: the tree that `parse.ts` makes and `shell.ts` walks. */
export type Node = Simple | Pipeline | Sequence | Block | Definition;

/** A program with its arguments, or assignments alone. */
export interface Simple {
  kind: "simple";
  assignments: Assignment[];
  words: Word[];
  redirects: Redirect[];
  /** The text as it was written, for people. */
  source: string;
}

/** Commands joined by `|`, the output of one being the input of the next. */
export interface Pipeline {
  kind: "pipeline";
  stages: Node[];
}

/** Commands one after the other, whatever joins them: `;`, `&&`, `||`, `&` or the end of a line. */
export interface Sequence {
  kind: "sequence";
  items: { node: Node; background: boolean }[];
}

/** Groups, subshells, `if`, loops and `case`: any of the parts may run. */
export interface Block {
  kind: "block";
  parts: Node[];
  redirects: Redirect[];
  subshell: boolean;
  /** `for name in words`; without words it goes over the arguments. */
  loop?: { name: string; words: Word[] | undefined };
  /** A loop that reads names or lines from somewhere. */
  reading?: true;
  subject?: Word;
}

/** `name() body` */
export interface Definition {
  kind: "function";
  name: string;
  body: Node;
}

export interface Assignment {
  name: string;
  append: boolean;
  value: Word;
  /** `name=(a b)` */
  items?: Word[];
}

export interface Redirect {
  /** `<`, `>`, `>>`, `<<` for every here-document, `<<<`, `<&`, `>&` … */
  operator: string;
  target: Word;
}

export type Word = readonly Part[];

export type Part =
  | { kind: "text"; text: string; quoted: boolean }
  | { kind: "param"; name: string; prefix: string; index: Word | undefined; operator: string; argument: Word; quoted: boolean }
  | { kind: "command"; body: Node; quoted: boolean }
  | { kind: "process"; body: Node; output: boolean }
  | { kind: "arithmetic"; parts: Word };

/** The two families of shells: where they read a text differently, what is harmless in one may run in the other. */
export type Dialect = "bash" | "dash";

/** What a parser has to say beside the tree. */
export interface Reading {
  tree: Node;
  /** Shells would not agree on what this means, or quotes do not end. */
  unclear: boolean;
  /** No shell's grammar; PowerShell's perhaps. */
  odd: boolean;
}

// Stand in texts for what only a run would tell. A command text that holds one of these characters is refused as a whole.
/** Something that cannot be known. */
export const UNKNOWN = "\u0000";
/** Something that comes from the network. */
export const NETWORK = "\u0001";
/** The content of a file that was there before. */
export const FILE = "\u0002";

/** Thrown where going on would take too long or too deep. */
export class TooMuch extends Error {
  override name = "TooMuch";
}

/** Constructs inside constructs before a text counts as not understood. */
const DEEPEST = 48;

/** What one assessment may cost: everything that takes time pays here, so that no text takes long. */
export class Budget {
  #left: number;
  #depth = 0;

  constructor(steps: number) {
    this.#left = steps;
  }

  spend(steps: number): void {
    this.#left -= steps;
    if (this.#left < 0) throw new TooMuch("too long");
  }

  /** Runs `work` one level deeper. */
  deeper<T>(work: () => T): T {
    if (this.#depth >= DEEPEST) throw new TooMuch("too deep");
    this.#depth++;
    try {
      return work();
    } finally {
      this.#depth--;
    }
  }
}
