import { mkdirSync, realpathSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { Custody } from "../../src/custody/custody.ts";
import { registerSecret } from "../../src/redact.ts";
import { type CommandOutcome, MOST_BYTES, runCommand } from "../../src/tools/builtin/run-command.ts";
import type { Tool, ToolCallContext } from "../../src/tools/tool.ts";
import { isAlive, testCustody, until } from "../custody/support.ts";
import { temporaryFolder } from "../support/sidecar.ts";

interface Setting {
  roots?: string[];
  custody?: Custody;
  env?: NodeJS.ProcessEnv;
}

function tool({ roots = [temporaryFolder()], custody = testCustody(), env = process.env }: Setting = {}): Tool {
  return runCommand({ roots, custody, env });
}

async function run(args: Record<string, unknown>, setting?: Setting): Promise<CommandOutcome> {
  return (await tool(setting).run(args, context())) as CommandOutcome;
}

function context(change: Partial<ToolCallContext> = {}): ToolCallContext {
  return { signal: new AbortController().signal, callId: "call_1", timeoutMs: 240_000, ...change };
}

async function failureOf(promise: Promise<unknown>): Promise<Error> {
  return promise.then(
    (value) => expect.unreachable(`it returned ${JSON.stringify(value).slice(0, 200)}`),
    (error: unknown) => error as Error,
  );
}

describe("run_command", () => {
  it("runs a line for the shell and returns what came of it", async () => {
    expect(await run({ command: "echo out | tr a-z A-Z; echo err >&2" })).toEqual({ exitCode: 0, stdout: "OUT\n", stderr: "err\n" });
  });

  it("does not fail when the command does", async () => {
    expect(await run({ command: "echo oops >&2; exit 42" })).toEqual({ exitCode: 42, stdout: "", stderr: "oops\n" });
    expect(await run({ command: "no-such-command-at-all" })).toMatchObject({ exitCode: 127 });
    expect(await run({ command: "kill -s KILL $$" })).toEqual({ exitCode: null, signal: "SIGKILL", stdout: "", stderr: "" });
  });

  it("leaves nothing to read on stdin", async () => {
    expect(await run({ command: "cat; read line || echo end" })).toMatchObject({ stdout: "end\n" });
  });

  it("shows the command few variables, and no key among them", async () => {
    const env = {
      PATH: process.env["PATH"],
      HOME: "/home/me",
      USER: "me",
      TERM: "xterm",
      OPENAI_API_KEY: "sk-1234567890",
      AWS_SECRET_ACCESS_KEY: "x",
      PWD: "/",
    };
    const { stdout } = await run({ command: "env" }, { env });
    const names = stdout.split("\n").map((line) => line.split("=", 1)[0]);
    // PWD is the shell's own.
    expect(names.filter((name) => name !== "").toSorted()).toEqual(["HOME", "PATH", "PWD", "STEERABLE_CUSTODY", "STEERABLE_WARD", "TERM", "USER"]);
    expect(stdout).toContain("TERM=dumb\n");
  });

  it("knows what a command may do", () => {
    expect(tool().assess?.({ command: "ls" }).danger).toBeUndefined();
    expect(tool().assess?.({ command: "sudo rm -rf /" })).toMatchObject({ mode: "destructive", danger: expect.any(String) });
  });

  it("ends what a command leaves running", async () => {
    const { stdout } = await run({ command: "sleep 1000 & echo $!; setsid sleep 1000 >/dev/null 2>&1 & echo $!" });
    expect(stdout.trim().split("\n").map(Number).map(isAlive)).toEqual([false, false]);
  });
});

describe("the folder of run_command", () => {
  it("is the first root, or one inside the roots", async () => {
    const [first, second] = [temporaryFolder(), temporaryFolder()].map((folder) => realpathSync(folder)) as [string, string];
    mkdirSync(join(first, "sub"));
    mkdirSync(join(second, "other"));
    const roots = [first, second];
    expect((await run({ command: "pwd" }, { roots })).stdout).toBe(`${first}\n`);
    expect((await run({ command: "pwd", cwd: "sub" }, { roots })).stdout).toBe(`${join(first, "sub")}\n`);
    expect((await run({ command: "pwd", cwd: "other" }, { roots })).stdout).toBe(`${join(second, "other")}\n`);
    expect((await run({ command: "pwd", cwd: second }, { roots })).stdout).toBe(`${second}\n`);
  });

  it.each([
    ["is outside the roots", "/usr", "is outside the folders that tools may see"],
    ["goes up", "../..", 'must not contain ".."'],
    ["is a link that leads out", "out", "is outside the folders that tools may see"],
    ["does not exist", "nowhere", "No such file or directory"],
    ["is a file", "file", "This is not a directory"],
  ])("is refused when it %s", async (_, cwd, message) => {
    const root = temporaryFolder();
    symlinkSync("/usr", join(root, "out"));
    writeFileSync(join(root, "file"), "");
    const error = await failureOf(run({ command: "pwd", cwd }, { roots: [root] }));
    expect(error).toMatchObject({ name: "ToolFailure", message: expect.stringContaining(message) });
    expect(error.message).not.toContain(root);
  });

  it("is missing without roots", async () => {
    expect((await failureOf(run({ command: "pwd" }, { roots: [] }))).message).toContain("tools.roots");
  });
});

describe("the output of run_command", () => {
  it("keeps its beginning and its end when it is long, and says how much is missing", async () => {
    const outcome = await run({ command: "echo begin; head -c 1000000 /dev/zero | tr '\\0' x; echo; echo end; echo short >&2" });
    const half = MOST_BYTES / 2;
    const cut = 1_000_000 + "begin\n\nend\n".length - MOST_BYTES;
    expect(outcome).toMatchObject({ exitCode: 0, stderr: "short\n", truncated: true, cutBytes: cut });
    expect(outcome.stdout).toBe(`begin\n${"x".repeat(half - 6)}\n[… ${cut} bytes left out …]\n${"x".repeat(half - 5)}\nend\n`);
  });

  it("is whole when it just fits", async () => {
    const outcome = await run({ command: `head -c ${MOST_BYTES} /dev/zero | tr '\\0' x; head -c ${MOST_BYTES} /dev/zero | tr '\\0' y >&2` });
    expect(outcome).toEqual({ exitCode: 0, stdout: "x".repeat(MOST_BYTES), stderr: "y".repeat(MOST_BYTES) });
  });

  it("is cut between characters", async () => {
    // One byte in front puts both cuts into the middle of a character.
    const { stdout, cutBytes } = await run({ command: `printf a; yes 'äöü' | tr -d '\\n' | head -c ${4 * MOST_BYTES}; printf b` });
    expect(stdout).not.toContain("\ufffd");
    const kept = stdout.split(/\n\[… \d+ bytes left out …\]\n/).map((part) => Buffer.byteLength(part));
    expect(kept.reduce((sum, bytes) => sum + bytes) + (cutBytes ?? 0)).toBe(4 * MOST_BYTES + 2);
  });

  it("has what is not UTF-8 replaced", async () => {
    expect(await run({ command: String.raw`printf '\377\376'; printf '\303' >&2` })).toEqual({ exitCode: 0, stdout: "\ufffd\ufffd", stderr: "\ufffd" });
  });

  it("may be hundreds of megabytes in small pieces", async () => {
    const outcome = await run({ command: "yes | head -c 300000000; printf end" });
    expect(outcome).toMatchObject({ exitCode: 0, cutBytes: 300_000_003 - MOST_BYTES });
    expect(outcome.stdout.endsWith("y\nend")).toBe(true);
  }, 240_000);
});

describe("run_command that takes too long", () => {
  it("is ended after its own timeout, and shows what was printed so far", async () => {
    registerSecret("a-known-secret-value");
    const custody = testCustody();
    const error = await failureOf(run({ command: "echo working on a-known-secret-value; echo hm >&2; sleep 1000 & wait", timeoutMs: 5000 }, { custody }));
    expect(error).toMatchObject({
      name: "ToolFailure",
      kind: "timeout",
      message: "The command was ended: it did not finish within 5000 ms\nstdout: working on ********\nstderr: hm",
    });
    expect((await custody.children()).map(({ kind }) => kind)).toEqual(["custodian"]);
  });

  it("shows no more than the end of much output", async () => {
    const error = await failureOf(run({ command: "head -c 1000000 /dev/zero | tr '\\0' x; echo; echo last; sleep 1000", timeoutMs: 5000 }));
    expect(error.message.length).toBeLessThan(2200);
    expect(error.message).toMatch(/x\nlast$/);
  });

  it("is ended when the call is cancelled", async () => {
    const custody = testCustody();
    const abort = new AbortController();
    const failure = failureOf(
      tool({ custody }).run({ command: "trap '' TERM; while :; do sleep 0.05; done" }, context({ signal: abort.signal, sessionId: "s_1" })),
    );
    const child = await until(async () => (await custody.children()).find(({ kind }) => kind === "tool"), "the child");
    expect(child).toMatchObject({ name: "run_command", callId: "call_1", sessionId: "s_1" });
    abort.abort();
    expect(await failure).toMatchObject({ name: "ToolFailure", kind: "cancelled" });
    expect(isAlive(child.pid)).toBe(false);
  });

  it("is not started at all when the command line is impossible", async () => {
    expect(await failureOf(run({ command: "echo \0" }))).toMatchObject({ kind: "invalid_params" });
    expect((await failureOf(run({ command: `: ${"x".repeat(10_000_000)}` }))).message).toContain("too long");
  });
});
