import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { constants } from "node:os";
import { createInterface } from "node:readline";
import { describe, expect, it, onTestFinished } from "vitest";
import { folderWithCustody } from "./bundle.ts";
import { FUGITIVE, hasWatermarks, isAlive, node, shell, until } from "./support.ts";

/** Signals that a terminal sends, or whoever ends a session. */
const SIGNALS = ["SIGHUP", "SIGINT", "SIGQUIT", "SIGTERM"] as const;

/** Whether the process ignores all of them. */
function ignoresSignals(pid: number): boolean {
  const mask = /^SigIgn:\s*([0-9a-f]+)$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? "0";
  return SIGNALS.every((signal) => (BigInt(`0x${mask}`) >> BigInt(constants.signals[signal] - 1)) & 1n);
}

interface Listed {
  pid: number;
  kind: string;
}

/** Starts a process that keeps programs in custody, each of which prints the pid that matters. It exits when its stdin ends. */
async function keeper(programs: unknown[], options: object) {
  const script = `
    const custody = require("./custody.cjs").createCustody(${JSON.stringify(options)});
    const said = [];
    for (const program of ${JSON.stringify(programs)}) custody.start(program).then((ward) => ward.stdout.once("data", (data) => said.push(Number(data))));
    process.stdin.on("data", async () => console.log(JSON.stringify({ said, children: await custody.children() })));
    process.stdin.on("end", () => process.stdin.destroy());
  `;
  const child = spawn(process.execPath, ["-e", script], { cwd: await folderWithCustody(), stdio: ["pipe", "pipe", "inherit"], detached: true });
  onTestFinished(() => void child.kill("SIGKILL"));
  const answers = createInterface({ input: child.stdout });
  const ask = async () => {
    const answer = once(answers, "line");
    child.stdin.write("?");
    const { said, children } = JSON.parse(((await answer) as [string])[0]) as { said: number[]; children: Listed[] };
    return { said, custodian: children.find(({ kind }) => kind === "custodian")?.pid, pids: [...said, ...children.map(({ pid }) => pid)] };
  };
  const { custodian = 0, pids } = await until(async () => {
    const answer = await ask();
    return answer.said.length === programs.length ? answer : undefined;
  }, "the programs");
  return { child, ask, pid: child.pid ?? 0, custodian, all: pids };
}

const stubborn = shell("trap '' TERM HUP INT; echo $$; while :; do sleep 0.05; done");
const leaver = shell("(trap '' TERM; while :; do sleep 0.05; done) & echo $!");
const detacher = node(`
  const { spawnSync } = require("child_process");
  spawnSync("sh", ["-c", "sleep 1000 >/dev/null 2>&1 & echo $!"], { detached: true, stdio: ["ignore", "inherit", "ignore"] });
  setInterval(() => {}, 1000);
`);

describe.each([
  ["with watermarks", {}],
  ["without watermarks", { prlimit: "/nowhere/prlimit" }],
] as const)("when the sidecar is killed with SIGKILL, %s,", { timeout: 60_000 }, (_, options) => {
  it("the custodian ends all trees, and then itself", async () => {
    const { pid, all } = await keeper([stubborn, leaver, detacher], options);
    expect(all.filter(isAlive).length).toBeGreaterThanOrEqual(5);
    process.kill(pid, "SIGKILL");
    await until(() => !all.some(isAlive), "the end of all");
  });

  it("so it does when its whole process group is killed", async () => {
    const { pid, all } = await keeper([stubborn, detacher], options);
    process.kill(-pid, "SIGKILL");
    await until(() => !all.some(isAlive), "the end of all");
  });

  it("a custodian that has taken the place of another does it", async () => {
    const first = await keeper([stubborn, detacher], options);
    process.kill(first.custodian, "SIGKILL");
    const custodian = await until(async () => {
      const found = (await first.ask()).custodian;
      return found === first.custodian ? undefined : found;
    }, "a new custodian");
    process.kill(first.pid, "SIGKILL");
    await until(() => ![custodian, ...first.all].some(isAlive), "the end of all");
  });

  it("signals that a terminal sends do not keep the custodian from it", async () => {
    const { pid, custodian, all } = await keeper([stubborn], options);
    // It was started before the program, but may be slower to come to its first line.
    await until(() => ignoresSignals(custodian), "the custodian to be ready");
    for (const signal of SIGNALS) process.kill(custodian, signal);
    process.kill(pid, "SIGKILL");
    await until(() => !all.some(isAlive), "the end of all");
  });
});

describe("the custodian", { timeout: 60_000 }, () => {
  it.skipIf(!hasWatermarks)("finds, by watermark, what has lost environment, session, parents and pipes", async () => {
    const { pid, all } = await keeper([node(`${FUGITIVE}; setInterval(() => {}, 1000)`)], {});
    process.kill(pid, "SIGKILL");
    await until(() => !all.some(isAlive), "the end of all");
  });

  it("does not keep a process from exiting that has nothing else to do", async () => {
    const { child, all } = await keeper([shell("echo $$")], {});
    const exited = once(child, "exit");
    child.stdin.end();
    const [exitCode] = (await exited) as [number];
    expect(exitCode).toBe(0);
    await until(() => !all.some(isAlive), "the end of all");
  });
});
