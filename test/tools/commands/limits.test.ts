// biome-ignore-all lint/suspicious/noTemplateCurlyInString: these are texts of a shell.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { assessCommand } from "../../../src/tools/commands/assess.ts";

const MIB = 1024 * 1024;
const platforms = ["linux", "win32"] as const;
const modes = ["other", "destructive"];

/** Pieces that have a meaning, so that random texts get into every corner. */
const pieces = fc.constantFrom(
  ..."( ) { } [ ] [[ ]] (( )) $( ${ $(( ` ' \" \\ $' $\" ; ;; & && | || |& < > << <<- <<< >> &> >& <( >( # ! = += * ? ~ , .. : if then else fi for in do done while case esac function".split(
    " ",
  ),
  ..."echo rm -rf / sudo sh -c eval exec env xargs find -exec {} + $X ${X} ${X:-a} X=1 EOF %X% ^ @ powershell -enc cmd /c iex python awk git -c a.sh /dev/sda ~/.ssh/id_rsa 1>&2".split(
    " ",
  ),
  " ",
  "\n",
  "\t",
  "\r",
  "\\\n",
  "\0",
  "\u0001",
  "\ud800",
  "é",
);

describe("any text at all", { timeout: 240_000 }, () => {
  it("is rated, never thrown at", () => {
    const texts = fc.oneof(
      fc.string({ unit: "binary" }),
      fc.array(pieces, { maxLength: 60 }).map((all) => all.join("")),
      fc.array(pieces, { maxLength: 60 }).map((all) => all.join(" ")),
    );
    fc.assert(
      fc.property(texts, fc.constantFrom(...platforms), (text, platform) => {
        const { mode, danger } = assessCommand(text, platform);
        expect(modes).toContain(mode);
        expect(danger === undefined).toBe(mode === "other");
      }),
      { numRuns: 5000 },
    );
  });

  it("is rated when it is made of bytes that are no text", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        expect(modes).toContain(assessCommand(Buffer.from(bytes).toString("latin1"), "linux").mode);
        expect(modes).toContain(assessCommand(Buffer.from(bytes).toString("utf8"), "win32").mode);
      }),
      { numRuns: 2000 },
    );
  });
});

describe("a text of 1 MiB", { timeout: 240_000 }, () => {
  it.each(
    [
      ..."( \" ' ` \\ $( $(( (( ${ ${x:- {a, {a,b} {1..9} [[ $' <( <<A a| ls; $X X=$X$X; f(){ a=( ! ~ * ".split(" "),
      ..."if |case x in a) |for i in 1 2 3 4 5 6 7 8 9; do |echo \"$(|sh -c '|eval |env |xargs |<<A\n|ls\n|\\\n|find -exec |cat ~/.ssh/ |<# |python -c '".split(
        "|",
      ),
    ].filter((piece) => piece !== ""),
  )("is gone through, or given up on, when it repeats %j", (piece) => {
    for (const platform of platforms) {
      expect(modes).toContain(assessCommand(piece.repeat(Math.floor(MIB / piece.length)), platform).mode);
    }
  });

  it("that is too deep or too long is dangerous, because nobody knows what it does", () => {
    expect(assessCommand(`${"$(".repeat(1000)}ls${")".repeat(1000)}`, "linux").danger).toMatch(/^cannot be understood: /);
    expect(assessCommand(`echo ${"x".repeat(MIB)}`, "linux").danger).toMatch(/^cannot be understood: /);
    expect(assessCommand("X=a; ".repeat(MIB / 8), "linux").danger).toMatch(/^cannot be understood: /);
  });

  it("that is long but plain is let through", () => {
    expect(assessCommand(`cat > x.txt <<'EOF'\n${"rm -rf / ".repeat(50_000)}\nEOF\n`, "linux")).toEqual({ mode: "other" });
  });
});

describe("a long argument or stdin", { timeout: 10_000 }, () => {
  it.each([
    ["sed", "1"],
    ["sed", "1g"],
    ["awk", "print "],
    ["awk", "|", " "],
    ["awk", '\\"'],
    ["gdb", " "],
    ["ed", "\n1", " "],
    ["curl", "-", "o"],
    ["wget", "?"],
    ["echo a | parallel", "{"],
    ["perl -e", "unlink", " "],
  ])("does not take longer than it is long: %s with %j", (program, first, rest = first) => {
    // As many as a text can have of the longest that are looked at.
    const text = program + ` '${first}${rest.repeat(30_000 / rest.length)}\n'`.repeat(30);
    expect(modes).toContain(assessCommand(text, "linux").mode);
  });

  it.each(["ed f", "gdb", "psql", "make -f -"])("does not take longer than it is long: stdin of %s", (program) => {
    for (const piece of [" ", "1", "a:", "program "]) {
      expect(modes).toContain(assessCommand(`${program} <<A\n${piece.repeat(200_000 / piece.length)}\nA\n`, "linux").mode);
    }
  });
});

describe("characters that no command holds", () => {
  it.each(["rm\0", "echo \u0001", "echo \u0002"])("make it dangerous: %j", (command) => {
    expect(assessCommand(command, "linux").danger).toMatch(/^cannot be understood: /);
  });
});
