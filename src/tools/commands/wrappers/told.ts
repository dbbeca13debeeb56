import { type Inner, type Special, shell, textAfter } from "../inner.ts";

/** Programs that have a language of their own, in which they can be told to run a command. */

/** The commands of a makefile that comes from stdin; those of a file are not looked at. */
export const make: Special = (call) => {
  const texts = textAfter(/^(?:--eval(?:=([\s\S]*))?|SHELL=([\s\S]*))$/)(call);
  const given = call.args.some((arg, at) => /^(?:-f-?|--(?:make)?file=?-?)$/.test(arg) && (arg.endsWith("-") || isStdin.test(call.args[at + 1] ?? "")));
  if (!given) return texts;
  const recipes = [...call.stdin.matchAll(/(?:^\t|^[^\s#:=][^\n:=]*:[^=\n;]*;)[ \t]*[@+-]*([^\n]*)/gm)];
  return [...texts, ...recipes.map(([, text = ""]) => shell(text))];
};

const isStdin = /^(?:-|\/dev\/stdin|\/dev\/fd\/0)$/;

/** `\! command` of psql and mysql, `.shell command` of sqlite3, `COPY … PROGRAM 'command'` of PostgreSQL. */
export const databases: Special = ({ args, stdin }) =>
  [...args, stdin].flatMap((text) => [
    ...commandsAfter(/(?:^|[\s;])(?:\\!|\.(?:shell|system))[ \t]*([^\n]+)/g, text),
    ...commandsAfter(/\bprogram\s+'([^']+)'/gi, text),
  ]);

/** `shell command` and `!command` of debuggers and editors of lines. */
export const lines: Special = ({ args, stdin }) =>
  [...args, stdin].flatMap((text) =>
    commandsAfter(/(?:^|\n)[ \t]*(?:shell[ \t]+|platform shell[ \t]+|(?:[\d,$%.]+[rwe]?[ \t]*|[rwe][ \t]*)?!)([^\n]+)/g, text),
  );

/** `+!command` of less. */
export const less: Special = ({ args }) => args.flatMap((arg) => commandsAfter(/^\++!([\s\S]+)/g, arg));

function commandsAfter(pattern: RegExp, text: string): Inner[] {
  return [...text.matchAll(pattern)].map(([, command = ""]) => shell(command));
}
