import { PassThrough, Readable, Writable } from "node:stream";
import { verify } from "@node-rs/argon2";
import { describe, expect, it } from "vitest";
import { MOST_KEY_LENGTH } from "../../../../src/listeners/http/guards/bearer.ts";
import { hashKey } from "../../../../src/listeners/http/hash-key.ts";

async function run(args: string[], input: Readable & { isTTY?: boolean }) {
  const texts = { stdout: "", stderr: "" };
  const collect = (name: keyof typeof texts) =>
    new Writable({
      write(chunk, _, done) {
        texts[name] += String(chunk);
        done();
      },
    });
  const code = await hashKey(args, { stdin: input, stdout: collect("stdout"), stderr: collect("stderr") });
  return { code, ...texts };
}

const good = "a-key-of-a-good-length";
const piped = (...chunks: (string | Buffer)[]) => Readable.from(chunks, { objectMode: false });

describe("hash-key", () => {
  it.each([
    ["a line", [`${good}\n`]],
    ["a line of Windows", [`${good}\r\n`]],
    ["text without an end", [good]],
    ["pieces", ["a-key-of-", "a-good-length", "\nmore"]],
    ["more lines, of which the first counts", [`${good}\nanother\n`]],
  ])("prints the hash of a key that comes as %s, and nothing else", async (_, chunks) => {
    const { code, stdout, stderr } = await run([], piped(...chunks));
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(stdout).toMatch(/^\$argon2id\$v=19\$m=19456,t=2,p=1\$[\w+/]+\$[\w+/]+\n$/);
    expect(await verify(stdout.trim(), good)).toBe(true);
  });

  it("ends with the first line, though stdin stays open", async () => {
    const open = new PassThrough();
    open.write(`${good}\n`);
    expect((await run([], open)).code).toBe(0);
    expect(open.destroyed).toBe(true);
  });

  it("makes a key, which is shown on stderr and fits the hash on stdout", async () => {
    const keys = await Promise.all(
      [1, 2].map(async () => {
        const { code, stdout, stderr } = await run(["--generate"], piped());
        expect(code).toBe(0);
        expect(stderr).toMatch(/^[0-9a-f]{64}\n$/);
        expect(await verify(stdout.trim(), stderr.trim())).toBe(true);
        return stderr;
      }),
    );
    expect(new Set(keys).size).toBe(2);
  });

  it("takes the longest key that a request can bring, and none longer", async () => {
    expect((await run([], piped(`${"k".repeat(MOST_KEY_LENGTH)}\r\n`))).code).toBe(0);
    const longer = await run([], piped(`${"k".repeat(MOST_KEY_LENGTH + 1)}\n`));
    expect(longer).toMatchObject({ code: 1, stdout: "" });
  });

  it("stops to read what never ends", async () => {
    let sent = 0;
    const endless = new Readable({
      read() {
        sent++;
        this.push("k".repeat(1024));
      },
    });
    expect((await run([], endless)).code).toBe(1);
    expect(sent).toBeLessThan(200);
  });

  it.each([
    ["nothing", ""],
    ["an empty line", "\nsecond"],
    ["a blank", "two words"],
    ["letters outside of ASCII", "schlüssel-von-guter-länge"],
    ["a control character", "key\u0000key"],
  ])("refuses %s, without repeating it", async (_, text) => {
    const { code, stdout, stderr } = await run([], piped(text));
    expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
    expect(stderr).toMatch(/^steerable-sidecar: hash-key: [^\n]+\n$/);
    if (text.trim() !== "") expect(stderr).not.toContain(text);
  });

  it("refuses a key as an argument, without repeating it", async () => {
    for (const args of [[good], ["--generate", good], ["--generate", "--generate"], [`--generate=${good}`]]) {
      const { code, stdout, stderr } = await run(args, piped());
      expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
      expect(stderr).not.toContain(good);
    }
  });

  it("does not read what somebody types", async () => {
    const terminal = Object.assign(piped(`${good}\n`), { isTTY: true });
    expect(await run([], terminal)).toMatchObject({ code: 2, stdout: "" });
    expect(await run(["--generate"], terminal)).toMatchObject({ code: 0 });
  });

  it("warns of a key that can be guessed", async () => {
    const { code, stdout, stderr } = await run([], piped("short\n"));
    expect(code).toBe(0);
    expect(await verify(stdout.trim(), "short")).toBe(true);
    expect(stderr).toContain("can be guessed");
  });

  it("explains itself", async () => {
    const { code, stdout } = await run(["--help"], piped());
    expect(code).toBe(0);
    expect(stdout).toContain("usage: steerable-sidecar hash-key [--generate]");
  });

  it("fails when nobody can read the hash", async () => {
    const closed = new Writable({ write: (_chunk, _encoding, done) => done(new Error("EPIPE")) });
    expect(await hashKey([], { stdin: piped(good), stdout: closed, stderr: new PassThrough() })).toBe(1);
  });

  it("fails when stdin does", async () => {
    const failing = new Readable({
      read() {
        this.destroy(new Error("EIO: /some/path"));
      },
    });
    const { code, stderr } = await run([], failing);
    expect(code).toBe(1);
    expect(stderr).not.toContain("/some/path");
  });
});
