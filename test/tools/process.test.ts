import { chmodSync, existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { ProcessTool } from "../../src/contract/config.ts";
import type { Custody } from "../../src/custody/custody.ts";
import { registerSecret } from "../../src/redact.ts";
import { MOST_BYTES, processTool } from "../../src/tools/process.ts";
import type { Tool, ToolCallContext } from "../../src/tools/tool.ts";
import { isAlive, openDescriptors, testCustody, until, zombieChildren } from "../custody/support.ts";
import { temporaryFolder } from "../support/sidecar.ts";

/** A tool that runs this script in Node. */
function scripted(script: string, change: Partial<ProcessTool> = {}, custody: Custody = testCustody(), env: NodeJS.ProcessEnv = process.env): Tool {
  return processTool(config([process.execPath, "-e", script], change), custody, env);
}

function shell(script: string, change: Partial<ProcessTool> = {}, custody: Custody = testCustody()): Tool {
  return processTool(config(["/bin/sh", "-c", script], change), custody, process.env);
}

function config(command: string[], change: Partial<ProcessTool> = {}): ProcessTool {
  return { name: "my_tool", description: "", parameters: { type: "object" }, command, env: ["PATH", "HOME"], ...change };
}

function context(change: Partial<ToolCallContext> = {}): ToolCallContext {
  return { signal: new AbortController().signal, callId: "call_1", timeoutMs: 240_000, ...change };
}

describe("a program as a tool", () => {
  it("is described by the configuration, and its mode by its name unless it is told", () => {
    expect(shell("", { name: "get_it", description: "Gets it.", timeoutMs: 5 })).toMatchObject({
      name: "get_it",
      description: "Gets it.",
      parameters: { type: "object" },
      mode: "read",
      timeoutMs: 5,
    });
    expect(shell("", { name: "get_it", mode: "destructive" }).mode).toBe("destructive");
  });

  it("is given the arguments as JSON on stdin, and what it prints as JSON is the result", async () => {
    const tool = shell("cat");
    expect(await tool.run({ text: "ä\n", list: [1, null] }, context())).toEqual({ text: "ä\n", list: [1, null] });
  });

  it("returns what is not JSON as text, without the newline at its end", async () => {
    expect(await shell("echo some text; echo").run({}, context())).toEqual({ text: "some text\n" });
    expect(await shell(":").run({}, context())).toEqual({ text: "" });
  });

  it("need not read what it is given", async () => {
    expect(await shell("exec <&-; echo done").run({ text: "x".repeat(1_000_000) }, context())).toEqual({ text: "done" });
  });

  it("runs in the folder of the configuration", async () => {
    const folder = temporaryFolder();
    expect(await shell("pwd", { cwd: folder }).run({}, context())).toEqual({ text: folder });
  });

  it("sees the variables that the configuration names, where they are set, and no others", async () => {
    registerSecret("the-secret-value");
    const env = { PATH: process.env["PATH"], GIVEN: "given", KEY: "the-secret-value", OTHER: "other" };
    const tool = scripted("console.log(JSON.stringify(process.env))", { env: ["PATH", "GIVEN", "KEY", "UNSET"] }, testCustody(), env);
    expect(await tool.run({}, context())).toEqual({
      PATH: process.env["PATH"],
      GIVEN: "given",
      KEY: "the-secret-value",
      STEERABLE_CUSTODY: expect.any(String),
      STEERABLE_WARD: expect.any(String),
    });
  });

  it("has bytes that are not UTF-8 replaced", async () => {
    expect(await shell(String.raw`printf 'a\377b'`).run({}, context())).toEqual({ text: "a\ufffdb" });
  });

  it("returns as much as fits of what it prints, cut between characters, and how much is missing", async () => {
    const { text, ...rest } = (await scripted(`process.stdout.write("x" + "ä".repeat(${MOST_BYTES}))`).run({}, context())) as { text: string };
    expect(rest).toEqual({ truncated: true, cutBytes: 1 + 2 * MOST_BYTES - (MOST_BYTES - 1) });
    expect(text).toBe(`x${"ä".repeat((MOST_BYTES - 2) / 2)}`);
  });

  it("takes JSON of the largest size whole, and of one byte more as text", async () => {
    const print = (length: number) => scripted(`process.stdout.write(JSON.stringify("y".repeat(${length - 2})))`).run({}, context());
    expect(await print(MOST_BYTES)).toBe("y".repeat(MOST_BYTES - 2));
    expect(await print(MOST_BYTES + 1)).toMatchObject({ truncated: true, cutBytes: 1 });
  });

  it("may print a gigabyte without filling our memory", async () => {
    let most = 0;
    const watch = setInterval(() => (most = Math.max(most, process.memoryUsage().rss)), 20);
    const before = process.memoryUsage().rss;
    const result = (await shell("head -c 1000000000 /dev/zero; echo end >&2").run({}, context())) as { text: string; cutBytes: number };
    clearInterval(watch);
    expect(result.text).toHaveLength(MOST_BYTES);
    expect(result.cutBytes).toBe(1_000_000_000 - MOST_BYTES);
    expect(most - before).toBeLessThan(200 * 1024 * 1024);
  }, 240_000);

  it("leaves nothing running when it has exited, and does not wait for what holds its stdout", async () => {
    const { text } = (await shell("sleep 1000 & echo $!").run({}, context())) as { text: string };
    expect(isAlive(Number(text))).toBe(false);
  });
});

describe("a program as a tool fails", () => {
  it("with the code it exits with and the end of its stderr, without secrets", async () => {
    registerSecret("a-known-secret-value");
    const tool = scripted(`console.error("begin" + ".".repeat(100000) + " a-known-secret-value the end"); process.exitCode = 7`);
    const error = await failureOf(tool.run({}, context()));
    expect(error).toMatchObject({ name: "ToolFailure", kind: "tool_failed" });
    expect(error.message).toMatch(/^The program exited with code 7: ….*\*{8} the end$/);
    expect(error.message.length).toBeLessThan(2100);
  });

  it("with the signal that has ended it", async () => {
    expect((await failureOf(shell("kill -s SEGV $$").run({}, context()))).message).toMatch(/^The program was ended by SIGSEGV/);
  });

  it.each([
    ["is not found", { command: ["/opt/secret-place/no-such-program"] }, 'The program "no-such-program" was not found'],
    ["has nowhere to work", { cwd: "/no/such/folder" }, 'The working directory of the program "sh" does not exist'],
    ["is too much to ask", { command: ["/bin/sh", "x".repeat(10_000_000)] }, 'The program "sh" cannot be given that much: its arguments are too long'],
  ])("as unavailable when it %s", async (_, change, message) => {
    expect(await failureOf(shell("", change).run({}, context()))).toMatchObject({ name: "ToolFailure", kind: "unavailable", message });
  });

  it("as unavailable when it may not be run", async () => {
    const file = join(temporaryFolder(), "data");
    writeFileSync(file, "");
    chmodSync(file, 0o644);
    const error = await failureOf(shell("", { command: [file] }).run({}, context()));
    expect(error).toMatchObject({ kind: "unavailable", message: 'The program "data" may not be run' });
  });

  it("as unavailable when the sidecar is shutting down", async () => {
    const custody = testCustody();
    await custody.close();
    expect(await failureOf(shell("true", {}, custody).run({}, context()))).toMatchObject({ kind: "unavailable" });
  });
});

describe("a call of a program that is cancelled", () => {
  it("ends its whole tree, however it resists", async () => {
    const custody = testCustody();
    const abort = new AbortController();
    const tool = shell("trap '' TERM; setsid sh -c 'trap \"\" TERM; while :; do sleep 0.05; done' & while :; do sleep 0.05; done", {}, custody);
    const failure = failureOf(tool.run({}, context({ signal: abort.signal })));
    const child = await until(async () => (await custody.children()).find(({ kind, descendants }) => kind === "tool" && descendants >= 2), "the tree");
    expect(child).toMatchObject({ name: "my_tool", callId: "call_1" });
    abort.abort();
    expect(await failure).toMatchObject({ name: "ToolFailure", kind: "cancelled" });
    expect((await custody.children()).map(({ kind }) => kind)).toEqual(["custodian"]);
    expect(isAlive(child.pid)).toBe(false);
  });

  it("starts nothing when it was cancelled before its turn has come", async () => {
    const custody = testCustody();
    const file = join(temporaryFolder(), "effect");
    const abort = new AbortController();
    const first = shell("true", {}, custody).run({}, context());
    const second = shell(`touch '${file}'`, {}, custody).run({}, context({ signal: abort.signal }));
    abort.abort(new Error("called off"));
    await expect(second).rejects.toThrow("called off");
    await first;
    await shell("true", {}, custody).run({}, context());
    expect(existsSync(file)).toBe(false);
  });

  it("starts nothing when it was cancelled before", async () => {
    const custody = testCustody();
    await expect(shell("true", {}, custody).run({}, context({ signal: AbortSignal.abort() }))).rejects.toThrow("abort");
    expect(await custody.children()).toEqual([]);
  });
});

describe("five hundred calls in a row", () => {
  it("leave no zombie and no descriptor", async () => {
    const custody = testCustody();
    const tool = shell("sleep 0.01 & cat", {}, custody);
    await tool.run({}, context());
    const before = openDescriptors();
    for (let call = 0; call < 500; call++) expect(await tool.run({ call }, context())).toEqual({ call });
    await until(() => openDescriptors() <= before, "the descriptors to be closed");
    await until(() => zombieChildren().length === 0, "no zombie");
    expect(await custody.children()).toHaveLength(1);
  }, 600_000);
});

async function failureOf(promise: Promise<unknown>): Promise<Error> {
  return promise.then(
    (value) => expect.unreachable(`it returned ${JSON.stringify(value).slice(0, 200)}`),
    (error: unknown) => error as Error,
  );
}
