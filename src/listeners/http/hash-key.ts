/** `steerable-sidecar hash-key`: makes of a key what `api.auth.keys` keeps of it. */
import { randomBytes } from "node:crypto";
import type { Readable, Writable } from "node:stream";
import { isKey, MOST_KEY_LENGTH } from "./guards/bearer.ts";

export interface HashKeyIo {
  stdin: Readable & { isTTY?: boolean };
  stdout: Writable;
  stderr: Writable;
}

/**
 * Reads a key from the first line of stdin, or makes one with `--generate`, and writes its hash to stdout as
 * the only line. A key that was made goes to stderr, so that `hash-key --generate >> file` keeps the hash alone.
 * `args` are the words after `hash-key`.
 *
 * Resolves with the exit code: 0; 1 when there is no such key or it cannot be hashed; 2 for a wrong command
 * line, a terminal as stdin included, because what is typed there would be seen.
 */
export async function hashKey(args: readonly string[], { stdin, stdout, stderr }: HashKeyIo): Promise<number> {
  const complain = async (text: string, code: number) => {
    await write(stderr, `steerable-sidecar: hash-key: ${text}\n`);
    return code;
  };
  const isGenerated = args.includes("--generate");
  if (args.includes("--help") || args.includes("-h")) return (await write(stdout, help)) ? 0 : 1;
  // What was typed is not repeated: it may be the key.
  if (args.length > (isGenerated ? 1 : 0)) return complain("takes no argument but --generate; the key comes on stdin", 2);
  if (!isGenerated && stdin.isTTY) return complain("a key that is typed here would be seen: send it through a pipe, or use --generate", 2);

  const key = isGenerated ? randomBytes(32).toString("hex") : await firstLine(stdin);
  if (key === undefined || key === "") return complain(key === "" ? "no key came on stdin" : "the key could not be read from stdin", 1);
  if (!isKey(key)) return complain(`a key is 1 to ${MOST_KEY_LENGTH} visible ASCII characters without blanks: a header can carry no other`, 1);
  if (key.length < SHORT) await write(stderr, `steerable-sidecar: hash-key: a key of fewer than ${SHORT} characters can be guessed\n`);

  const hashed = await hash(key);
  if (hashed === undefined) return complain("the key could not be hashed: is the package @node-rs/argon2 installed for this system?", 1);
  if (isGenerated && !(await write(stderr, `${key}\n`))) return 1;
  return (await write(stdout, `${hashed}\n`)) ? 0 : 1;
}

const SHORT = 16;

const help = `usage: steerable-sidecar hash-key [--generate]

Writes the argon2id hash of a key to stdout, for api.auth.keys in the configuration.

  (without a flag)  the key is the first line of stdin
  --generate        make a key of 32 random bytes; it is shown once, on stderr
`;

/** The line without its end; undefined when stdin fails. What is longer than any key is cut off there, which is still too long for one. */
async function firstLine(stdin: Readable): Promise<string | undefined> {
  let bytes = Buffer.alloc(0);
  try {
    for await (const chunk of stdin) {
      bytes = Buffer.concat([bytes, Buffer.from(chunk)]);
      if (bytes.includes(0x0a) || bytes.length > MOST_KEY_LENGTH + 1) break;
    }
  } catch {
    // Why it cannot be read is told as well by the line that says so.
    return undefined;
  }
  const end = bytes.indexOf(0x0a);
  return bytes
    .subarray(0, end === -1 ? bytes.length : end)
    .toString("latin1")
    .replace(/\r$/, "");
}

/** Argon2id with what OWASP asks for at least: 19 MiB, two passes, one lane. */
async function hash(key: string): Promise<string | undefined> {
  try {
    const argon2 = await import("@node-rs/argon2");
    return await argon2.hash(key, { algorithm: ARGON2ID, memoryCost: 19_456, timeCost: 2, parallelism: 1 });
  } catch {
    // The message of a loader holds paths of this machine, and that of the hash could hold the key.
    return undefined;
  }
}

/** `Algorithm.Argon2id`, which is a const enum: a single file that is transpiled cannot see it. */
const ARGON2ID = 2;

/** False when nobody can read it any more. */
function write(stream: Writable, text: string): Promise<boolean> {
  return new Promise((resolve) => {
    stream.once("error", () => resolve(false));
    stream.write(text, (error) => resolve(!error));
  });
}
