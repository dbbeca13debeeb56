import { operandsOf, type Test } from "../call.ts";
import { UNKNOWN } from "../syntax.ts";

/** One thing that a program can do and that a person is asked about first. */
export interface Danger {
  /** What it does, to a person: "This command …". */
  says: string;
  /** Names of programs, by blanks. */
  programs: string;
  when: Test;
}

/** Everything below a folder, a home, a disk. */
const everything = /^(?:\/|~|\.{1,2}|\*|[a-z]:)?[/\\]*(?:\*|\.\*|\.\[!?[^/]*|\*\.\*)?$/i;

/** Names everything in a folder. */
export const manyFiles: Test = (call) => operandsOf(call).some((each) => each !== "" && each !== "." && each !== ".." && everything.test(each));

/** Is given names that something else has found. */
export const foundFiles: Test = (call) => call.bulk && call.args.some((each) => each.includes(UNKNOWN));
