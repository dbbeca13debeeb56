import { type Special, shell, textAfter } from "../inner.ts";

/** Values of git's settings that are commands. */
export const git: Special = ({ args }) => {
  const settings = args.flatMap((arg, at) => {
    const before = args[at - 1] ?? "";
    if (before === "-c" || /^--config$/.test(before)) return [arg];
    return args.includes("config") && before !== "" ? [`${before}=${arg}`] : [];
  });
  const texts = settings.flatMap((setting) => {
    const [, key = "", value = ""] = /^([^=]*)=([\s\S]*)$/.exec(setting) ?? [];
    if (/^alias\./i.test(key)) return value.startsWith("!") ? [value.slice(1)] : [`git ${value}`];
    return commandSettings.test(key) ? [value.replace(/^!/, "")] : [];
  });
  const at = args.findIndex((arg) => arg === "foreach" || arg === "run");
  const nested = at > 0 && /^(?:submodule|bisect)$/.test(args[at - 1] ?? "") ? args.slice(at + 1).filter((arg) => arg !== "--recursive") : [];
  const options = executing.find(([command]) => args.some((arg) => command.test(arg)))?.[1];
  const executed = options === undefined ? [] : textAfter(options)({ name: "git", args, stdin: "", bulk: false });
  const transports = args.flatMap((arg) => /^ext::([\s\S]*)/.exec(arg)?.[1]?.replace(/%(.)/g, "\\$1") ?? []);
  return [...texts.map(shell), ...(nested.length > 0 ? [shell(nested.join(" "))] : []), ...transports.map(shell), ...executed];
};

/** Subcommands with options whose values are commands. */
const executing: readonly (readonly [RegExp, RegExp])[] = [
  [/^grep$/, /^(?:-O|--open-files-in-pager=)([\s\S]+)$/],
  [/^difftool$/, /^(?:-x|--extcmd(?:=([\s\S]*))?|-x([\s\S]+))$/],
  [/^clone$/, /^(?:-u|--upload-pack(?:=([\s\S]*))?)$/],
  [/^rebase$/, /^(?:-x|--exec(?:=([\s\S]*))?)$/],
  [/-pack|^(?:fetch|pull|push|ls-remote|archive)$/, /^--(?:upload-pack|receive-pack|exec)(?:=([\s\S]*))?$/],
];

/** Of git, without the dots around a name of the user's: `diff.*.command`. */
const commandSettings = new RegExp(
  [
    /^core\.(?:pager|editor|sshcommand|fsmonitor|askpass|hookspath)$/,
    /^(?:sequence\.editor|diff\.external|pager\..*|credential(?:\..*)?\.helper|gpg\.(?:.*\.)?program|uploadpack\..*hook)$/,
    /^(?:diff|merge|filter|difftool|mergetool)\..*\.(?:command|cmd|textconv|driver|clean|smudge|process)$/,
  ]
    .map(({ source }) => source)
    .join("|"),
  "i",
);

export const awk: Special = ({ args }) =>
  args.flatMap((program) => {
    // Texts that stand side by side are one.
    const arg = program.replace(/(?<!\\)"[ \t]+"/g, "");
    const texts = [
      // What is run is in a variable: each text may be it.
      ...(/\bsystem\s*\(\s*[^"\s)]/.test(arg) ? arg.matchAll(/(?<!\\)"((?:[^"\\]|\\[\s\S])*)"/g) : []),
      ...arg.matchAll(/\bsystem\s*\(\s*"((?:[^"\\]|\\[\s\S])*)"/g),
      ...arg.matchAll(/\|&?\s*(?:getline\b\s*)?"((?:[^"\\]|\\[\s\S])*)"/g),
      // What is printed into a shell.
      ...(/\|&?\s*"[^"]*sh\b/.test(arg) ? arg.matchAll(/(?<!\\)"((?:[^"\\]|\\[\s\S])*)"/g) : []),
      ...arg.matchAll(/(?<!\\)"((?:[^"\\]|\\[\s\S])*)"\s*\|\s*getline/g),
    ];
    return texts.map(([, text = ""]) => shell(text.replace(/\\(.)/g, "$1")));
  });

export const sed: Special = ({ args, stdin }) =>
  args.flatMap((arg) => {
    const [, command] = /(?:^|[;{\n\d$/])[ \t]*e[ \t]+([^\n]+)/.exec(arg) ?? [];
    const [, replacement] = /^s(.)(?:(?!\1)[^\\]|\\[\s\S])*\1((?:(?!\1)[^\\]|\\[\s\S])*)\1[gpiIm\d]*e[gpiIm\d]*$/.exec(arg)?.slice(1) ?? [];
    // What is replaced is in the lines that are read, and so may be the rest of the command.
    return [command, replacement, ...(replacement === undefined ? [] : [stdin])].flatMap((text) => (text === undefined ? [] : [shell(text)]));
  });

export const vim: Special = ({ args }) =>
  args.flatMap((arg) =>
    [...(/^\+?:?(?:silent\s+)?!([\s\S]*)|(?:^|\|)\s*:?!([\s\S]*)/.exec(arg)?.slice(1, 3) ?? [])].flatMap((text) => (text ? [shell(text)] : [])),
  );
