import { type ChildProcessByStdio, spawn, spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Readable, Writable } from "node:stream";
import { describe, expect, it, onTestFinished } from "vitest";
import { folderWithCustody } from "./bundle.ts";
import { hasWatermarks, isAlive, lines, shell, testCustody, until } from "./support.ts";

/** Sees no process, like a machine without /proc. */
const blind = { read: async () => new Map(), startOf: () => undefined, memoryOf: async () => undefined };

describe("where no processes can be seen", () => {
  it("a program that is over does not keep anybody waiting", async () => {
    let looks = 0;
    const read = async () => {
      looks++;
      return await blind.read();
    };
    const custody = testCustody({ processes: { ...blind, read } });
    const ward = await custody.start(shell("true"));
    await ward.exited;
    looks = 0;
    await ward.end();
    // Were there nothing to tell that it is over, it would be looked for again and again for two seconds.
    expect(looks).toBeLessThan(10);
  });

  it("the group of a program is ended, before and after the program itself", async () => {
    const custody = testCustody({ processes: blind });
    const stubborn = await custody.start(shell("trap '' TERM; sleep 1000 & echo $!; wait; sleep 1000"));
    const leaver = await custody.start(shell("trap '' TERM; sleep 1000 & echo $!"));
    const children = (await Promise.all([stubborn, leaver].map((ward) => lines(ward, 1)))).flat().map(Number);
    await leaver.exited;
    await Promise.all([stubborn.end(50), leaver.end(50)]);
    await until(() => ![stubborn.pid, ...children].some(isAlive), "the end of all");
  });

  it("the custodian is left to see to the rest", async () => {
    const custody = testCustody({ processes: blind });
    const ward = await custody.start(shell("setsid sh -c 'echo $$; exec sleep 1000' & read line"));
    const [hidden = 0] = (await lines(ward, 1)).map(Number);
    // It is in a session of its own now.
    ward.stdin.end("go\n");
    await ward.exited;
    await ward.end(50);
    expect(isAlive(hidden)).toBe(true);
    const [custodian] = await custody.children();
    await custody.close();
    await until(() => ![hidden, custodian?.pid ?? 0].some(isAlive), "the end of both");
  });
});

const inNamespace = ["unshare", "-pf", "--kill-child"];
const withoutProc = ["unshare", "-m", "sh", "-c", 'mount -t tmpfs none /proc; exec "$@"', "sh"];

/** Programs of our own under a command that puts them elsewhere: the script is given `createCustody`, and prints lines. */
async function elsewhere(wrapper: readonly string[], script: string): Promise<{ child: ChildProcessByStdio<Writable, Readable, null>; said: string[] }> {
  const [command = "", ...args] = [...wrapper, process.execPath, "-e", `const { createCustody } = require("./custody.cjs"); ${script}`];
  const child = spawn(command, args, { cwd: await folderWithCustody(), stdio: ["pipe", "pipe", "inherit"] });
  onTestFinished(() => void child.kill("SIGKILL"));
  const said: string[] = [];
  child.stdout.setEncoding("utf8").on("data", (text: string) => said.push(...text.split("\n").filter(Boolean)));
  return { child, said };
}

function isPermitted(wrapper: readonly string[]): boolean {
  const [command = "", ...args] = [...wrapper, "true"];
  return process.platform === "linux" && spawnSync(command, args, { stdio: "ignore" }).status === 0;
}

const program = (script: string) =>
  `{ command: "/bin/sh", args: ["-c", ${JSON.stringify(script)}], env: { PATH: process.env.PATH }, kind: "tool", name: "test" }`;

describe("a namespace of pids whose /proc is that of another one", () => {
  it.skipIf(!isPermitted(inNamespace))("has no strangers listed or ended in place of ours", async () => {
    // In there, numbers are so low that out here they are those of others.
    const { said } = await elsewhere(
      [...inNamespace, "sh", "-c", '"$@"; exit', "sh"],
      `
        const bystander = require("child_process").spawn("sleep", ["1000"], { detached: true });
        const complaints = [];
        const custody = createCustody({ log: { warn: (_, message) => complaints.push(message) } });
        custody.start(${program("sleep 1000 & echo ready")}).then(async (ward) => {
          await ward.exited;
          await ward.end(50);
          let left = true;
          try { process.kill(-ward.pid, 0); } catch { left = false; }
          const second = await custody.start(${program("sleep 1000")});
          const { descendants, memoryBytes } = (await custody.children())[0];
          await second.end();
          console.log(JSON.stringify({ complaints, left, descendants, memoryBytes, bystander: bystander.signalCode }));
          bystander.kill("SIGKILL");
          await custody.close();
        });
      `,
    );
    const [line = ""] = await until(() => (said.length > 0 ? said : undefined), "the report");
    expect(JSON.parse(line)).toEqual({ complaints: [], left: false, descendants: 0, bystander: null });
  });
});

describe("a machine without /proc", () => {
  it.skipIf(!isPermitted(withoutProc))("has the groups of programs ended when the sidecar is killed", async () => {
    const { child, said } = await elsewhere(
      withoutProc,
      `createCustody().start(${program("trap '' TERM; sleep 1000 & echo $! $$; wait; sleep 1000")}).then((ward) => ward.stdout.pipe(process.stdout))`,
    );
    const [line = ""] = await until(() => (said.length > 0 ? said : undefined), "the pids");
    const pids = line.split(" ").map(Number);
    expect(pids.filter(isAlive)).toEqual(pids);
    process.kill(child.pid ?? 0, "SIGKILL");
    await until(() => !pids.some(isAlive), "the end of all");
  });
});

describe("too few descriptors", () => {
  const limited = ["prlimit", "--nofile=64:64"];

  it.skipIf(!isPermitted(limited))(
    "make starts fail, and none of them is lost for good",
    async () => {
      const { said } = await elsewhere(
        limited,
        `
        const { readdirSync } = require("fs");
        const custody = createCustody();
        const round = async () => {
          const started = await Promise.all(Array.from({ length: 40 }, () => custody.start(${program("read line")}).catch((error) => error.code)));
          return await Promise.all(started.map(async (ward) => {
            if (typeof ward === "string") return ward;
            // Not before: so many at the same time are too many.
            ward.stdin.end();
            await ward.exited;
            await ward.end();
            return "ran";
          }));
        };
        const left = () => readdirSync("/proc/self/fd").length;
        (async () => {
          await (await custody.start(${program("true")})).end();
          await new Promise((resolve) => setTimeout(resolve, 100));
          const before = left();
          const outcomes = new Set();
          for (let count = 0; count < 5; count++) for (const outcome of await round()) outcomes.add(outcome);
          for (let count = 0; count < 1000 && left() > before; count++) await new Promise((resolve) => setTimeout(resolve, 20));
          console.log(JSON.stringify({ outcomes: [...outcomes].sort(), lost: Math.max(0, left() - before) }));
          await custody.close();
        })();
      `,
      );
      const [line = ""] = await until(() => (said.length > 0 ? said : undefined), "the report", 60_000);
      expect(JSON.parse(line)).toEqual({ outcomes: ["EMFILE", "ran"], lost: 0 });
    },
    90_000,
  );
});

describe("the watermark", () => {
  it.skipIf(!hasWatermarks)("costs a run of prlimit only when another program has the latest one", async () => {
    const folder = await folderWithCustody();
    const runs = join(folder, "runs");
    const counting = join(folder, "prlimit");
    writeFileSync(counting, `#!/bin/sh\necho x >>${runs}\nexec prlimit "$@"\n`, { mode: 0o755 });
    const count = () => readFileSync(runs, "utf8").length / 2;
    const custody = testCustody({ prlimit: counting });
    for (let time = 0; time < 3; time++) await (await custody.start(shell("true"))).end();
    expect(count()).toBe(1);
    await expect(custody.start(shell("", { command: "no-such-program" }))).rejects.toThrow("ENOENT");
    const first = await custody.start(shell("sleep 1000"));
    expect(count()).toBe(1);
    await custody.start(shell("sleep 1000"));
    expect(count()).toBe(2);
    await first.end();
  });
});
