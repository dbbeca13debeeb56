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
  const executed = textAfter(/^(?:-x|--exec(?:=([\s\S]*))?|--upload-pack(?:=([\s\S]*))?|--receive-pack(?:=([\s\S]*))?)$/)({
    name: "git",
    args,
    stdin: "",
    bulk: false,
  });
  return [
    ...texts.map(shell),
    ...(nested.length > 0 ? [shell(nested.join(" "))] : []),
    ...(args.includes("rebase") || args.some((arg) => /-pack/.test(arg)) ? executed : []),
  ];
};

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
  args.flatMap((arg) => {
    const texts = [
      ...arg.matchAll(/\bsystem\s*\(\s*"((?:[^"\\]|\\[\s\S])*)"/g),
      ...arg.matchAll(/\|&?\s*(?:getline\b)?\s*"((?:[^"\\]|\\[\s\S])*)"/g),
      ...arg.matchAll(/"((?:[^"\\]|\\[\s\S])*)"\s*\|\s*getline/g),
    ];
    return texts.map(([, text = ""]) => shell(text.replace(/\\(.)/g, "$1")));
  });

export const sed: Special = ({ args }) =>
  args.flatMap((arg) => {
    const [, command] = /(?:^|[;{\n\d$/])[ \t]*e[ \t]+([^\n]+)/.exec(arg) ?? [];
    const [, replacement] = /^s(.)(?:(?!\1)[^\\]|\\[\s\S])*\1((?:(?!\1)[^\\]|\\[\s\S])*)\1[gpiIm\d]*e[gpiIm\d]*$/.exec(arg)?.slice(1) ?? [];
    return [command, replacement].flatMap((text) => (text === undefined ? [] : [shell(text)]));
  });

export const vim: Special = ({ args }) =>
  args.flatMap((arg) =>
    [...(/^\+?:?(?:silent\s+)?!([\s\S]*)|(?:^|\|)\s*:?!([\s\S]*)/.exec(arg)?.slice(1, 3) ?? [])].flatMap((text) => (text ? [shell(text)] : [])),
  );
