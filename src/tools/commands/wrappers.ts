import { type Call, operandsOf } from "./call.ts";
import { type Inner, type Special, afterOptions, setOf, shell, textAfter } from "./inner.ts";
import { awk, git, sed, vim } from "./wrappers/embedded.ts";
import { fd, find, parallel, xargs } from "./wrappers/many.ts";
import { containers, ssh } from "./wrappers/remote.ts";
import { databases, less, lines, make } from "./wrappers/told.ts";

/** The commands that a wrapper runs; none where the program is no wrapper. */
export function wrapped(call: Call): Inner[] {
  const special = specials.get(call.name);
  if (special !== undefined) return special(call);
  if (loader.test(call.name)) return wordsAfter(call, "library-path preload audit argv0 inhibit-rpath", 0);
  const grammar = wrappers.get(call.name);
  if (grammar === undefined) return [];
  const words = afterOptions(call.args, grammar.valued).slice(grammar.skip);
  return words.length > 0 ? [{ kind: "words", words, bulk: call.bulk }] : [];
}

/** The programs that start others, by the path of those. */
const loader = /^ld(?:-linux|-musl|\.so|64\.so)/;

interface Grammar {
  valued: ReadonlySet<string>;
  /** Operands in front of the command. */
  skip: number;
}

/** Programs whose operands are a command: name, options with a value, operands in front of it. */
const wrappers = new Map<string, Grammar>(
  (
    [
      ["sudo", "u g C D h p R r T t U user group close-from chdir host prompt chroot role type command-timeout other-user", 0],
      ["doas", "u C a", 0],
      ["pkexec", "user", 0],
      ["gosu su-exec", "", 1],
      ["nohup builtin fakeroot eatmydata unbuffer setarch-run winpty dbus-run-session catchsegv chronic noglob nocorrect", "", 0],
      ["exec", "a", 0],
      ["nice", "n adjustment", 0],
      ["ionice", "c n p P u class classdata pid", 0],
      ["time gtime", "f o format output", 0],
      ["timeout gtimeout", "s k signal kill-after", 1],
      ["stdbuf gstdbuf", "i o e input output error", 0],
      ["setsid", "", 0],
      ["chroot", "", 1],
      ["taskset", "", 1],
      ["chrt", "T P D", 1],
      ["linux32 linux64 i386 x86_64 arch", "", 0],
      ["ssh-agent", "a t E P O", 0],
      ["unshare", "S G R w setuid setgid root wd map-user map-group propagation", 0],
      ["nsenter", "t S G target setuid setgid", 0],
      ["caffeinate", "t w", 0],
      ["strace ltrace", "e o p s u E P a b I O S X", 0],
      ["valgrind", "", 0],
      ["faketime", "", 1],
      ["torsocks proxychains proxychains4 tsocks xvfb-run rlwrap firejail", "f s n e", 0],
      ["numactl", "C N m i p", 0],
      ["systemd-run", "p u E M H G property unit setenv slice uid gid working-directory description on-active on-calendar", 0],
      ["dotenv dotenvx", "e f v c", 0],
      ["entr", "", 0],
      ["busybox toybox", "", 0],
      ["start", "", 0],
      ["start-process saps", "verb workingdirectory windowstyle", 0],
      ["call", "", 0],
      ["then else do", "", 0],
    ] as const
  ).flatMap(([names, valued, skip]) => names.split(" ").map((name) => [name, { valued: setOf(valued), skip }] as const)),
);

const env: Special = ({ args, bulk }) => {
  const texts = args.flatMap((arg, at) => {
    const [, attached] = /^(?:-[iv0]*S|--split-string=)([\s\S]*)$/.exec(arg) ?? [];
    if (attached === undefined && arg !== "--split-string") return [];
    return [[attached || (args[at + 1] ?? ""), ...args.slice(attached ? at + 1 : at + 2)].join(" ")];
  });
  if (texts.length > 0) return texts.map(shell);
  const words = [...afterOptions(args, setOf("u C unset chdir a argv0"))];
  while (/^\w+=/.test(words[0] ?? "") || words[0] === "-") words.shift();
  return words.length > 0 ? [{ kind: "words", words, bulk }] : [];
};

/** `prog … -- command` */
const afterDashes: Special = ({ args }) => {
  const at = args.indexOf("--");
  return at < 0 ? [] : [{ kind: "words", words: args.slice(at + 1) }];
};

/** `npm exec cmd`, `poetry run cmd`, `direnv exec folder cmd`. */
const subcommand =
  (names: string, valued = "", skip = 0): Special =>
  ({ args }) => {
    const at = args.findIndex((arg) => names.split(" ").includes(arg));
    const texts = args.flatMap((arg, index) => (/^(?:-c|--call|--command|--run)$/.test(arg) ? [shell(args[index + 1] ?? "")] : []));
    const words = at < 0 || at > 4 ? [] : afterOptions(args.slice(at + 1), setOf(valued)).slice(skip);
    return words.length > 0 ? [...texts, { kind: "words", words }] : texts;
  };

const eachOperand: Special = ({ args }) =>
  args.slice(0, MOST_OPERANDS).flatMap((arg, at) => (arg.startsWith("-") ? [] : [{ kind: "words" as const, words: args.slice(at) }]));

const MOST_OPERANDS = 64;

const joined =
  (valued: string, skip = 0): Special =>
  ({ args }) => [shell(afterOptions(args, setOf(valued)).slice(skip).join(" "))];

const specialTable: readonly (readonly [string, Special])[] = [
  ["env cross-env cross-env-shell", env],
  ["xargs gxargs", xargs],
  ["find gfind bfs", find],
  ["fd fdfind", fd],
  ["parallel", parallel],
  ["ssh autossh mosh sshpass", ssh],
  ["docker podman nerdctl docker-compose podman-compose", containers],
  ["kubectl oc mise asdf with-contenv op aws-vault doppler infisical chamber envchain", afterDashes],
  ["yarn bundle poetry pipenv uv rye pdm hatch pixi rbenv pyenv nodenv nvm corepack", subcommand("exec run x dlx", "p package w workspace C with python from")],
  // What `run` names is a script of the project, not a program.
  ["npm pnpm bun", subcommand("exec x dlx", "p package w workspace C")],
  ["conda mamba micromamba", subcommand("run", "n p name prefix cwd")],
  ["direnv", subcommand("exec", "", 1)],
  ["nix nix-shell guix", (call) => [...subcommand("")(call), ...afterDashes(call)]],
  ["watch", joined("n interval")],
  ["su runuser script sg", textAfter(/^(?:-c|-[a-z]+c|--command(?:=([\s\S]*))?|--session-command(?:=([\s\S]*))?)$/)],
  ["flock", (call) => [...textAfter(/^(?:-c|--command(?:=([\s\S]*))?)$/)(call), ...wordsAfter(call, "w E timeout wait conflict-exit-code", 1)]],
  [
    "tmux",
    (call) =>
      subcommand(
        "new new-session neww new-window splitw split-window send send-keys run run-shell respawn-pane",
        "s n t c x y e F",
      )(call).map((inner) => (inner.kind === "words" ? shell(inner.words.join(" ")) : inner)),
  ],
  ["screen", ({ args }) => [{ kind: "words", words: afterOptions(args, setOf("S t c e h p s T")) }]],
  // Which operands are its own is not known for sure, so each may be the program.
  ["setarch prlimit bwrap proot", eachOperand],
  ["hyperfine", ({ args }) => args.map(shell)],
  ["perf", subcommand("stat record trace", "e o r p t C F c g m a G I D")],
  ["coreutils", ({ args }) => [{ kind: "words", words: args.map((arg) => arg.replace(/^--coreutils-prog(?:-shebang)?=/, "")) }]],
  ["cmake", ({ args }) => (args[0] === "-E" ? [{ kind: "words", words: args.slice(1) }] : [])],
  ["npx bunx pnpx dlx", (call) => [...textAfter(/^(?:-c|--call(?:=([\s\S]*))?)$/)(call), ...wordsAfter(call, "p c w package workspace call", 0)]],
  ["git", git],
  ["awk gawk mawk nawk", awk],
  ["sed gsed", sed],
  ["vim vi nvim ex view gvim", vim],
  ["tar gtar bsdtar", textAfter(/^(?:--(?:to-command|use-compress-program|rsh-command|checkpoint-action=exec)(?:=([\s\S]*))?|-I([\s\S]+)?)$/)],
  ["zip", textAfter(/^(?:-TT|--unzip-command(?:=([\s\S]*))?)$/)],
  ["scp sftp", textAfter(/^-S([\s\S]+)?$/)],
  ["man", textAfter(/^(?:-P([\s\S]+)?|--pager(?:=([\s\S]*))?)$/)],
  ["less", less],
  ["psql mysql mariadb sqlite3 sqlite", databases],
  ["gdb lldb ed red", lines],
  ["rsync", textAfter(/^(?:-e|--rsh(?:=([\s\S]*))?|--rsync-path(?:=([\s\S]*))?)$/)],
  ["make gmake", make],
  ["command", ({ args, bulk }) => (/^-[pvV]*[vV]/.test(args[0] ?? "") ? [] : [{ kind: "words", words: afterOptions(args, new Set()), bulk }])],
  [
    "trap",
    ({ args }) => {
      const [text = ""] = args[0] === "--" ? args.slice(1) : args;
      return text === "" || text.startsWith("-") ? [] : [shell(text)];
    },
  ],
  ["alias", ({ args }) => args.flatMap((arg) => (arg.includes("=") ? [shell(arg.slice(arg.indexOf("=") + 1))] : []))],
  ["if for foreach forfiles", (call) => conditional(call)],
  ["crontab at batch", ({ stdin }) => [shell(stdin.replace(/^(?:[\d*/,-]+\s+){5}/gm, ""))]],
];

const specials = new Map(specialTable.flatMap(([names, special]) => names.split(" ").map((name) => [name, special] as const)));

function wordsAfter({ args }: Call, valued: string, skip: number): Inner[] {
  const words = afterOptions(args, setOf(valued)).slice(skip);
  return words.length > 0 && !words[0]?.startsWith("-") ? [{ kind: "words", words }] : [];
}

/** `if exist x del x`, `for %i in (…) do del %i`, `forfiles /c "cmd /c del @file"` of cmd. */
function conditional(call: Call): Inner[] {
  const at = call.args.findIndex((arg) => /^(?:do|\/c)$/i.test(arg));
  if (at >= 0) return [{ kind: "words", words: call.args.slice(at + 1), bulk: true }];
  return operandsOf(call)
    .slice(0, 6)
    .map((_, index) => ({ kind: "words", words: call.args.slice(index + 1) }));
}
