import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { spawnHttp } from "../support/http.ts";
import { configFile, keyOf } from "../support/keys.ts";
import { temporaryFolder } from "../support/sidecar.ts";

interface Frame {
  result?: { success: boolean; data: { stdout?: string } };
  error?: { code: number; kind: string; data: { tool: string; mode: string; reason: string } };
}

/** Ann may write, Root may do everything. `policy` beside what holds where nobody says otherwise. */
async function spawnWithTools(policy: Record<string, unknown> = {}) {
  const root = temporaryFolder();
  const more = { tools: { builtin: ["run_command", "get_time"], roots: [root] }, policy };
  const { call } = await spawnHttp({ args: await configFile({ ann: ["read", "write"], root: ["*"] }, {}, more) });
  const invoke = async (subject: string, name: string, args: object, consentGranted?: boolean): Promise<Frame> => {
    const params = { name, arguments: args, ...(consentGranted === undefined ? {} : { consentGranted }) };
    return (await call<Frame>("POST", "/rpc", { key: keyOf(subject), body: { jsonrpc: "2.0", id: 1, method: "tool.invoke", params } })).body;
  };
  return { root, invoke };
}

describe("a tool that is called over HTTP", { timeout: 60_000 }, () => {
  it("does not run for callers without admin where somebody would have to be asked, whatever they say of consent", async () => {
    const { root, invoke } = await spawnWithTools();
    const mark = join(root, "mark");
    for (const consent of [undefined, true]) {
      const { error } = await invoke("ann", "run_command", { command: `touch '${mark}'` }, consent);
      expect(error).toMatchObject({ code: -32002, kind: "policy_denied", data: { tool: "run_command", mode: "other" } });
    }
    writeFileSync(mark, "");
    expect((await invoke("ann", "run_command", { command: `rm -rf '${root}'` }, true)).error).toMatchObject({
      kind: "policy_denied",
      data: { mode: "destructive" },
    });
    expect(existsSync(mark)).toBe(true);
    expect((await invoke("ann", "get_time", {})).result?.success).toBe(true);
    // Whoever has admin decides, as the host does.
    expect((await invoke("root", "run_command", { command: "echo it ran" })).result).toMatchObject({ success: true, data: { stdout: "it ran\n" } });
  });

  it("runs for them where the policy allows it", async () => {
    const { invoke } = await spawnWithTools({ tools: { run_command: "allow" } });
    expect((await invoke("ann", "run_command", { command: "echo it ran" })).result).toMatchObject({ success: true, data: { stdout: "it ran\n" } });
    // Leave for a tool is no leave for its dangerous calls.
    expect((await invoke("ann", "run_command", { command: "rm -rf build" }, true)).error).toMatchObject({ kind: "policy_denied" });
  });
});
