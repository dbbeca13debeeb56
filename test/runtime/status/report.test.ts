import { mkdirSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { ContainerStatus } from "../../../src/contract/status.ts";
import { until } from "../../custody/support.ts";
import { temporaryFolder } from "../../support/sidecar.ts";
import { Container } from "./setup.ts";

const none = { open: 0, ready: 0, in_progress: 0, blocked: 0, closed: 0, total: 0 };

describe("the report of a container", () => {
  it("holds everything under the names of the specification, and the figures of the sidecar beside", async () => {
    const container = new Container();
    container.install("claude", 'echo "2.1.20 (Claude Code)"');
    container.install("cs", `echo '{"open":5,"ready":2,"in_progress":1,"blocked":0,"closed":42,"total":50}'`);
    container.makeFolder(".cstack");
    mkdirSync(join(container.home, ".claude"));
    writeFileSync(join(container.home, ".claude", ".credentials.json"), "{}");
    const { process: first, sidecar, ...rest } = ContainerStatus.parse(await container.report().report());
    expect(rest).toEqual({
      sleeve_name: "alice",
      dhf: { name: "claude", version: "2.1.20" },
      workspace: {
        path: container.workspace,
        cstack: { exists: true, open: 5, ready: 2, in_progress: 1, blocked: 0, closed: 42, total: 50 },
      },
      auth: { claude: true, gemini: false },
    });
    expect(Object.keys(first)).toEqual(["pid", "uptime_seconds", "memory_mb"]);
    expect(sidecar.pid).toBe(process.pid);
  });

  it("has defaults for a container that says nothing of itself", async () => {
    const container = new Container();
    for (const env of [{ HOME: container.home }, { HOME: container.home, SLEEVE_NAME: "", WORKSPACE_PATH: "", PATH: "" }]) {
      const report = await container.report({ env }).report();
      expect(report.sleeve_name).toBe(hostname());
      expect(report.workspace.path).toBe("/home/claude/workspace");
      expect(report.dhf).toEqual({ name: null, version: null });
    }
  });

  it("shows the figures of process 1, read anew each time", async () => {
    const proc = temporaryFolder();
    mkdirSync(join(proc, "1"));
    writeFileSync(join(proc, "1", "stat"), `1 (tini) S ${"0 ".repeat(18)}100 0\n`);
    writeFileSync(join(proc, "1", "status"), "VmRSS:\t2048 kB\n");
    writeFileSync(join(proc, "uptime"), "11.00 5.00\n");
    const report = new Container().report({ proc });
    expect((await report.report()).process).toEqual({ pid: 1, uptime_seconds: 10, memory_mb: 2 });
    writeFileSync(join(proc, "uptime"), "21.00 5.00\n");
    expect((await report.report()).process).toEqual({ pid: 1, uptime_seconds: 20, memory_mb: 2 });
  });

  it("shows its own figures where those of process 1 cannot be read", async () => {
    const container = new Container();
    for (const proc of [undefined, temporaryFolder()]) {
      const report = await container.report({ proc }).report();
      expect(report.process).toEqual(report.sidecar);
      expect(report.process.pid).toBe(process.pid);
    }
  });

  it("asks cs once for a hundred who ask together, and again when five seconds are over", async () => {
    const container = new Container();
    container.makeFolder(".cstack");
    container.install("cs", `sleep 0.2; echo '{"open":1}'`);
    const report = container.report();
    const all = await Promise.all(Array.from({ length: 100 }, () => report.report()));
    expect(all.every(({ workspace }) => workspace.cstack.open === 1)).toBe(true);
    expect(container.starts("cs")).toBe(1);
    container.time = 4999;
    await report.report();
    expect(container.starts("cs")).toBe(1);
    container.time = 5000;
    container.install("cs", `echo '{"open":2}'`);
    expect((await report.report()).workspace.cstack.open).toBe(2);
    expect(container.starts("cs")).toBe(2);
  });

  it("looks for credentials again when thirty seconds are over", async () => {
    const container = new Container();
    const report = container.report();
    expect((await report.report()).auth.gemini).toBe(false);
    mkdirSync(join(container.home, ".gemini"));
    container.time = 29_999;
    expect((await report.report()).auth.gemini).toBe(false);
    container.time = 30_000;
    expect((await report.report()).auth.gemini).toBe(true);
  });

  it("asks a CLI that has answered never again", async () => {
    const container = new Container();
    container.install("gemini", "echo 0.8.0");
    const report = container.report();
    await Promise.all(Array.from({ length: 100 }, () => report.report()));
    container.install("claude", "echo 2.1.20");
    container.time = Number.MAX_SAFE_INTEGER;
    expect((await report.report()).dhf).toEqual({ name: "gemini", version: "0.8.0" });
    expect(container.starts("gemini")).toBe(1);
  });

  it("looks for a CLI again after half a minute, where there was none or the first did not answer", async () => {
    const container = new Container();
    const report = container.report();
    expect((await report.report()).dhf.name).toBeNull();
    container.install("claude", "exit 1");
    container.time = 29_999;
    expect((await report.report()).dhf.name).toBeNull();
    container.time = 30_000;
    expect((await report.report()).dhf).toEqual({ name: "claude", version: null });
    container.install("claude", "echo 2.1.20");
    container.time = 60_000;
    expect((await report.report()).dhf).toEqual({ name: "claude", version: "2.1.20" });
  });

  it("comes in time though everything hangs, and says what it knows", async () => {
    const container = new Container();
    container.makeFolder(".cstack");
    mkdirSync(join(container.home, ".gemini"));
    for (const name of ["claude", "gemini", "codex", "aider", "opencode", "cs"]) container.install(name, "trap '' TERM; while :; do sleep 1000; done");
    const report = await container.report({ programMs: 500, reportMs: 20_000 }).report();
    expect(report).toMatchObject({
      dhf: { name: "claude", version: null },
      workspace: { cstack: { exists: true, ...none } },
      auth: { claude: false, gemini: true },
    });
    await until(async () => (await container.custody.children()).every(({ kind }) => kind === "custodian"), "an end of all children");
  });

  it("does not wait for what takes longer than a report may, and tells it when it is known", async () => {
    const container = new Container();
    container.install("claude", 'while ! [ -e "$0.go" ]; do sleep 0.05; done; echo 2.1.20');
    const report = container.report({ reportMs: 50 });
    expect((await report.report()).dhf).toEqual({ name: null, version: null });
    writeFileSync(join(container.bin, "claude.go"), "");
    await until(async () => (await report.report()).dhf.version === "2.1.20", "the version");
    expect(container.starts("claude")).toBe(1);
  });

  it("is not waited for by one who gives up, and is there for the next", async () => {
    const container = new Container();
    container.install("claude", 'while ! [ -e "$0.go" ]; do sleep 0.05; done; echo 2.1.20');
    const report = container.report();
    const [impatient, patient] = [new AbortController(), new AbortController()];
    const given = report.report(impatient.signal);
    impatient.abort(new Error("no time"));
    await expect(given).rejects.toThrow("no time");
    const waited = report.report(patient.signal);
    writeFileSync(join(container.bin, "claude.go"), "");
    expect((await waited).dhf.version).toBe("2.1.20");
    expect(container.starts("claude")).toBe(1);
  });

  it("is made without programs once these can no more be started", async () => {
    const container = new Container();
    container.makeFolder(".cstack");
    container.install("claude", "echo 2.1.20");
    container.install("cs", `echo '{"open":1}'`);
    await container.custody.close();
    expect(await container.report().report()).toMatchObject({ dhf: { name: "claude", version: null }, workspace: { cstack: { exists: true, ...none } } });
    expect(container.starts("claude") + container.starts("cs")).toBe(0);
  });
});
