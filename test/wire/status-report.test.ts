import { chmodSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import { describe, expect, it } from "vitest";
import { ContainerStatus } from "../../src/contract/status.ts";
import { isAlive, until } from "../custody/support.ts";
import { startSidecar, temporaryFolder } from "../support/sidecar.ts";

/** A folder for PATH with scripts for sh, by name. */
function programs(scripts: Record<string, string>): string {
  const folder = temporaryFolder();
  for (const [name, script] of Object.entries(scripts)) {
    writeFileSync(join(folder, name), `#!/bin/sh\n${script}\n`);
    chmodSync(join(folder, name), 0o755);
  }
  return folder;
}

describe("system.status", () => {
  it("tells what the container is and does", { timeout: 120_000 }, async () => {
    const bin = programs({
      claude: 'env > "$0.env"; echo "2.1.20 (Claude Code)"',
      cs: `echo '{"open":5,"ready":2,"in_progress":1,"blocked":0,"closed":42,"total":50}'`,
    });
    const [workspace, home] = [temporaryFolder(), temporaryFolder()];
    mkdirSync(join(workspace, ".cstack"));
    mkdirSync(join(home, ".gemini"));
    const env = {
      PATH: `${bin}${delimiter}/usr/bin${delimiter}/bin`,
      HOME: home,
      SLEEVE_NAME: "alice",
      WORKSPACE_PATH: workspace,
      OPENAI_API_KEY: "sk-not-for-others",
    };
    const sidecar = await startSidecar({ env });
    // Two seconds are what a program may take; where that was too short here, it is asked again half a minute later.
    const whole = async () => {
      const report = ContainerStatus.parse(await sidecar.call("system.status"));
      return report.dhf.version !== null && report.workspace.cstack.total > 0 && report;
    };
    const { process: first, sidecar: own, ...rest } = (await until(whole, "what the programs say", 100_000)) as ContainerStatus;
    expect(rest).toEqual({
      sleeve_name: "alice",
      dhf: { name: "claude", version: "2.1.20" },
      workspace: { path: workspace, cstack: { exists: true, open: 5, ready: 2, in_progress: 1, blocked: 0, closed: 42, total: 50 } },
      auth: { claude: false, gemini: true },
    });
    expect(own.pid).toBe(sidecar.child.pid);
    expect([1, own.pid]).toContain(first.pid);
    expect(readFileSync(join(bin, "claude.env"), "utf8")).not.toContain("sk-not-for-others");
  });

  it("holds nothing else up while a CLI hangs, and is answered all the same", async () => {
    // All of them: this machine may have real ones.
    const hanging = ["claude", "gemini", "codex", "aider", "opencode"].map((name) => [name, 'trap "" TERM; while :; do sleep 1000; done']);
    const bin = programs(Object.fromEntries(hanging));
    const sidecar = await startSidecar({
      env: { PATH: `${bin}${delimiter}/usr/bin${delimiter}/bin`, HOME: temporaryFolder(), WORKSPACE_PATH: temporaryFolder() },
    });
    // What is loaded on first use is there from here on.
    await sidecar.call("agent.session.create");
    sidecar.send({ jsonrpc: "2.0", id: "status", method: "system.status" });
    sidecar.send({ jsonrpc: "2.0", id: "create", method: "agent.session.create", params: {} });
    expect((await sidecar.reply("create")).error).toBeUndefined();
    expect((await sidecar.reply("status")).result).toMatchObject({ dhf: { name: "claude", version: null }, workspace: { cstack: { exists: false } } });
    const order = sidecar.frames.flat().map(({ id }) => id);
    expect(order.indexOf("create")).toBeLessThan(order.indexOf("status"));
  });

  it("keeps no shutdown waiting, and leaves no CLI behind", { timeout: 120_000 }, async () => {
    const bin = programs({ claude: 'trap "" TERM; echo $$ > "$0.new"; mv "$0.new" "$0.pid"; while :; do sleep 1000; done' });
    const env = { PATH: `${bin}${delimiter}/usr/bin${delimiter}/bin`, HOME: temporaryFolder() };
    const pidFile = join(bin, "claude.pid");
    let error: object | undefined;
    // A CLI that hangs is ended after two seconds; on a machine so slow that this comes before the shutdown, it is tried again.
    do {
      const sidecar = await startSidecar({ env });
      sidecar.send({ jsonrpc: "2.0", id: "status", method: "system.status" });
      await until(() => contentOf(pidFile) ?? sidecar.frames.flat().find(({ id }) => id === "status"), "the start of the CLI");
      sidecar.send({ jsonrpc: "2.0", id: "shutdown", method: "system.shutdown" });
      ({ error } = await sidecar.reply("status"));
      expect((await sidecar.exit).code).toBe(0);
    } while (error === undefined);
    expect(error).toMatchObject({ kind: "transport_closed" });
    const pid = Number(contentOf(pidFile));
    // It ends by nothing but a signal that it cannot ignore; the kernel may take a moment.
    await until(() => !isAlive(pid), "the end of the CLI");
  });
});

function contentOf(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    // Not there yet.
    return undefined;
  }
}
