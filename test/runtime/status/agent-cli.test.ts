import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { findAgentCli, versionIn } from "../../../src/runtime/status/agent-cli.ts";
import { isAlive, until } from "../../custody/support.ts";
import { Container } from "./setup.ts";

describe("the version in a line", () => {
  it.each([
    ["2.1.20 (Claude Code)", "2.1.20"],
    ["aider 0.86.1", "0.86.1"],
    ["codex-cli 0.46.0", "0.46.0"],
    ["v1.2.3", "1.2.3"],
    ["opencode 1.2.3-rc.1+build", "1.2.3-rc.1"],
    ["0.9.0-nightly.20250930.8c5d", "0.9.0-nightly.20250930.8c5d"],
    ["\u001b[1mgemini\u001b[0m 0.8", "0.8"],
    ["A new version is there!\n1.0.4\n", "1.0.4"],
    ["codex2 1.5.", "1.5"],
    ["1.5.0- and more", "1.5.0"],
  ])("of %j is %s", (line, version) => {
    expect(versionIn(line)).toBe(version);
  });

  it.each(["", "no number", "version 7", "...", "1.", "9".repeat(4096)])("of %j is none", (line) => {
    expect(versionIn(line)).toBeNull();
  });
});

describe("the coding agent", () => {
  it("is none where none is on PATH", async () => {
    expect(await findAgentCli(new Container().programs())).toMatchObject({ name: null, version: null, isSure: false });
  });

  it("is the first in the order, with its version", async () => {
    const container = new Container();
    for (const [name, line] of [
      ["opencode", "1.0.1"],
      ["aider", "aider 0.86.1"],
      ["codex", "codex-cli 0.46.0"],
    ] as const) {
      container.install(name, `echo "${line}"`);
      expect(await findAgentCli(container.programs())).toEqual({ name, version: versionIn(line), isSure: true });
    }
  });

  it("is asked for its version alone", async () => {
    const container = new Container();
    container.install("claude", 'echo "$# $1" > "$0.args"; cat; echo 2.1.20');
    expect(await findAgentCli(container.programs())).toMatchObject({ version: "2.1.20" });
    expect(readFileSync(join(container.bin, "claude.args"), "utf8")).toBe("1 --version\n");
  });

  it("has no version where it prints none", async () => {
    const container = new Container();
    container.install("claude", "echo 'hello, world'; printf '\\377\\000\\376'");
    expect(await findAgentCli(container.programs())).toEqual({ name: "claude", version: null, isSure: true });
  });

  it("is the next one, for now, where the first fails", async () => {
    const container = new Container();
    container.install("claude", "echo 2.1.20; exit 1");
    container.install("gemini", "echo 0.8.0");
    expect(await findAgentCli(container.programs())).toEqual({ name: "gemini", version: "0.8.0", isSure: false });
  });

  it("is the first without a version where none answers", async () => {
    const container = new Container();
    container.install("claude", "exit 1");
    container.install("gemini", "kill -9 $$");
    expect(await findAgentCli(container.programs())).toEqual({ name: "claude", version: null, isSure: false });
  });

  it("is given up when it hangs, and ended with all that it has started, though they ignore to be asked", async () => {
    const container = new Container();
    container.install(
      "claude",
      `trap '' TERM; (trap '' TERM; sleep 1000) & echo "$$ $!" > "$0.pids.new"; mv "$0.pids.new" "$0.pids"; while :; do sleep 1000; done`,
    );
    container.install("gemini", "echo 0.8.0");
    const pidFile = join(container.bin, "claude.pids");
    expect(await findAgentCli(container.programs(6000))).toEqual({ name: "gemini", version: "0.8.0", isSure: false });
    expect(existsSync(pidFile)).toBe(true);
    const pids = readFileSync(pidFile, "utf8").trim().split(" ").map(Number);
    expect(pids).toHaveLength(2);
    await until(() => pids.every((pid) => !isAlive(pid)), "the end of the hanging CLI");
  });

  it("answers though a process that it leaves behind holds its output open", async () => {
    const container = new Container();
    container.install("claude", 'sleep 1000 & echo $! > "$0.pid"; echo 2.1.20');
    expect(await findAgentCli(container.programs())).toMatchObject({ name: "claude", version: "2.1.20" });
    const pid = Number(readFileSync(join(container.bin, "claude.pid"), "utf8"));
    await until(() => !isAlive(pid), "the end of what was left behind");
  });

  it("may print far more than its version", async () => {
    const container = new Container();
    container.install("claude", "echo 2.1.20; head -c 10000000 /dev/zero");
    expect(await findAgentCli(container.programs())).toMatchObject({ name: "claude", version: "2.1.20" });
  });

  it("is listed among the children while it is asked", async () => {
    const container = new Container();
    container.install("claude", "sleep 1000");
    const asked = findAgentCli(container.programs(20_000));
    const child = await until(async () => (await container.custody.children()).find(({ name }) => name === "claude"), "the child");
    expect(child.kind).toBe("probe");
    await container.custody.close();
    expect(await asked).toMatchObject({ name: "claude", version: null });
  });

  it("is no folder, no file that may not be run, and nothing in a relative folder of PATH", async () => {
    const container = new Container();
    mkdirSync(join(container.bin, "claude"));
    writeFileSync(join(container.bin, "gemini"), "#!/bin/sh\necho 1.0.0\n", { mode: 0o644 });
    expect(await findAgentCli(container.programs())).toMatchObject({ name: null });
    container.install("codex", "echo 1.0.0");
    const relative = container.programs(20_000, { PATH: `.:${container.bin.slice(1)}::bin` });
    expect(await findAgentCli(relative)).toMatchObject({ name: null });
  });

  it("is not found where it cannot be started", async () => {
    const container = new Container();
    container.install("gemini", "echo 0.8.0");
    writeFileSync(join(container.bin, "claude"), "#!/no/such/interpreter\n", { mode: 0o755 });
    expect(await findAgentCli(container.programs())).toEqual({ name: "gemini", version: "0.8.0", isSure: false });
  });
});
