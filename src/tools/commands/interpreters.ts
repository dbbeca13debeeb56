import type { Call } from "./call.ts";
import type { Dialect } from "./syntax.ts";
import type { Inner, Language } from "./inner.ts";

/** What a call of an interpreter runs. */
export interface Interpreted {
  language: Language;
  /** How a shell of that name reads; that of the text around it when left out. */
  dialect?: Dialect;
  texts: readonly Inner[];
  /** The file that it runs. */
  script?: string;
  /** The arguments of what it runs. */
  args: readonly string[];
  /** Runs what it is given to read. */
  stdin: boolean;
}

/** Undefined where the program is no interpreter. */
export function interpreted(call: Call): Interpreted | undefined {
  const name = call.name.replace(/(?<=[a-z])[\d.]+$/, "");
  if (shells.has(call.name)) return shellCall(call);
  if (name === "powershell" || name === "pwsh") return powershellCall(call);
  if (name === "cmd") return cmdCall(call);
  if (name === "iex" || name === "invoke-expression") {
    const text = call.args.filter((arg) => !/^-c(?:o|om|omm|omma|omman|ommand)?$/i.test(arg)).join(" ");
    return { language: "powershell", texts: [{ kind: "text", language: "powershell", text }], args: [], stdin: true };
  }
  if (name === "source" || name === ".") {
    const [script, ...args] = call.args;
    return { language: "shell", texts: [], ...(script === undefined ? {} : { script }), args, stdin: false };
  }
  const flags = languages.get(name);
  return flags === undefined ? undefined : codeCall(call, flags);
}

const shells = new Map<string, Dialect | undefined>([
  ...["bash", "zsh", "ksh", "mksh", "fish", "rbash", "yash", "csh", "tcsh", "ksh93", "rzsh", "elvish", "nu", "xonsh", "osh"].map(
    (name) => [name, "bash"] as const,
  ),
  ["dash", "dash"],
  ["ash", "dash"],
  ["sh", undefined],
]);

function shellCall({ name, args }: Call): Interpreted {
  const dialect = shells.get(name);
  const base = { language: "shell" as const, ...(dialect === undefined ? {} : { dialect }), texts: [], args: [] };
  let command = false;
  let stdin = false;
  let at = 0;
  for (; at < args.length; at++) {
    const arg = args[at] ?? "";
    if (arg === "--" || arg === "-") {
      at++;
      break;
    }
    const [, attached] = /^--(?:command|init-command)=([\s\S]*)$/.exec(arg) ?? [];
    if (attached !== undefined) return { ...base, texts: [{ kind: "text", language: "shell", text: attached }], stdin: false };
    if (!/^[-+]./.test(arg)) break;
    if (arg === "--command" || /^-[a-zA-Z]*c/.test(arg)) command = true;
    if (/^-[a-zA-Z]*s/.test(arg)) stdin = true;
    if (/^[-+][a-zA-Z]*[oO]$/.test(arg) || arg === "--rcfile" || arg === "--init-file") at++;
  }
  const [first, ...rest] = args.slice(at);
  if (first === undefined) return { ...base, stdin: true };
  if (command) return { ...base, texts: [{ kind: "text", language: "shell", text: first, args: rest }], stdin: false };
  return stdin ? { ...base, args: [first, ...rest], stdin } : { ...base, script: first, args: rest, stdin: false };
}

function cmdCall({ args }: Call): Interpreted {
  const at = args.findIndex((arg) => /^\/[a-z]*[ckr]/i.test(arg) && !/^\/(?:[def]:|[ae])/i.test(arg));
  if (at < 0) return { language: "cmd", texts: [], args: [], stdin: true };
  const attached = (args[at] ?? "").replace(/^\/[ckr]/i, "");
  return { language: "cmd", texts: [{ kind: "text", language: "cmd", text: [attached, ...args.slice(at + 1)].join(" ") }], args: [], stdin: false };
}

function powershellCall({ args }: Call): Interpreted {
  const text = (found: string): Inner => ({ kind: "text", language: "powershell", text: found });
  const base = { language: "powershell" as const, args: [], stdin: false };
  for (let at = 0; at < args.length; at++) {
    const arg = (args[at] ?? "").replace(/^[/–—]/, "-");
    const rest = args.slice(at + 1);
    if (/^-e(?:c|n[a-z]*)?$/i.test(arg)) return { ...base, texts: [text(Buffer.from(rest[0] ?? "", "base64").toString("utf16le"))] };
    if (/^-c(?:o|om|omm|omma|omman|ommand|ommandwithargs|wa)?$/i.test(arg))
      return rest[0] === "-" ? { ...base, texts: [], stdin: true } : { ...base, texts: [text(rest.join(" "))] };
    if (/^-f(?:i|il|ile)?$/i.test(arg)) return { ...base, texts: [], ...(rest[0] === undefined || rest[0] === "-" ? { stdin: true } : { script: rest[0] }) };
    if (arg === "-") return { ...base, texts: [], stdin: true };
    if (/^-(?:ex|ep|w|wd|wo|v|i|inp|o|ou|con|cus|set|psc)/i.test(arg)) at++;
    else if (!arg.startsWith("-")) return { ...base, texts: [text(args.slice(at).join(" "))], script: args[at] ?? "" };
  }
  return { ...base, texts: [], stdin: true };
}

interface Flags {
  /** Options that are followed by code. */
  code: RegExp;
  /** Options that are followed by something else. */
  valued: RegExp;
  /** Options after which nothing is read as a program. */
  other: RegExp;
}

const never = /(?!)/;
const perlish: Flags = { code: /^-[a-zA-Z0-9]*[eE]$/, valued: /^-[IrCM]$/, other: never };
const languages = new Map<string, Flags>([
  ...["python", "pypy", "jython", "ipython"].map(
    (name) => [name, { code: /^-[a-zA-Z]*c/, valued: /^-[WX]$/, other: /^-[a-zA-Z]*m|^-V|^--version|^-h/ }] as const,
  ),
  ...["node", "nodejs", "bun", "tsx", "ts-node"].map(
    (name) =>
      [
        name,
        { code: /^-(?:[pe]+|-eval|-print)(?:=|$)/, valued: /^(?:-r|--require|--import|--loader|-C)$/, other: /^-[vh]|^--(?:version|help|test|run)/ },
      ] as const,
  ),
  ["expect", { code: /^-c/, valued: never, other: never }],
  [
    "deno",
    {
      code: /^eval$/,
      valued: never,
      other: /^(?:add|bench|bundle|cache|check|clean|compile|coverage|doc|fmt|info|install|lint|publish|remove|repl|task|test|types|update|upgrade)$/,
    },
  ],
  ...["perl", "ruby", "lua", "luajit", "julia", "groovy", "jshell", "rscript", "r", "tclsh", "scala", "elixir", "erl", "raku"].map(
    (name) => [name, perlish] as const,
  ),
  ["php", { code: /^-[rBRE]$/, valued: /^-[cdz]$/, other: /^-[vimS]/ }],
  ["osascript", { code: /^-e$/, valued: /^-[ls]$/, other: never }],
]);

function codeCall({ args }: Call, { code, valued, other }: Flags): Interpreted {
  const texts: Inner[] = [];
  for (let at = 0; at < args.length; at++) {
    const arg = args[at] ?? "";
    if (code.test(arg)) {
      const attached = /^(?:-[a-zA-Z]*c(.+)|--\w+=(.+))$/s
        .exec(arg)
        ?.slice(1)
        .find((each) => each !== undefined);
      texts.push({ kind: "text", language: "code", text: attached ?? args[++at] ?? "" });
    } else if (other.test(arg)) {
      return { language: "code", texts, args: [], stdin: false };
    } else if (valued.test(arg)) {
      at++;
    } else if (arg === "run" && at === 0) {
      // `deno run file`
    } else if (arg === "-" || !arg.startsWith("-")) {
      if (texts.length > 0) return { language: "code", texts, args: [], stdin: false };
      return arg === "-"
        ? { language: "code", texts, args: [], stdin: true }
        : { language: "code", texts, script: arg, args: args.slice(at + 1), stdin: false };
    }
  }
  return { language: "code", texts, args: [], stdin: texts.length === 0 };
}
