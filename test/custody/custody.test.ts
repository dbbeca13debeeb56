import { chmodSync, existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import type { Custody, Program } from "../../src/custody/custody.ts";
import { procProcesses } from "../../src/custody/proc.ts";
import type { Processes } from "../../src/custody/processes.ts";
import { softLimitIn } from "../../src/custody/watermark.ts";
import { temporaryFolder } from "../support/sidecar.ts";
import { childrenOf, FUGITIVE, hasWatermarks, isAlive, lines, node, openDescriptors, output, shell, testCustody, until, zombieChildren } from "./support.ts";

/** With and without prlimit on the machine. */
const variants = [
  ["with watermarks", {}],
  ["without watermarks", { prlimit: "/nowhere/prlimit" }],
] as const;

describe("a program in custody", () => {
  it("runs with what it was given on its streams, and tells how it has exited", async () => {
    const ward = await testCustody().start(shell("read line; echo got $line; exit 3"));
    ward.stdin.end("something\n");
    expect(await output(ward)).toBe("got something\n");
    expect(await ward.exited).toEqual({ code: 3, signal: null });
  });

  it("sees the environment it was given and the two marks, and nothing of ours", async () => {
    process.env["STEERABLE_TEST_SECRET"] = "sk-secret-secret";
    onTestFinished(() => void delete process.env["STEERABLE_TEST_SECRET"]);
    const ward = await testCustody().start(node("console.log(JSON.stringify(process.env))", { env: { ONLY: "this" } }));
    const env = JSON.parse(await output(ward)) as Record<string, string>;
    expect(Object.keys(env).toSorted()).toEqual(["ONLY", "STEERABLE_CUSTODY", "STEERABLE_WARD"]);
  });

  it("leads a session of its own", async () => {
    const ward = await testCustody().start(shell("cut -d' ' -f1,5,6 /proc/$$/stat"));
    const [pid, group, session] = (await output(ward)).trim().split(" ").map(Number);
    expect([group, session]).toEqual([pid, pid]);
  });

  it("may close its stdin while we write to it", async () => {
    const ward = await testCustody().start(shell("exec <&-; echo closed; sleep 0.1"));
    await lines(ward, 1);
    ward.stdin.end("x".repeat(1_000_000));
    expect((await ward.exited).code).toBe(0);
  });

  it.each<[string, () => Partial<Program>, string]>([
    ["a program that does not exist", () => ({ command: "no-such-program" }), "ENOENT"],
    ["a file that may not be run", () => ({ command: unusable() }), "EACCES"],
    ["a working directory that does not exist", () => ({ cwd: "/no/such/folder" }), "ENOENT"],
    ["arguments that are too long", () => ({ args: ["x".repeat(10_000_000)] }), "E2BIG"],
    ["a NUL character", () => ({ args: ["\0"] }), "ERR_INVALID_ARG_VALUE"],
  ])("cannot be started from %s, and leaves no descriptor behind", async (_, change, code) => {
    const custody = testCustody();
    await (await custody.start(shell("true"))).end();
    const before = openDescriptors();
    await expect(custody.start({ ...shell("true"), ...change() })).rejects.toMatchObject({ code });
    await until(() => openDescriptors() <= before, "the descriptors to be closed");
    expect((await custody.children()).map(({ kind }) => kind)).toEqual(["custodian"]);
  });
});

describe.each(variants)("ending a program, %s,", (_, options) => {
  it("asks it to end first", async () => {
    const ward = await testCustody(options).start(shell("trap 'echo bye; exit 7' TERM; echo ready; while :; do sleep 0.05; done"));
    const said = lines(ward, 2);
    await lines(ward, 1);
    await ward.end(5000);
    expect(await ward.exited).toEqual({ code: 7, signal: null });
    expect(await said).toEqual(["ready", "bye"]);
  });

  it("kills it when it does not listen", async () => {
    const ward = await testCustody(options).start(shell("trap '' TERM; echo ready; while :; do sleep 0.05; done"));
    await lines(ward, 1);
    await ward.end(100);
    expect(await ward.exited).toEqual({ code: null, signal: "SIGKILL" });
  });

  it("kills it at once when a later call has no patience", async () => {
    const processes = procProcesses();
    let looks = 0;
    const read: Processes["read"] = (marks) => {
      looks++;
      return processes.read(marks);
    };
    const ward = await testCustody({ ...options, processes: { ...processes, read } }).start(shell("trap '' TERM; echo ready; while :; do sleep 0.05; done"));
    await lines(ward, 1);
    const kill = process.kill.bind(process);
    let looksBefore: number | undefined;
    const spy = vi.spyOn(process, "kill").mockImplementation((pid, signal) => {
      if (signal === "SIGKILL") looksBefore ??= looks;
      return kill(pid, signal);
    });
    onTestFinished(() => spy.mockRestore());
    looks = 0;
    await Promise.all([ward.end(60_000), ward.end(0)]);
    expect((await ward.exited).signal).toBe("SIGKILL");
    // As long as there is patience it is looked at again and again: more than twenty times until nobody has any.
    expect(looksBefore).toBeLessThan(5);
  });

  it("kills it, however late it is when it is found running", async () => {
    const processes = procProcesses();
    let isLate = false;
    // Later than the whole end of a program may take, as on a machine that was busy or asleep.
    const read: Processes["read"] = async (marks) => {
      if (isLate) await delay(2100);
      isLate = false;
      return await processes.read(marks);
    };
    const ward = await testCustody({ ...options, processes: { ...processes, read } }).start(shell("trap '' TERM; echo ready; while :; do sleep 0.05; done"));
    await lines(ward, 1);
    isLate = true;
    await ward.end(50);
    await until(() => !isAlive(ward.pid), "its end");
  });

  it("ends one that was stopped", async () => {
    const ward = await testCustody(options).start(shell("echo ready; kill -s STOP $$"));
    await lines(ward, 1);
    await ward.end(50);
    expect((await ward.exited).signal).toBe("SIGKILL");
  });

  it("ends its children in the background, and those in sessions of their own that have lost their parent", async () => {
    const custody = testCustody(options);
    // The one in the middle has ended, so the last belongs to nobody by parents, group or session.
    const ward = await custody.start(
      node(`
        const { spawn, spawnSync } = require("child_process");
        console.log(spawn("sleep", ["1000"], { stdio: "ignore" }).pid);
        spawnSync("sh", ["-c", "sleep 1000 >/dev/null 2>&1 & echo $!"], { detached: true, stdio: ["ignore", "inherit", "ignore"] });
        setInterval(() => {}, 1000);
      `),
    );
    const pids = (await lines(ward, 2)).map(Number);
    expect(pids.map(isAlive)).toEqual([true, true]);
    // The one in the middle prints before it ends.
    await until(async () => (await custody.children())[0]?.descendants === 2, "two descendants");
    await ward.end();
    expect([ward.pid, ...pids].map(isAlive)).toEqual([false, false, false]);
  });

  it("ends what the program left running when it exited first", async () => {
    const ward = await testCustody(options).start(shell("trap '' TERM; (while :; do sleep 0.05; done) & echo $!; exit 0"));
    const [pid] = (await lines(ward, 1)).map(Number);
    await ward.exited;
    expect(isAlive(pid!)).toBe(true);
    await ward.end(50);
    expect(isAlive(pid!)).toBe(false);
    expect(ward.stdout.destroyed).toBe(true);
  });

  it("is done by the custody itself when the program has exited and nobody does it", async () => {
    const custody = testCustody(options);
    const ward = await custody.start(shell("sleep 1000 & echo $!"));
    const [pid] = (await lines(ward, 1)).map(Number);
    await until(() => !isAlive(pid!), "the end of what was left");
    await until(async () => (await custody.children()).length === 1, "the list to hold the custodian only");
  });

  it("leaves the tree of another alone", async () => {
    const custody = testCustody(options);
    const [one, other] = await Promise.all([custody.start(shell("sleep 1000 & echo $!; wait")), custody.start(shell("sleep 1000 & echo $!; wait"))]);
    const [ours, theirs] = await Promise.all([lines(one, 1), lines(other, 1)]);
    await one.end();
    expect([Number(ours[0]), Number(theirs[0]), other.pid].map(isAlive)).toEqual([false, true, true]);
  });
});

describe("processes that hide", () => {
  it.skipIf(!hasWatermarks)("are found by their watermark though they have lost environment, session, parents and pipes", async () => {
    const custody = testCustody();
    const [other, ward] = await Promise.all([custody.start(node(`${FUGITIVE}; setInterval(() => {}, 1000)`)), custody.start(node(FUGITIVE))]);
    const [[theirs = 0], [pid = 0]] = await Promise.all([lines(other, 1), lines(ward, 1)]).then(
      (all) => all.map((each) => each.map(Number)) as [number[], number[]],
    );
    await ward.exited;
    await ward.end(50);
    expect([pid, theirs].map(isAlive)).toEqual([false, true]);
    await other.end(50);
    expect(isAlive(theirs)).toBe(false);
  });

  it.skipIf(!hasWatermarks)("are found by their environment though they have put another limit in place of the watermark", async () => {
    const ward = await testCustody().start(shell("prlimit --rttime=unlimited setsid -w sh -c 'sleep 1000 >/dev/null 2>&1 & echo $!'"));
    const [pid = 0] = (await lines(ward, 1)).map(Number);
    await ward.exited;
    expect(isAlive(pid)).toBe(true);
    await ward.end();
    expect(isAlive(pid)).toBe(false);
  });

  it("are found without watermarks when their parents were there for a while", async () => {
    const processes = procProcesses();
    const seen = new Set<number>();
    const read: Processes["read"] = async (marks) => {
      const table = await processes.read(marks);
      for (const each of table.keys()) seen.add(each);
      return table;
    };
    const ward = await testCustody({ prlimit: "/nowhere/prlimit", processes: { ...processes, read } }).start(
      node(`
        const child = require("child_process").spawn("/bin/sleep", ["1000"], { detached: true, stdio: "ignore", env: {} });
        console.log(child.pid);
        process.stdin.once("data", () => process.exit());
      `),
    );
    const [pid] = (await lines(ward, 1)).map(Number);
    // The custody looks from time to time, unasked.
    await until(() => seen.has(pid!), "a look");
    ward.stdin.write("go\n");
    await ward.exited;
    await ward.end();
    expect(isAlive(pid!)).toBe(false);
  });

  it.skipIf(!hasWatermarks)("cannot multiply faster than they are ended", async () => {
    const ward = await testCustody().start(
      shell("f() { while :; do sleep 0.02 & sleep 0.01; done; }; f & f & setsid sh -c 'while :; do sleep 0.01; done' & echo ready; wait"),
    );
    await lines(ward, 1);
    const watermark = limitOf(ward.pid);
    expect((await carriers(watermark)).length).toBeGreaterThan(2);
    await ward.end(100);
    expect(await carriers(watermark)).toEqual([]);
  });
});

describe("a start that is called off", () => {
  it("does not happen when its turn has not come", async () => {
    const custody = testCustody();
    const file = join(temporaryFolder(), "effect");
    const caller = new AbortController();
    const first = custody.start(shell("true"));
    const second = custody.start(shell(`touch '${file}'`), caller.signal);
    caller.abort(new Error("called off"));
    await expect(second).rejects.toThrow("called off");
    await (await first).end();
    await (await custody.start(shell("true"))).end();
    expect(existsSync(file)).toBe(false);
  });
});

describe("the list of children", () => {
  it("names every child with what it runs for, its descendants and its memory, and the custodian", async () => {
    const custody = testCustody();
    expect(await custody.children()).toEqual([]);
    const ward = await custody.start(shell("sleep 1000 & sleep 1000 & echo ready; wait", { name: "my_tool", callId: "call_1", sessionId: "s_1", kind: "mcp" }));
    await lines(ward, 1);
    const children = await custody.children();
    expect(children).toEqual([
      {
        pid: ward.pid,
        kind: "mcp",
        name: "my_tool",
        callId: "call_1",
        sessionId: "s_1",
        startedAt: expect.stringMatching(/^\d{4}-.*Z$/),
        descendants: 2,
        memoryBytes: expect.any(Number),
      },
      { pid: expect.any(Number), kind: "custodian", startedAt: expect.any(String), descendants: 0, memoryBytes: expect.any(Number) },
    ]);
    for (const child of children) expect(child.memoryBytes).toBeGreaterThan(100_000);
    await ward.end();
    expect((await custody.children()).map(({ kind }) => kind)).toEqual(["custodian"]);
  });
});

describe("closing the custody", () => {
  it("ends everything, the custodian included, and starts nothing any more", async () => {
    const custody = testCustody();
    const wards = await Promise.all([1, 2, 3].map(() => custody.start(shell("trap '' TERM; sleep 1000 & echo $!; wait; sleep 1000"))));
    const pids = (await Promise.all(wards.map((ward) => lines(ward, 1)))).flat().map(Number);
    const listed = (await custody.children()).map(({ pid }) => pid);
    const late = custody.start(shell("sleep 1000"));
    const closed = custody.close();
    await expect(late).rejects.toThrow("shutting down");
    await closed;
    expect([...wards.map(({ pid }) => pid), ...pids].filter(isAlive)).toEqual([]);
    await expect(custody.start(shell("true"))).rejects.toThrow("shutting down");
    // A custodian that is slow to go is killed, and not waited for.
    await until(() => childrenOf(process.pid).every((pid) => !listed.includes(pid)), "the end of the custodian");
    expect(await custody.children()).toEqual([]);
  });

  it("can be done within one call, which leaves the rest to the custodian", async () => {
    const custody = testCustody();
    const ward = await custody.start(node(`${FUGITIVE}; setInterval(() => {}, 1000)`));
    const [hidden] = (await lines(ward, 1)).map(Number);
    const custodian = (await custody.children()).find(({ kind }) => kind === "custodian")!.pid;
    custody.closeNow();
    await expect(custody.start(shell("true"))).rejects.toThrow("shutting down");
    await until(() => ![ward.pid, hidden!, custodian].some(isAlive), "the end of all");
  });
});

describe("many programs", () => {
  it("leave no zombie, no descriptor and nothing in the list after 500", async () => {
    const custody = testCustody();
    await runOnce(custody);
    const before = openDescriptors();
    for (let round = 0; round < 50; round++) await Promise.all(Array.from({ length: 10 }, () => runOnce(custody)));
    await until(() => openDescriptors() <= before, "the descriptors to be closed");
    await until(() => zombieChildren().length === 0, "no zombie");
    expect(await custody.children()).toHaveLength(1);
  }, 300_000);
});

async function runOnce(custody: Custody): Promise<void> {
  const ward = await custody.start(shell("echo hello"));
  expect(await output(ward)).toBe("hello\n");
  await ward.end();
}

function unusable(): string {
  const file = join(temporaryFolder(), "program");
  writeFileSync(file, "#!/bin/sh\n");
  chmodSync(file, 0o644);
  return file;
}

/** The watermark of a process. */
function limitOf(pid: number): string {
  return softLimitIn(readFileSync(`/proc/${pid}/limits`, "utf8")) ?? "";
}

/** The processes that carry it. */
async function carriers(watermark: string): Promise<number[]> {
  const table = await procProcesses().read({ since: 0, variable: "-", watermark });
  return [...table.values()].filter((entry) => entry.mark === watermark && entry.isAlive).map(({ pid }) => pid);
}
