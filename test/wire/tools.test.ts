import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { startSidecar, temporaryFolder, type TestSidecar } from "../support/sidecar.ts";

interface ToolResult {
  success: boolean;
  needsFollowup?: boolean;
  error?: string;
  data?: Record<string, unknown>;
}

/** A sidecar with all built-in tools, confined to a folder that holds a note; a secret lies beside it. */
async function withTools(): Promise<TestSidecar> {
  const folder = temporaryFolder();
  mkdirSync(join(folder, "workspace"));
  writeFileSync(join(folder, "workspace", "note.txt"), "hello");
  writeFileSync(join(folder, "secret.txt"), "canary");
  symlinkSync(join(folder, "secret.txt"), join(folder, "workspace", "link.txt"));
  writeFileSync(join(folder, "config.yaml"), 'storagePath: ":memory:"\ntools: { builtin: [read_file, list_directory, get_time], roots: [./workspace] }\n');
  return startSidecar({ args: ["--config", join(folder, "config.yaml")] });
}

const invoke = (sidecar: TestSidecar, name: string, args?: object, more: object = {}) =>
  sidecar.call<ToolResult>("tool.invoke", { name, arguments: args, ...more });

describe("tools", () => {
  it("are off until they are configured", async () => {
    const sidecar = await startSidecar();
    expect(await sidecar.call("tool.list")).toEqual([]);
    expect(await invoke(sidecar, "read_file", { path: "/etc/passwd" })).toMatchObject({ success: false, error: "Unknown tool: read_file" });
  });

  it("are listed as OpenAI function descriptors and counted by ping", async () => {
    const sidecar = await withTools();
    const tools = await sidecar.call<{ type: string; function: { name: string; parameters: object } }[]>("tool.list");
    expect(tools.map((tool) => [tool.type, tool.function.name])).toEqual([
      ["function", "read_file"],
      ["function", "list_directory"],
      ["function", "get_time"],
    ]);
    for (const tool of tools) expect(tool.function.parameters).toMatchObject({ type: "object" });
    expect((await sidecar.call("system.ping"))["loadedTools"]).toBe(3);
  });

  it("run, and say how long it took", async () => {
    const sidecar = await withTools();
    expect(await invoke(sidecar, "read_file", { path: "note.txt" })).toMatchObject({
      success: true,
      data: { content: "hello", durationMs: expect.any(Number) },
    });
    expect(JSON.stringify(await invoke(sidecar, "list_directory", { path: "." }))).toContain("note.txt");
    expect(await invoke(sidecar, "get_time", {})).toMatchObject({ success: true, data: { iso: expect.stringMatching(/^\d{4}-/) } });
  });

  it("stay within their roots, links included", async () => {
    const sidecar = await withTools();
    for (const path of ["../secret.txt", "link.txt", "/etc/passwd", "workspace/../../secret.txt"]) {
      const result = await invoke(sidecar, "read_file", { path });
      expect(result).toMatchObject({ success: false, needsFollowup: true });
      expect(JSON.stringify(result)).not.toContain("canary");
    }
  });

  it("are given only arguments that fit their schema", async () => {
    const sidecar = await withTools();
    for (const args of [{}, { path: 5 }, { path: "note.txt", bogus: 1 }]) {
      expect(await invoke(sidecar, "read_file", args)).toMatchObject({
        success: false,
        needsFollowup: true,
        error: expect.stringMatching(/^Invalid arguments/),
      });
    }
    expect((await sidecar.request("tool.invoke", { name: "read_file", arguments: "x" })).error).toMatchObject({ code: -32602 });
  });

  it("can be switched on and off while the sidecar runs", async () => {
    const sidecar = await startSidecar();
    await sidecar.call("config.set", { tools: { builtin: ["get_time"] } });
    expect(await sidecar.call("tool.list")).toHaveLength(1);
    await sidecar.call("config.set", { tools: { builtin: null } });
    expect(await sidecar.call("tool.list")).toHaveLength(0);
  });

  it("leave a trace of every call", async () => {
    const sidecar = await withTools();
    const { data } = await invoke(sidecar, "read_file", { path: "note.txt", password: undefined });
    const record = await sidecar.call<{ trace: object; spans: object[]; events: object[] }>("trace.fetch", { traceId: data?.["traceId"] });
    expect(record.trace).toMatchObject({ status: "completed", spanCount: 1 });
    expect(record.spans).toMatchObject([{ name: "tool.read_file", kind: "tool", status: "ok" }]);
    expect(record.events).toMatchObject([{ kind: "tool_call" }, { kind: "tool_result", status: "ok" }]);
  });
});
