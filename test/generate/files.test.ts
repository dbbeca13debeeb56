import { execFile } from "node:child_process";
import { appendFile, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { root } from "../support/root.ts";
import { generated } from "./document.ts";

const command = join(root, "build/generate.js");

describe("the generated files", () => {
  it.each([...generated])("%s is what the contract says; if not, run: npm run generate", async (name, text) => {
    const onDisk = await readFile(join(root, name), "utf8").catch(() => "");
    expect(onDisk === text, `${name} is stale. Run this and commit the result: npm run generate`).toBe(true);
  });
});

describe("the command that writes them", () => {
  let folder = "";
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "generated-"));
  });
  afterAll(() => rm(folder, { recursive: true }));

  it("finds what is stale without touching it, writes it, and then finds nothing", { timeout: 180_000 }, async () => {
    const missing = await run("--check", "--out", folder);
    expect(missing).toMatchObject({ code: 1 });
    for (const name of generated.keys()) expect(missing.stderr).toContain(name);
    expect(missing.stderr).toContain("npm run generate");
    await expect(readFile(join(folder, "protocol.md"))).rejects.toThrow("ENOENT");

    expect(await run("--out", folder)).toMatchObject({ code: 0 });
    for (const [name, text] of generated) expect(await readFile(join(folder, name), "utf8")).toBe(text);
    expect(await run("--check", "--out", folder)).toMatchObject({ code: 0, stderr: "" });

    await appendFile(join(folder, "protocol.md"), "by hand\n");
    const edited = await run("--check", "--out", folder);
    expect(edited).toMatchObject({ code: 1 });
    expect(edited.stderr).toContain("protocol.md");
    expect(edited.stderr).not.toContain("schema/");
  });
});

function run(...args: string[]): Promise<{ code: unknown; stderr: string }> {
  return new Promise((resolve) => {
    execFile(process.execPath, [command, ...args], (error, _stdout, stderr) => resolve({ code: error === null ? 0 : error.code, stderr }));
  });
}
