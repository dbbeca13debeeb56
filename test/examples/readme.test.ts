import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { openaiStream, startModelServer } from "../support/model-server.ts";
import { root } from "../support/root.ts";
import { type Frame, startSidecar, temporaryFolder } from "../support/sidecar.ts";
import { run } from "./run.ts";

const readme = readFileSync(join(root, "README.md"), "utf8");
const blocks = [...readme.matchAll(/^```(\w+)\n([\s\S]*?)^```$/gm)].map(([, language = "", text = ""]) => ({ language, text }));
const programs = blocks.filter(({ language, text }) => language === "js" && text.startsWith("import "));
const configurations = blocks.filter(({ language, text }) => language === "yaml" && text.startsWith("storagePath:"));
const transcripts = blocks.filter(({ language }) => language === "jsonl");
const excerpts = blocks.filter((block) => ["js", "yaml"].includes(block.language) && ![...programs, ...configurations].includes(block));

describe("README.md", () => {
  it("has the blocks that the tests below are about", () => {
    expect([programs, configurations, transcripts, excerpts].map(({ length }) => length)).toEqual([1, 1, 2, 3]);
  });

  it("shows a first program that runs as it stands", async () => {
    const model = await startModelServer((_request, answer) => answer.sse(openaiStream(["Hi ", "there"])));
    onTestFinished(() => model.close());
    const env = { STEERABLE_STORAGE_PATH: ":memory:", STEERABLE_PROVIDERS_OPENAI_BASE_URL: `${model.url}/v1`, OPENAI_API_KEY: "sk-of-the-readme" };
    const outcome = await run(process.execPath, ["--input-type=module", "-e", programs[0]!.text], { env });
    expect(outcome).toEqual({ code: 0, stdout: "Hi there", stderr: "" });
    expect(model.requests[0]!.json).toMatchObject({ model: "gpt-4o-mini", messages: [{ role: "user", content: "Say hi" }] });
  });

  it("shows requests and answers as they go over the wire", async () => {
    const [sent, received] = transcripts.map(({ text }) => text.trim().split("\n"));
    const sidecar = await startSidecar();
    const before = sidecar.frames.length;
    for (const line of sent!) sidecar.sendRaw(`${line}\n`);
    await sidecar.until(() => sidecar.frames.length >= before + received!.length, "as many lines as README.md shows");
    const seen = sidecar.frames.slice(before).flat();
    expect(seen.map(withoutIds)).toEqual(received!.map((line) => withoutIds(JSON.parse(line) as Frame)));
  });

  it("shows a configuration that a sidecar starts with", async () => {
    const folder = temporaryFolder();
    const { text } = configurations[0]!;
    writeFileSync(join(folder, "config.yaml"), text);
    const secrets = [...text.matchAll(/\{\{(\w+)\}\}/g)].map(([, name = ""]) => [name, `secret-of-${name}`]);
    const sidecar = await startSidecar({ args: ["--config", join(folder, "config.yaml")], env: Object.fromEntries(secrets) as NodeJS.ProcessEnv });
    expect(await sidecar.call("config.get")).toMatchObject({ storagePath: join(folder, "sidecar.db"), budgets: { session: { maxCostUsd: 2 } } });
  });

  it.each(excerpts.map(({ text }) => [text.trim().split("\n")[0]!, text] as const))('shows "%s" as an example has it', (_firstLine, text) => {
    const sources = readdirSync(join(root, "examples")).map((file) => readFileSync(join(root, "examples", file), "utf8"));
    expect(sources.filter((source) => holds(source, text))).toHaveLength(1);
  });

  it("shows what the example with approvals prints", async () => {
    const output = blocks.find(({ language }) => language === "text")!.text;
    expect((await run(process.execPath, [join(root, "examples/approval.mjs")])).stdout).toBe(output);
  });

  it("leads to files and headings that are there", () => {
    const targets = [...readme.matchAll(/\]\(([^)]+)\)/g)].map(([, target = ""]) => target).filter((target) => !target.startsWith("https:"));
    expect(targets.length).toBeGreaterThan(10);
    for (const target of targets) {
      const [path = "", anchor] = target.split("#");
      const file = join(root, path === "" ? "README.md" : path);
      expect(existsSync(file), target).toBe(true);
      if (anchor !== undefined) expect(anchorsOf(readFileSync(file, "utf8")), target).toContain(anchor);
    }
  });
});

/** Whether the lines of `part` stand in `whole` one after the other, however far to the right. */
function holds(whole: string, part: string): boolean {
  const wanted = part.trimEnd().split("\n");
  const lines = whole.split("\n");
  return lines.some((first, start) => {
    const margin = " ".repeat(first.length - first.trimStart().length);
    return wanted.every((line, index) => lines[start + index] === (line === "" ? "" : margin + line));
  });
}

function anchorsOf(markdown: string): string[] {
  return [...markdown.matchAll(/^#+ (.+)$/gm)].map(([, heading = ""]) =>
    heading
      .toLowerCase()
      .replaceAll(/[^\w\- ]/g, "")
      .replaceAll(" ", "-"),
  );
}

function withoutIds(frame: Frame): unknown {
  return JSON.parse(JSON.stringify(frame).replaceAll(/"(str|tr)_\w+"/g, '"$1_"'));
}
