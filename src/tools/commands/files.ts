import { type Call, operandsOf, opt } from "./call.ts";

/** The files that a call reads and writes, as far as its arguments tell. */
export function pathsOf(call: Call): { read: string[]; written: string[] } {
  return { read: readBy(call), written: writtenBy(call) };
}

/** Whether a program shows or sends what is in the files that it is given. */
export function showsContent({ name, args }: Call): boolean {
  return showing.has(name) && !(/^(?:cp|scp|rsync)$/.test(name) && args.length < 2);
}

const showing = new Set(
  (
    "cat tac nl less more head tail bat batcat strings xxd od hexdump base64 base32 grep egrep fgrep rg ag ack awk gawk sed cut sort " +
    "paste rev curl wget http scp rsync nc ncat tar zip gzip " +
    "type get-content gc select-string findstr jq yq vim vi nano emacs code openssl gpg diff python node perl ruby dd tee xargs"
  ).split(" "),
);

/** Programs that take names of files without reading what is in them, or words that are no files. */
const unread = new Set(
  (
    "echo printf print write-output write-host ls dir stat test [ [[ file basename dirname realpath readlink chmod chown mkdir touch " +
    "cd pushd ssh-add ssh man which whereis type-of " +
    "help apropos info tldr command export alias unset : true false rm rmdir find fd git-log say notify-send exit return set read " +
    "local declare readonly typeset eval trap"
  ).split(" "),
);

function readBy(call: Call): string[] {
  const { name } = call;
  const args = withoutPattern(call);
  if (unread.has(name)) return name === "find" && args.some((arg) => arg.startsWith("-exec")) ? args.filter((arg) => /^[~/.]/.test(arg)) : [];
  if (name === "ssh-keygen") return args.includes("-y") ? [...args] : [];
  if (name === "git" && args.includes("add")) return [...args];
  if (name === "git") return args.includes("commit") || args.includes("tag") || args.includes("log") ? [] : args.flatMap(partsOf);
  // The last one is where the copy goes.
  if (name === "cp" || name === "mv" || name === "scp" || name === "rsync" || name === "install") {
    const operands = operandsOf({ ...call, args });
    const into = args.some((arg) => /^-t|^--target/.test(arg));
    return (into ? operands : operands.slice(0, -1)).flatMap(partsOf);
  }
  return args.flatMap(partsOf);
}

/** The arguments of a search, without what is searched for. */
function withoutPattern(call: Call): readonly string[] {
  if (/^(?:scp|sftp|rsync)$/.test(call.name)) {
    // The key that a connection is made with is not sent.
    return call.args.filter((_, at) => call.args[at - 1] !== "-i");
  }
  if (!/^(?:[efz]?grep|rg|ag|ack|findstr|select-string|sed|awk|gawk|jq|yq)$/.test(call.name)) return call.args;
  const named = call.args.findIndex((arg) => /^-[a-z]*e$|^--(?:regexp|expression)$/.test(arg));
  const pattern = named >= 0 ? named + 1 : call.args.findIndex((arg) => !arg.startsWith("-"));
  return call.args.filter((_, at) => at !== pattern);
}

/** `file=@path`, `--from=path`, `host:path` and `path` itself. */
function partsOf(arg: string): string[] {
  const parts = [arg];
  for (const sign of ["=", "@", ":"]) {
    const at = arg.lastIndexOf(sign);
    if (at >= 0) parts.push(arg.slice(at + 1));
  }
  return /\s/.test(arg) ? parts.filter((part) => !/\s/.test(part) || /^[~/]/.test(part)) : parts;
}

function writtenBy(call: Call): string[] {
  const { name, args } = call;
  const operands = operandsOf(call);
  const after = (pattern: RegExp) => args.flatMap((arg, at) => (pattern.test(arg) ? [/=(.*)/.exec(arg)?.[1] ?? args[at + 1] ?? ""] : []));
  const attached = (letter: string) => args.flatMap((arg) => new RegExp(`^-[a-zA-Z]*?${letter}([\\s\\S]+)$`).exec(arg)?.[1] ?? []);
  if (allWritten.has(name)) return name === "chmod" || name === "chown" || name === "chgrp" ? operands.slice(1) : operands;
  if (lastWritten.has(name))
    return [...(operands.length > 1 ? operands.slice(-1) : []), ...after(/^-t$|^--target-directory/), ...(name === "mv" ? operands : [])];
  if (name === "dd") return args.filter((arg) => arg.startsWith("of=")).map((arg) => arg.slice(3));
  if (name === "awk" || name === "gawk" || name === "mawk")
    return args.flatMap((arg) => (/\bprintf?\b/.test(arg) ? [...arg.matchAll(/>\s*"([^"]+)"/g)] : []).map(([, path = ""]) => path));
  if (name === "find" || name === "gfind") return after(/^-(?:fprint0?|fprintf|fls)$/);
  if (name === "aria2c" || name === "axel") return [...after(/^-o$|^--out(?:put)?(?:=|$)/), ...attached("o")];
  if (name === "sed" || name === "perl")
    return [...(opt("i", "in-place")(call) ? operands.filter((each) => /^[~/.\w]/.test(each)) : []), ...(name === "sed" ? args.flatMap(writtenBySed) : [])];
  if (name === "curl") return [...after(/^-[a-zA-Z]*o$|^--output(?:=|$)/), ...attached("o"), ...(opt("O", "remote-name")(call) ? operands.map(lastOf) : [])];
  if (name === "wget")
    return opt("O", "output-document")(call) ? [...after(/^-[a-zA-Z]*O$|^--output-document(?:=|$)/), ...attached("O")] : operands.map(lastOf);
  if (name === "tar" || name === "unzip") return after(/^-[a-z]*[Cd]$|^--directory(?:=|$)/);
  if (name === "sort" || name === "gcc" || name === "cc" || name === "openssl") return after(/^-o$|^-out$|^--output(?:=|$)/);
  if (name === "set-content" || name === "add-content" || name === "out-file" || name === "new-item") return operands.slice(0, 1);
  return [];
}

/** `w file`, and `s/…/…/w file`. Only the first digit of several begins a match, or many of them would take very long. */
function writtenBySed(script: string): string[] {
  return [...script.matchAll(/(?:^|[;\n{}$/]|(?<![gpiIm\d])\d)[gpiIm\d]*[ \t]*[wW][ \t]+([^\n]+)/g)].map(([, path = ""]) => path.trim());
}

const allWritten = new Set("rm unlink rmdir shred tee truncate touch chmod chown chgrp mkdir sponge del erase rd".split(" "));
const lastWritten = new Set("cp mv ln install rsync scp link copy move xcopy".split(" "));

function lastOf(url: string): string {
  return (
    url
      .replace(/[?#][\s\S]*$/, "")
      .split("/")
      .at(-1) ?? url
  );
}
