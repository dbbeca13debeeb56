import { UNKNOWN } from "./syntax.ts";

/** One run of a program, as far as it is known. */
export interface Call {
  /** The program without folder, ending or capitals: `rm`, `powershell`. */
  name: string;
  /** The arguments; what cannot be known is a mark inside of them. */
  args: readonly string[];
  /** What it is given to read: text, marks, or both. */
  stdin: string;
  /** Run once for each of many names that something else has found. */
  bulk: boolean;
}

/** A question about a call. */
export type Test = (call: Call) => boolean;

/** The name of a program from the word that calls it: `/bin/rm`, `RM.EXE` and `rm` are the same. */
export function programOf(word: string): string {
  const last = word.replaceAll(UNKNOWN, "").split(/[/\\]/).at(-1) ?? "";
  return last.toLowerCase().replace(/\.(?:exe|com|cmd|bat)$/, "");
}

export const always: Test = () => true;

/** Any of the short options (letters, also merged: `-fr`) or long ones (also shortened as GNU allows: `--rec`). */
export function opt(short: string, ...long: readonly string[]): Test {
  return ({ args }) => {
    for (const arg of args) {
      if (arg === "--") return false;
      if (arg.startsWith("--")) {
        const name = arg.slice(2).split("=")[0] ?? "";
        if (name !== "" && (name.includes(UNKNOWN) || long.some((each) => each.startsWith(name)))) return true;
      } else if (/^-./.test(arg)) {
        const letters = arg.slice(1);
        // Options that are made at run time may be any.
        if (letters.includes(UNKNOWN) || [...short].some((letter) => letters.includes(letter))) return true;
      }
    }
    return false;
  };
}

/** An argument that is exactly or in part what the pattern says. */
export function arg(pattern: RegExp): Test {
  return ({ args }) => args.some((each) => pattern.test(each));
}

/** An argument that is no option. */
export function operand(pattern: RegExp): Test {
  return (call) => operandsOf(call).some((each) => pattern.test(each));
}

/** Subcommands, in their order, as the first operands: `system prune`. */
export function sub(path: string, and: Test = always): Test {
  const wanted = path.split(" ");
  return (call) => {
    const [operands, rest] = afterGlobalOptions(call);
    return wanted.every((word, index) => word.split("|").includes(operands[index]?.toLowerCase() ?? "")) && and({ ...call, args: rest });
  };
}

/** A switch of cmd: `/s`, also in `/s/q`. */
export function slash(letter: string): Test {
  return ({ args }) => args.some((each) => /^\/[a-z]/i.test(each) && each.toLowerCase().split(/[/:]/).includes(letter));
}

/** A parameter of PowerShell, which may be shortened: `-Rec`. */
export function param(name: string, shortest = 1): Test {
  return ({ args }) =>
    args.some((each) => {
      const given = each.toLowerCase().split(":")[0] ?? "";
      return given.startsWith("-") && given.length > shortest && name.startsWith(given.slice(1));
    });
}

export function all(...tests: readonly Test[]): Test {
  return (call) => tests.every((test) => test(call));
}

export function any(...tests: readonly Test[]): Test {
  return (call) => tests.some((test) => test(call));
}

export function not(test: Test): Test {
  return (call) => !test(call);
}

/** The arguments that are no options. */
export function operandsOf({ args }: Call): string[] {
  const end = args.indexOf("--");
  const before = end < 0 ? args : args.slice(0, end);
  return [...before.filter((each) => !/^-./.test(each)), ...(end < 0 ? [] : args.slice(end + 1))];
}

/** Operands of the program and all arguments from the subcommand on, without the options before it and their values. */
function afterGlobalOptions(call: Call): [operands: string[], args: readonly string[]] {
  const valued = globalOptions[call.name]?.split(" ") ?? [];
  let at = 0;
  while (at < call.args.length && call.args[at]?.startsWith("-")) at += valued.includes(call.args[at] ?? "") ? 2 : 1;
  const args = call.args.slice(at);
  return [operandsOf({ ...call, args }), args];
}

/** Options in front of a subcommand that are followed by a value. */
const globalOptions: Record<string, string> = {
  git: "-C -c --git-dir --work-tree --namespace --exec-path --config-env --super-prefix",
  docker: "-H --host -c --context --config -l --log-level --tlscacert --tlscert --tlskey",
  podman: "--connection -c --url --identity --log-level --root --runroot",
  kubectl: "-n --namespace --context --kubeconfig -s --server --cluster --user --as --as-group --token",
  helm: "-n --namespace --kube-context --kubeconfig",
  aws: "--profile --region --output --endpoint-url --query --color",
  gcloud: "--project --account --configuration --format",
  npm: "--prefix -C -w --workspace",
  pnpm: "-C --dir -F --filter",
  yarn: "--cwd",
  cargo: "--color -Z --config -C",
  hg: "-R --repository --cwd --config",
  systemctl: "-H -M --host --machine -t --type",
  terraform: "",
  openssl: "",
  gh: "-R --repo",
};
