import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { help } from "../../src/flags/help.ts";
import { spawnHttp } from "../support/http.ts";
import { openaiStream, startModelServer } from "../support/model-server.ts";
import { root } from "../support/root.ts";
import { type Frame, startSidecar, temporaryFolder } from "../support/sidecar.ts";
import { until } from "../support/until.ts";
import { run } from "./run.ts";

const readme = readFileSync(join(root, "README.md"), "utf8");
const blocks = [...readme.matchAll(/^```(\w+)\n([\s\S]*?)^```$/gm)].map(([, language = "", text = ""]) => ({ language, text }));
const programs = blocks.filter(({ language, text }) => language === "js" && text.startsWith("import "));
const configurations = blocks.filter(({ language, text }) => language === "yaml" && text.startsWith("storagePath:"));
const transcripts = blocks.filter(({ language }) => language === "jsonl");
const listeners = blocks.filter(({ language, text }) => language === "yaml" && text.startsWith("api:"));
const excerpts = blocks.filter((block) => ["js", "yaml"].includes(block.language) && ![...programs, ...configurations, ...listeners].includes(block));
/** Each with what stands below it as its answer. */
const requests = blocks.flatMap(({ text }, index) => (text.startsWith("curl ") ? [{ command: text, answer: blocks[index + 1]!.text.trim() }] : []));
const canCurl = spawnSync("curl", ["--help", "all"], { encoding: "utf8" }).stdout?.includes(" --json ") === true;

describe("README.md", () => {
  it("has the blocks that the tests below are about", () => {
    expect([programs, configurations, transcripts, excerpts, listeners, requests].map(({ length }) => length)).toEqual([1, 1, 2, 3, 1, 4]);
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

  it.skipIf(!canCurl)("shows requests over HTTP that are answered as it says", { timeout: 120_000 }, async () => {
    const folder = temporaryFolder();
    writeFileSync(join(folder, "claude"), "#!/bin/sh\necho '2.1.20 (Claude Code)'\n", { mode: 0o755 });
    const env = { KEY: "a-key-of-at-least-16-characters" };
    const { url, call } = await spawnHttp({
      args: ["--auth-token", env.KEY],
      env: { PATH: `${folder}:/usr/bin:/bin`, HOME: folder, SLEEVE_NAME: "alice", WORKSPACE_PATH: undefined },
    });
    // Two seconds are what `claude` may take; where that was too short here, it is asked again half a minute later.
    const version = async () => (await call<{ dhf: { version: string | null } }>("GET", "/status", { key: env.KEY })).body.dhf.version;
    await until(version, "the version of claude", 100_000);
    let sessionId = "";
    for (const { command, answer } of requests) {
      const outcome = await run("sh", ["-c", command.replace("http://127.0.0.1:8900", url)], { env: { ...env, ID: sessionId } });
      expect(outcome).toMatchObject({ code: 0, stderr: "" });
      expect(withoutMoments(outcome.stdout.trim())).toBe(withoutMoments(answer));
      sessionId ||= /"session_id":"([^"]+)"/.exec(outcome.stdout)?.[1] ?? "";
    }
  });

  it("shows a configuration of the listener that a sidecar starts with", async () => {
    const config = join(temporaryFolder(), "config.yaml");
    writeFileSync(config, listeners[0]!.text.replace(":8900", ":0"));
    const sidecar = await startSidecar({ args: ["--config", config] });
    // A key is known, so no token is made.
    expect(sidecar.frames[0]).toMatchObject({ params: { listenInfo: { http: { url: expect.stringMatching(/^http:\/\/127\.0\.0\.1:\d+$/) } } } });
    expect(JSON.stringify(sidecar.frames[0])).not.toContain("token");
  });

  it("names every flag of the listener that --help names", () => {
    const flags = [...help.split("HTTP listener")[1]!.matchAll(/^ {2}(--[a-z-]+)/gm)].map(([, flag]) => flag!);
    expect(flags.length).toBeGreaterThanOrEqual(10);
    for (const flag of flags) expect(readme).toMatch(new RegExp(`^\\|.*\`${flag}[\` ]`, "m"));
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

/** Ids, times, and what processes take. */
function withoutMoments(text: string): string {
  return text
    .replaceAll(/[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}/g, "uuid")
    .replaceAll(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, "time")
    .replaceAll(/"(pid|uptime_seconds|memory_mb)":[\d.]+/g, '"$1":0');
}

function withoutIds(frame: Frame): unknown {
  return JSON.parse(JSON.stringify(frame).replaceAll(/"(str|tr)_\w+"/g, '"$1_"'));
}
