import { type Inner, type Special, MOST_VALUES, afterOptions, setOf, shell, wordsOf } from "../inner.ts";
import { UNKNOWN } from "../syntax.ts";

export const xargs: Special = ({ args, stdin }) => {
  const replace = args.flatMap((arg, at) => {
    const [found, long, attached] = /^-(?:-replace(?:=(.*))?|[0rtxp]*[Ii](.*))$/.exec(arg) ?? [];
    if (found === undefined) return [];
    return [long || attached || (arg.endsWith("I") ? (args[at + 1] ?? "{}") : "{}")];
  })[0];
  const words = afterOptions(args, setOf("a d E I L n P s J R S arg-file delimiter max-lines max-args max-procs max-chars process-slot-var"));
  if (words.length === 0) return [];
  const given = wordsOf(stdin);
  if (replace === undefined) return [{ kind: "words", words: [...words, ...given], bulk: true }];
  return given.map((each) => ({ kind: "words", words: words.map((word) => word.replaceAll(replace, () => each)), bulk: true }));
};

export const find: Special = ({ args }) => {
  const inner: Inner[] = [];
  for (const [at, arg] of args.entries()) {
    if (!/^-(?:exec|execdir|ok|okdir)$/.test(arg)) continue;
    const rest = args.slice(at + 1);
    const end = rest.findIndex((each, index) => each === ";" || (each === "+" && rest[index - 1] === "{}"));
    inner.push({ kind: "words", words: (end < 0 ? rest : rest.slice(0, end)).map((each) => each.replaceAll("{}", UNKNOWN)), bulk: true });
  }
  return inner;
};

export const fd: Special = ({ args }) => {
  const at = args.findIndex((arg) => /^(?:-[xX]|--exec(?:-batch)?)$/.test(arg));
  return at < 0 ? [] : [{ kind: "words", words: [...args.slice(at + 1).map((each) => each.replace(/\{[^}]*\}/g, UNKNOWN)), UNKNOWN], bulk: true }];
};

export const parallel: Special = ({ args, stdin }) => {
  const words = afterOptions(
    args,
    setOf("j S a I N L n jobs sshlogin arg-file delay timeout joblog results retries colsep load memfree halt tmpdir workdir max-args max-procs"),
  );
  const at = words.findIndex((word) => /^::::?\+?$/.test(word));
  const values = at < 0 ? wordsOf(stdin) : words.slice(at + 1);
  const template = (at < 0 ? words : words.slice(0, at)).join(" ");
  return values
    .slice(0, MOST_VALUES)
    .map((value) => shell(/\{[^{}]*\}/.test(template) ? template.replace(/\{[^{}]*\}/g, () => value) : `${template} ${value}`));
};
