import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { childrenOf, isAlive } from "../custody/support.ts";
import { at, messagesOf, startModel, story } from "../support/agent.ts";
import { startSidecar, temporaryFolder, type TestSidecar } from "../support/sidecar.ts";
import { until } from "../support/until.ts";

const linux = process.platform === "linux";

/** A program that starts a child, a grandchild in a session of its own, says their pids in a file, and hangs. */
const FAMILY = `
  const { spawn } = require("node:child_process");
  const { writeFileSync, renameSync } = require("node:fs");
  const hang = "setInterval(() => {}, 1000); process.on('SIGTERM', () => {});";
  const child = spawn(process.execPath, ["-e", hang], { stdio: "ignore" });
  const stray = spawn(process.execPath, ["-e", hang], { stdio: "ignore", detached: true });
  child.unref();
  stray.unref();
  writeFileSync("pids.tmp", JSON.stringify([process.pid, child.pid, stray.pid]));
  renameSync("pids.tmp", "pids.json");
  if (process.argv[2] !== "leave") setInterval(() => {}, 1000);
`;

interface Place {
  folder: string;
  sidecar: TestSidecar;
}

async function withTools(tools: Record<string, unknown>[], more = ""): Promise<Place> {
  const folder = temporaryFolder();
  writeFileSync(join(folder, "family.cjs"), FAMILY);
  const entries = tools.map((tool) => JSON.stringify({ env: ["PATH"], ...tool })).join(", ");
  writeFileSync(join(folder, "config.yaml"), `storagePath: ./sidecar.db\ngracePeriodSeconds: 5\ntools: { process: [${entries}], roots: [.]${more} }\n`);
  return { folder, sidecar: await startSidecar({ args: ["--config", join(folder, "config.yaml")] }) };
}

const node = process.execPath;
const family = { name: "get_family", command: [node, "family.cjs"], mode: "read" };
const double = {
  name: "get_double",
  mode: "read",
  parameters: { type: "object", properties: { n: { type: "number" } }, required: ["n"] },
  command: [node, "-e", 'let t = ""; process.stdin.on("data", (d) => (t += d)).on("end", () => console.log(JSON.stringify({ double: JSON.parse(t).n * 2 })))'],
};

async function pidsOf(folder: string): Promise<number[]> {
  await until(() => existsSync(join(folder, "pids.json")), "the family");
  return JSON.parse(readFileSync(join(folder, "pids.json"), "utf8")) as number[];
}

/** Two seconds are the promise; the rest is for a machine that is busy with other things. Nothing of them would end by itself. */
async function expectGone(pids: readonly number[]): Promise<void> {
  await until(() => !pids.some(isAlive), `the end of ${pids.join(", ")}`);
}

describe("a process tool", () => {
  it("gets its arguments on stdin, and what it prints is the result that the model reads", async () => {
    const { sidecar } = await withTools([double]);
    const model = await startModel([[{ id: "c1", name: "get_double", arguments: { n: 21 } }], "42"]);
    const streamId = await sidecar.stream(at(model, { useTools: ["get_double"] }));
    await sidecar.terminal(streamId);
    expect(story(sidecar, streamId)).toEqual(["call get_double", "result get_double ok", "text 42", "finish stop", "done"]);
    expect(messagesOf(model.requests[1]!).at(-1)?.content).toContain('"double":42');
    expect(await sidecar.call("tool.invoke", { name: "get_double", arguments: { n: "x" } })).toMatchObject({ success: false, kind: "invalid_params" });
  });

  it("sees nothing of our environment that it is not meant to see", async () => {
    const folder = temporaryFolder();
    const show = { name: "get_env", command: [node, "-p", "JSON.stringify(process.env)"], env: ["PATH"] };
    writeFileSync(join(folder, "config.yaml"), `storagePath: ":memory:"\ntools: { process: [${JSON.stringify(show)}] }\n`);
    const sidecar = await startSidecar({
      args: ["--config", join(folder, "config.yaml")],
      env: { OPENAI_API_KEY: "sk-canary-canary", SECRET_THING: "canary" },
    });
    const result = await sidecar.call("tool.invoke", { name: "get_env" });
    expect(JSON.stringify(result)).not.toContain("canary");
    expect(JSON.stringify(result)).toContain('"PATH"');
  });

  it.runIf(linux)("is gone with everything it has started when the turn is cancelled", async () => {
    const { folder, sidecar } = await withTools([family]);
    const model = await startModel([[{ id: "c1", name: "get_family" }], "never"]);
    const streamId = await sidecar.stream(at(model, { useTools: ["*"] }));
    const pids = await pidsOf(folder);
    const { children } = await sidecar.call<{ children: { pid: number; kind: string; name?: string; descendants: number; memoryBytes: number }[] }>(
      "system.children",
    );
    expect(children.find(({ kind }) => kind === "tool")).toMatchObject({
      pid: pids[0],
      name: "get_family",
      callId: "c1",
      descendants: 2,
      memoryBytes: expect.any(Number),
    });
    expect(children.filter(({ kind }) => kind === "custodian")).toHaveLength(1);
    await sidecar.call("agent.chat.cancel", { streamId });
    await sidecar.terminal(streamId);
    await expectGone(pids);
    // The call is over once nothing of it was found twice.
    const kinds = async () => (await sidecar.call<{ children: { kind: string }[] }>("system.children")).children.map(({ kind }) => kind);
    await expect.poll(kinds).toEqual(["custodian"]);
  });

  it.runIf(linux)("is gone with everything it has started at its deadline, also when the program itself was gone first", async () => {
    const { folder, sidecar } = await withTools([
      { ...family, timeoutMs: 1500 },
      { name: "get_rest", command: [node, "family.cjs", "leave"], mode: "read", timeoutMs: 20_000 },
    ]);
    // Again where a machine is so slow that the deadline came before the family was there.
    do expect(await sidecar.call("tool.invoke", { name: "get_family" })).toMatchObject({ success: false, kind: "timeout" });
    while (!existsSync(join(folder, "pids.json")));
    await expectGone(await pidsOf(folder));
    expect(await sidecar.call("tool.invoke", { name: "get_rest" })).toMatchObject({ success: true });
    await expectGone(await pidsOf(folder));
  });

  const endings: [string, (sidecar: TestSidecar) => unknown][] = [
    ["kill -9 of the sidecar", (sidecar) => sidecar.child.kill("SIGKILL")],
    ["SIGTERM", (sidecar) => sidecar.child.kill("SIGTERM")],
    ["the end of stdin", (sidecar) => sidecar.child.stdin.end()],
    ["system.shutdown", (sidecar) => sidecar.send({ jsonrpc: "2.0", id: "s", method: "system.shutdown" })],
    ["system.shutdown_now", (sidecar) => sidecar.send({ jsonrpc: "2.0", id: "s", method: "system.shutdown_now" })],
  ];
  it.runIf(linux).each(endings)("is gone with everything it has started, custodian included, after %s", async (_, end) => {
    const { folder, sidecar } = await withTools([family]);
    const model = await startModel([[{ id: "c1", name: "get_family" }], "never"]);
    await sidecar.stream(at(model, { useTools: ["*"] }));
    const pids = await pidsOf(folder);
    const { children } = await sidecar.call<{ children: { pid: number }[] }>("system.children");
    end(sidecar);
    await sidecar.exit;
    await expectGone([...pids, ...children.map(({ pid }) => pid)]);
  });

  it.runIf(linux)("leaves no zombie and no descriptor behind after 500 calls", { timeout: 180_000 }, async () => {
    const { sidecar } = await withTools([{ name: "get_true", command: ["true"], mode: "read" }]);
    const call = () => sidecar.call("tool.invoke", { name: "get_true" });
    const descriptors = () => readdirSync(`/proc/${sidecar.child.pid}/fd`).length;
    await call();
    // The first trace is stored behind the answer, and opens the database; once it can be read, nothing more is opened for good.
    await expect.poll(async () => (await sidecar.call<{ traces: object[] }>("trace.list")).traces).toHaveLength(1);
    const before = descriptors();
    for (let round = 0; round < 50; round++)
      expect(await Promise.all(Array.from({ length: 10 }, call))).toMatchObject(Array.from({ length: 10 }, () => ({ success: true })));
    await until(() => descriptors() <= before, "the descriptors to be back where they were");
    await expect.poll(() => childrenOf(sidecar.child.pid ?? 0).filter((pid) => !isAlive(pid))).toEqual([]);
  });
});

describe("run_command", () => {
  const builtin = ", builtin: [run_command]";

  it("runs a command in the first root, and is held back from a dangerous one without consent", async () => {
    const { folder, sidecar } = await withTools([], builtin);
    expect(await sidecar.call("tool.invoke", { name: "run_command", arguments: { command: "cat family.cjs | wc -l; exit 3" } })).toMatchObject({
      success: true,
      data: { exitCode: 3, stdout: expect.stringMatching(/^\s*\d+\n$/) },
    });
    writeFileSync(join(folder, "victim"), "x");
    const dangerous = { name: "run_command", arguments: { command: "true && rm -rf -- ./victim" } };
    const { error } = await sidecar.request("tool.invoke", dangerous);
    expect(error).toMatchObject({
      code: -32002,
      kind: "policy_denied",
      data: { tool: "run_command", mode: "destructive", reason: expect.stringMatching(/rm -rf/) },
    });
    expect(existsSync(join(folder, "victim"))).toBe(true);
    expect(await sidecar.call("tool.invoke", { ...dangerous, consentGranted: true })).toMatchObject({ success: true, data: { exitCode: 0 } });
    expect(existsSync(join(folder, "victim"))).toBe(false);
  });

  it("asks about a dangerous command even where the tool is allowed", async () => {
    const { sidecar } = await withTools([], `${builtin} }\npolicy: { tools: { run_command: allow }`);
    await sidecar.call("system.initialize", { clientInfo: { name: "t" }, capabilities: { approvals: true } });
    sidecar.onRequest(() => ({ decision: "deny" }));
    const model = await startModel([
      [
        { id: "c1", name: "run_command", arguments: { command: 'echo "rm -rf /"' } },
        { id: "c2", name: "run_command", arguments: { command: 'sh -c "sudo reboot"' } },
      ],
      "ok",
    ]);
    const streamId = await sidecar.stream(at(model, { useTools: ["*"] }));
    await sidecar.terminal(streamId);
    expect(story(sidecar, streamId).filter((line) => line.startsWith("result"))).toEqual(["result run_command ok", "result run_command policy_denied"]);
    expect(sidecar.requests("approval.request")).toMatchObject([{ params: { call: { id: "c2" }, mode: "destructive" } }]);
  });
});
