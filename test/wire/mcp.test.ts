import { writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { describe, expect, it } from "vitest";
import { at, messagesOf, startModel, story, toolsOf } from "../support/agent.ts";
import { startSidecar, temporaryFolder } from "../support/sidecar.ts";

/** The program of a server package. */
function programOf(name: string): string {
  const manifest = createRequire(import.meta.url).resolve(`${name}/package.json`);
  const { bin } = createRequire(import.meta.url)(manifest) as { bin: Record<string, string> };
  return join(dirname(manifest), Object.values(bin)[0] as string);
}

async function withServers() {
  const folder = temporaryFolder();
  writeFileSync(join(folder, "note.txt"), "from the file");
  const server = (name: string, ...args: string[]) => ({ command: process.execPath, args: [programOf(name), ...args] });
  const mcpServers = {
    everything: server("@modelcontextprotocol/server-everything"),
    files: server("@modelcontextprotocol/server-filesystem", folder),
    broken: { command: process.execPath, args: ["-e", "process.exit(1)"] },
  };
  writeFileSync(join(folder, "config.yaml"), `storagePath: ":memory:"\nmcpServers: ${JSON.stringify(mcpServers)}\npolicy: { tools: { "mcp__*": allow } }\n`);
  return { folder, sidecar: await startSidecar({ args: ["--config", join(folder, "config.yaml")] }) };
}

describe("MCP servers of the configuration", () => {
  it("are started on first use, and their tools are run within a turn", { timeout: 120_000 }, async () => {
    const { folder, sidecar } = await withServers();
    expect(await sidecar.call("system.children")).toEqual({ children: [] });
    const model = await startModel([
      [
        { id: "c1", name: "mcp__everything__echo", arguments: { message: "hello" } },
        { id: "c2", name: "mcp__files__read_text_file", arguments: { path: join(folder, "note.txt") } },
      ],
      "done",
    ]);
    const streamId = await sidecar.stream(at(model, { useTools: ["mcp__everything__echo", "mcp__files__*"] }));
    await sidecar.terminal(streamId);
    const told = story(sidecar, streamId).filter((line) => !line.startsWith("call"));
    // Both only read, so they run side by side.
    expect(told.slice(0, 2).toSorted()).toEqual(["result mcp__everything__echo ok", "result mcp__files__read_text_file ok"]);
    expect(told.slice(2)).toEqual(["text done", "finish stop", "done"]);
    const offered = toolsOf(model.requests[0]!);
    expect(offered).toContain("mcp__everything__echo");
    expect(offered).toContain("mcp__files__list_directory");
    expect(offered.filter((name) => name.startsWith("mcp__everything"))).toHaveLength(1);
    const results = messagesOf(model.requests[1]!)
      .slice(-2)
      .map(({ content }) => String(content));
    expect(results[0]).toContain("hello");
    expect(results[1]).toContain("from the file");

    const { children } = await sidecar.call<{ children: { kind: string; name?: string }[] }>("system.children");
    expect(
      children
        .filter(({ kind }) => kind === "mcp")
        .map(({ name }) => name)
        .toSorted(),
    ).toEqual(["everything", "files"]);
    const listed = (await sidecar.call<{ function: { name: string } }[]>("tool.list")).map(({ function: { name } }) => name);
    expect(listed.every((name) => /^mcp__(everything|files)__/.test(name))).toBe(true);
    expect(await sidecar.call("tool.invoke", { name: "mcp__everything__get-sum", arguments: { a: 2, b: 3 } })).toMatchObject({ success: true });
    expect((await sidecar.call("system.ping"))["loadedTools"]).toBe(listed.length);
    await sidecar.call("system.shutdown");
    expect(await sidecar.exit).toMatchObject({ code: 0 });
  });
});
