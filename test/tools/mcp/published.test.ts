import { mkdtempSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { bench, isAlive, published, until } from "./support.ts";

const everything = { command: process.execPath, args: [published("@modelcontextprotocol/server-everything"), "stdio"] };

function filesystem() {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), "mcp-files-")));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return { folder, server: { command: process.execPath, args: [published("@modelcontextprotocol/server-filesystem"), folder] } };
}

describe("@modelcontextprotocol/server-everything", { timeout: 60_000 }, () => {
  it("offers its tools under names that model servers accept, with description and parameters", async () => {
    const { sources } = bench({ everything });
    const tools = await sources.tools();
    expect(tools.length).toBeGreaterThan(5);
    for (const tool of tools) {
      expect(tool.name).toMatch(/^mcp__everything__[\w-]+$/);
      expect(tool.description).not.toBe("");
      expect(tool.parameters).toMatchObject({ type: "object" });
    }
    expect(tools.map((tool) => tool.name)).toContain("mcp__everything__echo");
  });

  it("answers calls with text, structured data and pictures", async () => {
    const { call, names } = bench({ everything });
    const all = await names();
    expect(await call("mcp__everything__echo", { message: "hi there" })).toEqual({ text: "Echo: hi there" });
    expect((await call("mcp__everything__get-sum", { a: 2, b: 40 })).text).toContain("42");
    const structured = all.find((name) => name.includes("structured")) as string;
    expect((await call(structured, { location: "New York" })).structured).toMatchObject({ conditions: expect.any(String) });
    const picture = await call(all.find((name) => name.includes("image")) as string);
    expect(picture.content).toEqual([expect.objectContaining({ type: "image", mimeType: "image/png" })]);
  });

  it("gives its refusals to the caller", async () => {
    const { failure } = bench({ everything });
    expect((await failure("mcp__everything__echo", { message: 7 })).message).toMatch(/invalid|expected/i);
  });

  it("lets a call that takes longer than its deadline go, and answers the next", async () => {
    const { failure, call, names } = bench({ everything });
    const slow = (await names()).find((name) => name.includes("long-running")) as string;
    expect(await failure(slow, { duration: 20, steps: 100 }, { timeoutMs: 400 })).toMatchObject({ kind: "timeout" });
    expect(await call("mcp__everything__echo", { message: "still here" })).toEqual({ text: "Echo: still here" });
  });
});

describe("@modelcontextprotocol/server-filesystem", { timeout: 60_000 }, () => {
  it("reads and writes files through its tools, and says which of them only read", async () => {
    const { folder, server } = filesystem();
    writeFileSync(join(folder, "a.txt"), "from the test");
    const { sources, call } = bench({ files: server });
    const modes = Object.fromEntries((await sources.tools()).map((tool) => [tool.name, tool.mode]));
    expect(modes["mcp__files__read_text_file"]).toBe("read");
    expect(modes["mcp__files__write_file"]).toBe("destructive");
    expect((await call("mcp__files__read_text_file", { path: join(folder, "a.txt") })).text).toContain("from the test");
    await call("mcp__files__write_file", { path: join(folder, "b.txt"), content: "from the model" });
    expect((await call("mcp__files__read_text_file", { path: join(folder, "b.txt") })).text).toContain("from the model");
  });

  it("gives an error result to the caller in its words", async () => {
    const { folder, server } = filesystem();
    const { failure } = bench({ files: server });
    expect(await failure("mcp__files__read_text_file", { path: join(folder, "not-there.txt") })).toMatchObject({
      kind: "tool_failed",
      message: expect.stringContaining("ENOENT"),
    });
    expect((await failure("mcp__files__read_text_file", { path: "/etc/passwd" })).message).toContain("denied");
  });
});

it("two servers run side by side, each once for all who ask, and are gone after close", async () => {
  const { server } = filesystem();
  const made = bench({ everything, files: server });
  const lists = await Promise.all([made.names(), made.names(), made.names()]);
  expect(lists[1]).toEqual(lists[0]);
  expect(new Set(lists[0]?.map((name) => name.split("__")[1]))).toEqual(new Set(["everything", "files"]));
  const pids = (await made.children()).filter(({ kind }) => kind === "mcp").map(({ pid }) => pid);
  expect(pids).toHaveLength(2);
  await made.sources.close();
  await until(() => pids.every((pid) => !isAlive(pid)), "the servers to be gone");
});
