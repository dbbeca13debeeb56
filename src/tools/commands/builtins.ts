import { type Call, operandsOf } from "./call.ts";
import type { Scope } from "./scope.ts";
import { FILE, NETWORK, UNKNOWN } from "./syntax.ts";

/** What the shell's own commands change; returns what they print, or undefined for programs that are looked at otherwise. `run` looks at a text. */
export function builtin(call: Call, scope: Scope, run: (text: string) => string): string | undefined {
  switch (call.name) {
    case "eval":
      return run(call.args.join(" "));
    case "cd":
    case "pushd":
    case "chdir":
    case "set-location":
      scope.cwd = moved(scope.cwd, operandsOf(call)[0] ?? "~");
      return "";
    case "export":
    case "declare":
    case "typeset":
    case "local":
    case "readonly":
    case "let":
    case "set-variable":
      for (const arg of call.args) assign(arg, scope);
      return "";
    case "read":
    case "mapfile":
    case "readarray":
      read(call, scope);
      return "";
    case "printf":
      if (call.args[0] !== "-v") return undefined;
      scope.assign(call.args[1] ?? "", call.args.slice(2).length === 1 ? (call.args[2] ?? "") : call.args.slice(3).join(" "));
      return "";
    case "set":
      setArguments(call, scope);
      return "";
    case "shift":
      scope.positional = scope.positional.slice(Number(call.args[0] ?? 1) || 1);
      return "";
    case "alias":
      for (const arg of call.args) if (arg.includes("=")) scope.aliases.set(arg.slice(0, arg.indexOf("=")), arg.slice(arg.indexOf("=") + 1));
      return undefined;
    default:
      return undefined;
  }
}

function assign(arg: string, scope: Scope): void {
  const [, name, append, value = ""] = /^([A-Za-z_]\w*)(\+?)=([\s\S]*)$/.exec(arg) ?? [];
  if (name === undefined) return;
  if (append === "+") scope.append(name, value);
  else scope.assign(name, value);
}

function read(call: Call, scope: Scope): void {
  const known = ![UNKNOWN, NETWORK, FILE].some((mark) => call.stdin.includes(mark)) && call.stdin !== "";
  const hidden = call.stdin.includes(NETWORK) ? NETWORK : UNKNOWN;
  const names = operandsOf(call).filter((each) => /^[A-Za-z_]\w*$/.test(each));
  const words = (call.stdin.split("\n")[0] ?? "").trim().split(/\s+/);
  for (const [index, name] of (names.length > 0 ? names : ["REPLY"]).entries()) {
    const value = index === names.length - 1 || names.length === 0 ? words.slice(index).join(" ") : (words[index] ?? "");
    scope.assign(name, known ? value : hidden);
    // `read -a`, `mapfile`: a list.
    scope.arrays.set(name, known ? call.stdin.trim().split(/\s+/).slice(0, 64) : [hidden]);
  }
}

function setArguments({ args }: Call, scope: Scope): void {
  const at = args.findIndex((arg) => arg === "--" || !/^[-+]/.test(arg));
  if (at >= 0) scope.positional = args.slice(args[at] === "--" ? at + 1 : at);
}

/** Where a path leads from a folder; undefined where that is not known. */
function moved(from: string | undefined, path: string): string | undefined {
  if (path.includes(UNKNOWN) || path === "-") return undefined;
  if (/^(?:[/~]|[A-Za-z]:)/.test(path)) return path;
  return from === undefined ? undefined : `${from}/${path}`.slice(0, 4096);
}
