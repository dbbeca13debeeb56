/** What a program in another language than a shell's would do, as far as a few words tell: such code is not parsed. */
export function dangerOfCode(code: string): string | undefined {
  return calls.find(({ pattern }) => pattern.test(code))?.says;
}

/** The texts in code that are run as commands: its literals, each and all, where anything is run at all. */
export function commandsIn(code: string): string[] {
  if (!running.test(code)) return [];
  // Tcl needs no quotes: `exec rm -rf x`.
  const literals = [...literalsOf(code), ...[...code.matchAll(/\b(?:exec|spawn|system)[ \t]+(\w[^\n;\]}]*)/g)].map(([, text = ""]) => text)];
  return literals.length > 1 ? [...literals, literals.join(" ")] : literals;
}

/** The texts between quotes, such as paths. */
export function literalsOf(code: string): string[] {
  const found = code.matchAll(/'((?:[^'\\\n]|\\[\s\S])*)'|"((?:[^"\\\n]|\\[\s\S])*)"|`((?:[^`\\]|\\[\s\S])*)`|%x[({[]([^)}\]]*)|\bq[qx]?[({[]([^)}\]]*)/g);
  const texts: string[] = [];
  for (const [, ...groups] of found) {
    const text = groups.find((group) => group !== undefined);
    if (text !== undefined && text !== "") texts.push(text.replace(/\\(.)/g, "$1"));
    if (texts.length >= MOST_LITERALS) break;
  }
  return texts;
}

const MOST_LITERALS = 64;

const running = anyOf(
  [
    /\b(?:system|popen\w*|exec\w*|spawn\w*|subprocess|run|call|check_\w+|shell_exec|passthru|proc_open)\b/,
    /\b(?:qx|pty|do shell script|child_process)\b/,
    /\bDeno\.Command\b|\bBun\.\$/,
    /`|%x/,
  ],
  "i",
);

const calls: readonly { says: string; pattern: RegExp }[] = [
  {
    says: "deletes folders with everything in them",
    pattern: anyOf(
      [
        /\b(?:rmtree|remove_tree|removedirs|rm_r\w*|remove_dir\w*|remove_entry\w*|rimraf|removeSync)\b/,
        /\b(?:rm|rmdir|rmSync|rmdirSync)\s*\([^)]{0,1024}recursive/,
        /\bos\.walk\b[\s\S]{0,4096}\bos\.(?:remove|unlink)\b/,
        /Directory\]?::?\.?Delete/,
        /\bunlink\s*(?:\(\s*)?(?:glob|<)/,
      ],
      "i",
    ),
  },
  {
    says: "runs what comes from the network",
    pattern: anyOf(
      [
        /\b(?:exec|eval|compile|Function|loadstring)\b[\s\S]{0,1024}(?:urlopen|urllib|requests\.get|fetch\(|http\.get|https?:\/\/|open-uri|LWP|file_get_contents)/,
        /\b(?:download(?:string|data)|urlopen|requests\.get)\b[\s\S]{0,1024}\b(?:iex|invoke-expression|exec|eval)\b/,
      ],
      "i",
    ),
  },
  {
    says: "lets others run commands here, or sends a shell elsewhere",
    pattern: anyOf([/\bsocket\b[\s\S]{0,4096}(?:\bdup2\b|\/bin\/(?:ba)?sh|pty\.spawn)/, /\bfsockopen\b[\s\S]{0,1024}exec/], "i"),
  },
  {
    says: "runs code that is hidden in another form",
    pattern: /\b(?:exec|eval)\b[\s\S]{0,256}(?:b64decode|fromhex|decompress|base64_decode|base64decode|\batob\b|decode64|\bunpack\b)/i,
  },
  { says: "asks for the rights of another user", pattern: /\bset(?:e?uid|resuid)\s*\(\s*0|with administrator privileges/i },
  { says: "writes straight to a device", pattern: /open\w*\s*\(\s*["']\/dev\/(?:sd|hd|vd|nvme|disk|mem|mmcblk)/i },
];

function anyOf(patterns: readonly RegExp[], flags: string): RegExp {
  return new RegExp(patterns.map(({ source }) => source).join("|"), flags);
}
