import { describe, expect, it } from "vitest";
import { bench, fake, isAlive, startRecord, until } from "./support.ts";

const echo = "mcp__a__echo";
const secret = "sk-mcp-canary-0123456789abcdef";

describe("starting", () => {
  it("waits for the first use, and then happens once for all", async () => {
    const { record, pids } = startRecord();
    const { sources, names, call } = bench({ a: fake({ record }) });
    expect(pids()).toEqual([]);
    const [first, found] = await Promise.all([names(), sources.find(echo), call(echo, { n: 1 }), call(echo, { n: 2 })]);
    expect(first).toContain(found?.name);
    expect(pids()).toHaveLength(1);
  });

  it("of one server is not waited for by calls of another", async () => {
    const [one, two] = [startRecord(), startRecord()];
    const { call } = bench({ a: fake({ record: one.record }), b: fake({ record: two.record, silent: true }) });
    expect(await call(echo)).toEqual({ text: "{}" });
    expect([one.pids().length, two.pids().length]).toEqual([1, 0]);
  });

  it("gives a server a few variables and its own, and no key of ours", async () => {
    const env = { ...process.env, OPENAI_API_KEY: secret, FOO: "not for servers", LANG: "C.UTF-8" };
    const { call } = bench({ a: fake({}, { env: { TOKEN: "its own" } }) }, { env });
    const seen = JSON.parse((await call("mcp__a__env")).text ?? "") as Record<string, string>;
    expect(seen).toMatchObject({ PATH: process.env["PATH"], LANG: "C.UTF-8", TOKEN: "its own" });
    expect(seen).not.toHaveProperty("FOO");
    expect(JSON.stringify(seen)).not.toContain(secret);
  });

  it("does not wait longer than startTimeoutMs for a server that answers nothing, and ends it", async () => {
    const { record, pids } = startRecord();
    // A shell, which is there much sooner than the deadline.
    const silent = { command: "/bin/sh", args: ["-c", `echo $$ >>'${record}'; exec sleep 1000`], startTimeoutMs: 2000 };
    const { names, failure, log } = bench({ a: silent, b: fake() });
    const listed = await names();
    expect(listed).toContain("mcp__b__echo");
    expect(listed.filter((name) => name.startsWith("mcp__a__"))).toEqual([]);
    await until(() => pids().every((pid) => !isAlive(pid)), "the silent server to be ended");
    expect(pids()).toHaveLength(1);
    await until(() => log.some((record) => record["server"] === "a"), "the log");
    expect(log).toContainEqual(expect.objectContaining({ level: "WARNING", server: "a", reason: "it was not ready within 2000 ms" }));
    await expect(failure("mcp__a__echo")).rejects.toThrow("no tool");
  });

  it("is neither started nor waited for by a pattern that cannot name its tools", async () => {
    const [meant, other] = [startRecord(), startRecord()];
    const { sources } = bench({ a: fake({ record: meant.record }), ab: fake({ record: other.record, silent: true }, { startTimeoutMs: 60_000 }) });
    for (const pattern of [echo, "mcp__a__*", "mcp__a_*"]) expect((await sources.tools([pattern])).map(({ name }) => name)).toContain(echo);
    expect(meant.pids()).toHaveLength(1);
    expect(other.pids()).toEqual([]);
    expect(sources.known).toBe((await sources.tools([echo])).length);
    expect([sources.patienceMs([echo]), sources.patienceMs(["mcp__*"]), sources.patienceMs(["mcp__b__*"])]).toEqual([30_000, 60_000, undefined]);
  });

  it("does not wait again for a server whose last start has failed, and tells when it is there after all", async () => {
    const { record, pids } = startRecord();
    const made = bench({ a: fake({ record, failedStarts: 1 }), b: fake() });
    await made.names();
    made.ahead += 1001;
    const listed = await made.names();
    expect(listed).toContain("mcp__b__echo");
    expect(listed).not.toContain(echo);
    await until(() => made.changes() === 1, "the change");
    expect(await made.names()).toContain(echo);
    expect(pids()).toHaveLength(2);
  });

  it.each([
    ["a program that is not there", { command: "/nowhere/at/all/mcp-server" }, 'the program "mcp-server" was not found, or its cwd is not there'],
    ["a file that is no program", { command: "/etc/passwd" }, 'the program "passwd" may not be run'],
    ["a program that exits at once", fake({ exitAtStart: 4, stderr: `no key ${secret}` }), "it exited with code 4"],
  ])("says why it failed: %s", async (_, server, reason) => {
    const { names, log } = bench({ a: server });
    expect(await names()).toEqual([]);
    await until(() => log.length > 0, "the log");
    expect(log).toEqual([expect.objectContaining({ level: "WARNING", server: "a", reason })]);
    expect(JSON.stringify(log)).not.toContain(secret);
  });
});

describe("a server that keeps failing", () => {
  it("is tried again, but no more once it was restarted five times in five minutes", async () => {
    const { record, pids } = startRecord();
    const made = bench({ a: fake({ record, exitAtStart: "count" }) });
    const reasons = () => made.log.map(({ reason }) => reason);
    const reason = async (expected: string) => {
      await until(async () => {
        expect(await made.names()).toEqual([]);
        return reasons().at(-1) === expected;
      }, expected);
    };
    const exits = [1, 2, 3, 4, 5, 6, 7].map((start) => `it exited with code ${start}`);
    for (const [index, exit] of exits.slice(0, 6).entries()) {
      await reason(exit);
      // No more than the pause that it makes, however long all this takes: five minutes must not go by.
      made.ahead += 1000 * 2 ** index;
    }
    const refusal = `it was restarted 5 times within 5 minutes; ${exits[5]}`;
    await reason(refusal);
    expect(pids()).toHaveLength(6);
    made.ahead += 5 * 60_000;
    await reason(exits[6] as string);
    // Once for each reason, not for each turn.
    expect(reasons()).toEqual([...exits.slice(0, 6), refusal, exits[6]]);
  }, 60_000);
});

describe("a server that dies", () => {
  it("fails the call that it was at, and serves the next one started anew", async () => {
    const { record, pids } = startRecord();
    const { call, failure, log } = bench({ a: fake({ record }) });
    const other = failure("mcp__a__hang");
    await call(echo);
    expect(await failure("mcp__a__die")).toMatchObject({ kind: "unavailable", message: 'MCP server "a": it exited with code 7' });
    expect(await other).toMatchObject({ kind: "unavailable" });
    expect(await call(echo, { n: 2 })).toEqual({ text: '{"n":2}' });
    expect(pids()).toHaveLength(2);
    await until(() => log.length >= 3, "the log");
    expect(log.map(({ msg }) => msg)).toEqual(["MCP server is ready", "MCP server cannot be used", "MCP server is ready"]);
  });

  it("has its last answer counted", async () => {
    const { call } = bench({ a: fake() });
    expect(await call("mcp__a__dieAfterAnswer")).toEqual({ text: "last words" });
  });

  it("is restarted five times in five minutes and then not until they have passed", async () => {
    const { record, pids } = startRecord();
    const made = bench({ a: fake({ record }) });
    const tool = await made.sources.find("mcp__a__die");
    const run = () => tool?.run({}, { signal: new AbortController().signal, callId: "c", timeoutMs: 20_000 });
    for (let count = 0; count < 6; count++) await expect(run()).rejects.toMatchObject({ kind: "unavailable", message: /exited with code 7/ });
    await expect(run()).rejects.toMatchObject({ kind: "unavailable", message: /restarted 5 times within 5 minutes/ });
    expect(pids()).toHaveLength(6);
    expect(await made.names()).toEqual([]);
    // Asked for by its name it is still there, to say why it cannot be used.
    expect(await made.failure(echo)).toMatchObject({ kind: "unavailable" });
    expect(made.changes()).toBe(1);
    made.ahead += 5 * 60_000;
    expect(await made.names()).toContain(echo);
    expect(pids()).toHaveLength(7);
  }, 60_000);

  it("that has died between two turns is started anew by the next, without a word about changed tools", async () => {
    const { record, pids } = startRecord();
    const made = bench({ a: fake({ record }) });
    const before = await made.names();
    process.kill(pids()[0] as number, "SIGKILL");
    await until(() => made.log.some(({ reason }) => reason === "it was ended by SIGKILL"), "the death to be noticed");
    expect(await made.names()).toEqual(before);
    expect(pids()).toHaveLength(2);
    expect(made.changes()).toBe(0);
  });
});

describe("close", () => {
  it("ends all servers, those that are starting and those that ignore it included", async () => {
    const [one, two, three] = [startRecord(), startRecord(), startRecord()];
    const made = bench({ a: fake({ record: one.record }), b: fake({ record: two.record, silent: true }), c: fake({ record: three.record, deaf: true }) });
    const all = made.names();
    await made.call(echo);
    await until(() => [one, two, three].every(({ pids }) => pids().length === 1), "all to be started");
    const pids = [one, two, three].flatMap((each) => each.pids());
    const start = performance.now();
    await made.sources.close();
    // A second is what it may take; the one that is starting would take thirty.
    expect(performance.now() - start).toBeLessThan(10_000);
    await until(() => pids.every((pid) => !isAlive(pid)), "the servers to be gone");
    await all;
  });

  it("starts nothing afterwards, and fails calls", async () => {
    const { record, pids } = startRecord();
    const { sources, names } = bench({ a: fake({ record }) });
    const tool = await sources.find(echo);
    await sources.close();
    expect(await names()).toEqual([]);
    await expect(tool?.run({}, { signal: new AbortController().signal, callId: "c", timeoutMs: 5000 })).rejects.toMatchObject({ kind: "unavailable" });
    expect(pids()).toHaveLength(1);
  });

  it("of the custody, which a shutdown begins with, is nothing that the log complains about, and fails calls", async () => {
    const { log, call, failure, closeCustody } = bench({ a: fake(), b: fake({ slowMs: 60_000 }) });
    await call(echo);
    const hanging = failure("mcp__a__hang");
    const starting = call("mcp__b__echo").catch(() => "failed");
    await closeCustody();
    expect((await hanging).kind).toBe("unavailable");
    expect(await starting).toBe("failed");
    expect(log.filter(({ level }) => level === "WARNING")).toEqual([]);
  });
});
