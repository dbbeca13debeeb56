import { type Call, operandsOf, opt } from "./call.ts";
import { unescapeAnsi } from "./escapes.ts";
import { FILE, NETWORK, UNKNOWN } from "./syntax.ts";

/** What a program prints, as far as that is known before it runs: text, with marks for the rest. */
export function outputOf(call: Call, contentOf: (path: string) => string): string {
  const { name, args, stdin } = call;
  if (network.has(name)) return NETWORK;
  if (silent.has(name)) return "";
  if (name === "echo" || name === "print" || name === "write-output" || name === "write-host") return echo(call);
  if (name === "printf") return printf(args);
  // The names that it is given, and what is in them where they are folders.
  if (name === "ls" && operandsOf(call).length > 0) return [...operandsOf(call), UNKNOWN].join("\n");
  if (name === "which")
    return operandsOf(call)
      .map((each) => `/usr/bin/${each}\n`)
      .join("");
  if (reading.has(name)) {
    const files = operandsOf(call).filter((each) => each !== "-");
    return files.length > 0 ? files.map(contentOf).join("\n") : stdin;
  }
  if (name === "base64" || name === "gbase64") return opt("dD", "decode")(call) ? decoded(stdin, "base64") : hidden(stdin);
  if (name === "xxd" && opt("r", "revert")(call)) return decoded(stdin, "hex");
  if (name === "rev") return [...stdin].toReversed().join("");
  return hidden(stdin);
}

/** A text that something has gone over: only whether it comes from the network is still known. */
function hidden(stdin: string): string {
  return stdin.includes(NETWORK) ? NETWORK : UNKNOWN;
}

const network = new Set(
  (
    "curl wget wget2 fetch http https httpie xh aria2c axel lynx links elinks w3m nc ncat netcat socat ftp tftp lftp telnet dig nslookup host drill " +
    "iwr irm invoke-webrequest invoke-restmethod curlie bitsadmin start-bitstransfer certutil ssh"
  ).split(" "),
);
const silent = new Set(
  "ssh-agent true false : cd pushd popd mkdir touch rm cp mv ln chmod chown sleep wait test [ [[ export set unset alias trap exit return local declare readonly shift".split(
    " ",
  ),
);
const reading = new Set("cat tee type get-content gc less more head tail nl tac bat unbuffer pv sort uniq".split(" "));

function echo({ name, args }: Call): string {
  const first = name === "echo" ? args.findIndex((arg) => !/^-[neE]+$/.test(arg)) : 0;
  const text = args.slice(first < 0 ? args.length : first).join(" ");
  // An expression of PowerShell that fetches something.
  if (name === "write-output" && /\.download(?:string|data|file)|\bwebclient\b/i.test(text)) return NETWORK;
  // Some shells' `echo` takes escapes without being asked to.
  return `${text.includes("\\") ? unescapeEcho(text) : text}\n`;
}

/** Here octal numbers begin with a 0 of their own: `\0162`. */
function unescapeEcho(text: string): string {
  return unescapeAnsi(text.replace(/\\0([0-7]{1,3})/g, "\\$1"));
}

function printf(args: readonly string[]): string {
  const [format = "", ...values] = args[0] === "--" ? args.slice(1) : args;
  const plain = unescapeAnsi(format);
  // The format is used again until no value is left.
  const each = [...plain.matchAll(/%[-+ #0]*\d*(?:\.\d+)?[a-zA-Z]/g)].length;
  const rounds = each === 0 ? 1 : Math.min(MOST_ROUNDS, Math.max(1, Math.ceil(values.length / each)));
  const left = values.values();
  const printed = (all: string, kind?: string) => {
    if (kind === undefined) return all.slice(1);
    const value = left.next().value ?? "";
    if (kind === "b") return unescapeEcho(value);
    return "sdiq".includes(kind) ? value : UNKNOWN;
  };
  return Array.from({ length: rounds }, () => plain.replace(/%(?:%|[-+ #0]*\d*(?:\.\d+)?([a-zA-Z]))/g, printed)).join("");
}

const MOST_ROUNDS = 256;

/** Text that was written in another form. */
function decoded(text: string, encoding: "base64" | "hex"): string {
  if (text.includes(NETWORK)) return NETWORK;
  const plain = Buffer.from(text.replace(/\s+/g, ""), encoding).toString("utf8");
  const known = ![UNKNOWN, FILE].some((mark) => text.includes(mark)) && ![UNKNOWN, NETWORK, FILE].some((mark) => plain.includes(mark));
  return known ? plain : UNKNOWN;
}
