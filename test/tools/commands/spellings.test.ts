// biome-ignore-all lint/suspicious/noTemplateCurlyInString: these are texts of a shell.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { assessCommand } from "../../../src/tools/commands/assess.ts";

const mode = (command: string) => assessCommand(command, "linux").mode;

/** Plain words only, so that every way of writing them is valid. */
const plain = [
  "rm -rf /",
  "sudo ls",
  "git push --force",
  "mkfs.ext4 /dev/sda1",
  "dd if=x of=/dev/sda",
  "cat /etc/shadow",
  "kill -9 -1",
  "npm publish",
  "chmod -R 777 /",
];

/** Ways to write a word that a shell reads alike. */
const wordSpellings: readonly ((word: string) => string)[] = [
  (word) => word,
  (word) => `"${word}"`,
  (word) => `'${word}'`,
  (word) => `${word.slice(0, 1)}''${word.slice(1)}`,
  (word) => `${word.slice(0, 1)}"${word.slice(1)}"`,
  (word) => `${word.slice(0, 1)}\\\n${word.slice(1)}`,
  (word) => [...word].map((char) => `\\${char}`).join(""),
  (word) => `${word}$()`,
  (word) => `"${word}"''`,
  (word) => `$'${[...word].map((char) => `\\x${char.charCodeAt(0).toString(16)}`).join("")}'`,
];

const quote = (text: string) => `'${text.replaceAll("'", "'\\''")}'`;

/** Ways to run a command that change nothing about what it does. */
const wrappers: readonly ((command: string) => string)[] = [
  (command) => `a && ${command}`,
  (command) => `a; ${command}; b`,
  (command) => `a\n${command}`,
  (command) => `a || ${command}`,
  (command) => `a | ${command}`,
  (command) => `a & ${command} &`,
  (command) => `( ${command} )`,
  (command) => `{ ${command}; }`,
  (command) => `! ${command}`,
  (command) => `$( ${command} )`,
  (command) => `echo "$( ${command} )"`,
  (command) => `echo "a \${X:-$( ${command} )}"`,
  (command) => `X=$( ${command} )`,
  (command) => `sh -c ${quote(command)}`,
  (command) => `bash -ec ${quote(command)}`,
  (command) => `eval ${quote(command)}`,
  (command) => `ssh host ${quote(command)}`,
  (command) => `echo ${quote(command.replaceAll("\\", "\\\\"))} | sh`,
  (command) => `sh <<'E${command.length}'\n${command}\nE${command.length}\n`,
  (command) => `if true; then ${command}; fi`,
  (command) => `while true; do ${command}; done`,
  (command) => `for x in 1; do ${command}; done`,
  (command) => `case x in (x) ${command};; esac`,
  (command) => `f() { ${command}; }; f`,
  (command) => `sh <(cat <<'P${command.length}'\n${command}\nP${command.length}\n)`,
];

/** Ways to start a program that a shell's own grammar does not allow for anything but a simple command. */
const prefixes = [
  "",
  "FOO=1 ",
  "env ",
  "env -i A=b ",
  "command ",
  "nohup ",
  "nice -n 5 ",
  "timeout 5 ",
  "exec ",
  ">x ",
  "2>/dev/null ",
  "busybox ",
  "time ",
  "xargs ",
  "  \t",
  "stdbuf -oL ",
];

const spelled = fc
  .tuple(
    fc.constantFrom(...plain),
    fc.constantFrom(...prefixes),
    fc.infiniteStream(fc.constantFrom(...wordSpellings)),
    fc.constantFrom(" ", "  ", "\t", " \\\n "),
  )
  .map(
    ([command, prefix, spellings, blank]) =>
      prefix +
      command
        .split(" ")
        .map((word) => (spellings.next().value ?? String)(word))
        .join(blank),
  );

describe("a dangerous command", { timeout: 120_000 }, () => {
  it("stays one however its words are written", () => {
    fc.assert(
      fc.property(spelled, (command) => void expect(mode(command), command).toBe("destructive")),
      { numRuns: 500 },
    );
  });

  it("stays one wherever it stands", () => {
    const stacked = fc
      .tuple(spelled, fc.array(fc.constantFrom(...wrappers), { maxLength: 3 }))
      .map(([command, around]) => around.reduce((inner, wrap) => wrap(inner), command));
    fc.assert(
      fc.property(stacked, (command) => void expect(mode(command), command).toBe("destructive")),
      { numRuns: 1000 },
    );
  });

  it.each(wrappers.map((wrap) => wrap("rm -rf /")))("is found in %j", (command) => {
    expect(mode(command)).toBe("destructive");
  });

  it("stays one with its options in any order, merged or apart", () => {
    const options = fc
      .tuple(
        fc.subarray(["-f", "-v", "-i", "--verbose", "--one-file-system"]),
        fc.constantFrom("-r", "-R", "--recursive", "--recurs"),
        fc.boolean(),
        fc.boolean(),
      )
      .chain(([others, recursive, merged, last]) =>
        fc.tuple(fc.shuffledSubarray([...others, recursive], { minLength: others.length + 1 }), fc.constant(merged), fc.constant(last)),
      )
      .map(([all, merged, last]) => {
        const short = all.filter((each) => /^-\w$/.test(each));
        const written = merged && short.length > 0 ? [`-${short.map((each) => each.slice(1)).join("")}`, ...all.filter((each) => !short.includes(each))] : all;
        return last ? `rm x ${written.join(" ")}` : `rm ${written.join(" ")} x`;
      });
    fc.assert(fc.property(options, (command) => void expect(mode(command), command).toBe("destructive")));
  });

  it("stays one with a folder in front of the program", () => {
    const folder = fc.constantFrom("/bin/", "/usr/bin/", "./", "../x/", "\\", "~/bin/");
    fc.assert(fc.property(folder, fc.constantFrom(...plain), (path, command) => void expect(mode(path + command), path + command).toBe("destructive")));
  });

  it("is only text as the argument of a program that does not run it", () => {
    const harmless = fc.constantFrom("echo", "printf %s", "grep -r", "git commit -m", "git log --grep", "rg", "ls", "man", "echo a | grep");
    const quoted = fc
      .tuple(fc.constantFrom(...plain), fc.array(fc.constantFrom(...wrappers), { maxLength: 2 }))
      .map(([command, around]) => quote(around.reduce((inner, wrap) => wrap(inner), command)));
    fc.assert(
      fc.property(harmless, quoted, (program, text) => void expect(mode(`${program} ${text}`), `${program} ${text}`).toBe("other")),
      { numRuns: 500 },
    );
  });
});
