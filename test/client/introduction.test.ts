import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { type ApprovalAnswer, type ApprovalRequest, spawn, type SpawnOptions } from "../../src/client/index.ts";
import { VERSION } from "../../src/version.ts";
import { answer, ask, deferred, obedient, say, sent } from "./fake-host.ts";
import { fakeProgram, next, signal, temporaryFolder } from "./sidecars.ts";

const request: ApprovalRequest = {
  streamId: "str_1",
  call: { id: "call_1", name: "run_command", arguments: { command: "rm -rf build" } },
  mode: "destructive",
  reason: "deletes files recursively",
  timeoutMs: 5_000,
};

describe("the introduction", () => {
  const own = { name: "steerable-sidecar/client", version: VERSION };
  const nothing = { approvals: false, status: false, hostTools: false };
  it.each<[string, SpawnOptions, unknown]>([
    ["who the host is", { clientInfo: { name: "my-app", version: "1.0.0" } }, { clientInfo: { name: "my-app", version: "1.0.0" }, capabilities: nothing }],
    ["that it answers approvals", { onApproval: () => "allow" }, { clientInfo: own, capabilities: { ...nothing, approvals: true } }],
    ["that it wants the status", { onStatus: () => undefined }, { clientInfo: own, capabilities: { ...nothing, status: true } }],
  ])("says %s before anything else is sent", async (_what, options, params) => {
    const sidecar = await obedient(options);
    await sidecar.ping();
    expect(await sent(sidecar)).toMatchObject([{ method: "system.initialize", params }, { method: "system.ping" }]);
  });

  it("is left out when the host has nothing to say", async () => {
    const sidecar = await obedient();
    await sidecar.ping();
    expect(await sent(sidecar)).toMatchObject([{ method: "system.ping" }]);
  });

  it("that is refused is why the host gets no sidecar", async () => {
    const lines: string[] = [];
    const refusing = fakeProgram(`console.error(process.pid); ready(); on = ({ id }) => send({ id, error: { code: -32601, message: "what?" } })`);
    const started = spawn({ ...refusing, onApproval: () => "allow", onLog: (line) => lines.push(line) });
    await expect(started).rejects.toMatchObject({ kind: "method_not_found", message: "what?" });
    await expect.poll(() => signal(Number(lines[0]), 0), { timeout: 10_000 }).toBe(false);
  });

  it("that is not answered in time is why the host gets no sidecar", async () => {
    const silent = fakeProgram(`ready(); forever()`);
    await expect(spawn({ ...silent, onApproval: () => "allow", readyTimeoutMs: 500 })).rejects.toMatchObject({ kind: "timeout" });
  });

  it("comes again after a restart, with the tools, before the calls that waited", async () => {
    const sidecar = await obedient({ onApproval: () => "allow", restart: { baseDelayMs: 50 } });
    await sidecar.tools.register({ name: "one", run: () => 1 });
    await sidecar.tools.register({ name: "two", run: () => 2 });
    await (await sidecar.tools.register({ name: "gone", run: () => 3 })).unregister();
    const exited = next(sidecar, "exit");
    signal(sidecar.pid!, "SIGKILL");
    await exited;
    await sidecar.ping();
    expect(await sent(sidecar)).toMatchObject([
      { method: "system.initialize", params: { capabilities: { approvals: true, hostTools: true } } },
      { method: "tool.register", params: { tools: [{ function: { name: "one" } }] } },
      { method: "tool.register", params: { tools: [{ function: { name: "two" } }] } },
      { method: "system.ping" },
    ]);
    expect(await ask(sidecar, "srv_1", "tool.invoke", { id: "call_1", name: "two", arguments: {}, timeoutMs: 1_000 })).toEqual({ result: 2 });
  });

  it("of one tool may be refused after a restart: that is a fault, and the others are there", async () => {
    const mark = join(temporaryFolder(), "started-once");
    const body = `const fs = require("node:fs"); const again = fs.existsSync(process.env.MARK); fs.writeFileSync(process.env.MARK, ""); refused = ({ params }) => again && params?.tools?.[0].function.name === "one"`;
    const sidecar = await obedient({ env: { MARK: mark }, restart: { baseDelayMs: 10 } }, body);
    for (const name of ["one", "two"]) await sidecar.tools.register({ name, run: () => name });
    const [fault, ready] = [next(sidecar, "fault"), next(sidecar, "ready")];
    signal(sidecar.pid!, "SIGKILL");
    expect(await fault).toMatchObject({ kind: "invalid_params", message: "refused" });
    await ready;
    expect((await sent(sidecar)).map(({ method }) => method)).toEqual(["tool.register", "tool.register"]);
  });

  it("that is not answered after a restart ends the process, and the next one is tried", { timeout: 60_000 }, async () => {
    // The second process that gets as far as this is silent.
    const mark = join(temporaryFolder(), "introductions");
    const body = `const fs = require("node:fs"); const usual = on; on = (frame) => {
      if (frame.method === "system.initialize") fs.appendFileSync(process.env.MARK, "x");
      if (frame.method !== "system.initialize" || fs.readFileSync(process.env.MARK, "utf8") !== "xx") usual(frame);
    }`;
    const sidecar = await obedient({ env: { MARK: mark }, onApproval: () => "allow", readyTimeoutMs: 6_000, restart: { baseDelayMs: 10 } }, body);
    const faults: Error[] = [];
    sidecar.on("fault", (error) => faults.push(error));
    const ready = next(sidecar, "ready");
    const exits: unknown[] = [];
    sidecar.on("exit", (exit) => exits.push(exit));
    signal(sidecar.pid!, "SIGKILL");
    await ready;
    expect(faults).toMatchObject([{ kind: "timeout" }]);
    expect(exits.length).toBeGreaterThanOrEqual(2);
    await sidecar.ping();
  });
});

describe("an approval", () => {
  it.each<[ApprovalAnswer, unknown]>([
    ["allow", { decision: "allow" }],
    ["allow_always", { decision: "allow_always" }],
    [
      { decision: "deny", reason: "not today" },
      { decision: "deny", reason: "not today" },
    ],
  ])("answered with %j is sent as a decision", async (given, result) => {
    const asked: ApprovalRequest[] = [];
    const onApproval = (question: ApprovalRequest) => {
      asked.push(question);
      return Promise.resolve(given);
    };
    const sidecar = await obedient({ onApproval });
    expect(await ask(sidecar, "srv_1", "approval.request", request)).toEqual({ result });
    expect(asked).toEqual([request]);
  });

  it("whose handler throws is answered with an error, and the host learns why", async () => {
    const broken = new Error("the window is gone");
    const sidecar = await obedient({ onApproval: () => Promise.reject(broken) });
    const fault = next(sidecar, "fault");
    expect(await ask(sidecar, "srv_1", "approval.request", request)).toEqual({ error: { code: -32603, message: "the window is gone" } });
    expect(await fault).toBe(broken);
  });

  it("that the sidecar no longer waits for aborts its signal", async () => {
    const given = deferred<AbortSignal>();
    const onApproval = (_request: ApprovalRequest, { signal: aborted }: { signal: AbortSignal }) => {
      given.resolve(aborted);
      return new Promise<ApprovalAnswer>((_resolve, reject) => aborted.addEventListener("abort", () => reject(aborted.reason as Error)));
    };
    const sidecar = await obedient({ onApproval });
    const faults: Error[] = [];
    sidecar.on("fault", (error) => faults.push(error));
    const answered = answer(sidecar, "srv_1");
    await say(sidecar, { id: "srv_1", method: "approval.request", params: request });
    const aborted = await given.promise;
    await say(sidecar, { method: "$/cancelRequest", params: { id: "srv_1" } });
    expect(await answered).toMatchObject({ error: { code: -32800 } });
    expect(aborted.reason).toMatchObject({ kind: "cancelled" });
    expect(faults).toEqual([]);
  });
});
