import { readdirSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { root } from "../support/root.ts";
import { python, run } from "./run.ts";

const folder = join(root, "examples");
const interpreter = python();

/** What each prints, line by line. The demo has a test of its own, with the client. */
const outputs = {
  "host-tool.mjs": [
    'the model calls  set_theme {"theme":"dark"}',
    "the host gives   light -> dark",
    "the model says   Easier on the eyes now?",
    "the app is       dark",
  ],
  "approval.mjs": [
    'may it run?      echo v2 > version.txt (other: policy.modes.other is "ask")',
    "it ran           exit code 0",
    "may it run?      rm -rf build (destructive: deletes folders with everything in them: rm -rf build)",
    "it did not run   policy_denied: Denied: The build is still needed.",
    "the model says   The version is set. I have left the build alone.",
    "the folder has   build, version.txt",
  ],
  "mcp-server.mjs": [
    /^tools {12}\d+, the first is mcp__files__\w+$/,
    "the model calls  mcp__files__read_text_file",
    "the server gives Milk, bread, a good book.",
    "the model says   You wanted to buy three things.",
    /^now running {6}mcp files(, custodian)?$/,
  ],
  "host-tool.py": [
    'the model calls  set_theme {"theme": "dark"}',
    "the host gives   light -> dark",
    "the model says   Easier on the eyes now?",
    "the app is       dark",
    "it ended with    exit code 0",
  ],
  "http-only.py": [
    "it is            ok, and its name is alice",
    "the session is   active",
    "the model says   Explain the CAP theorem. (stop)",
    "the session is   closed",
    "it ended with    exit code 0",
  ],
  "http.mjs": [
    "the session is   shopping, with echo:any",
    "the model says   Milk, bread, a good book.",
    "it was asked     1 time",
    "the host finds   user, assistant",
  ],
} satisfies Record<string, (string | RegExp)[]>;

describe("the examples", () => {
  const programs = Object.entries(outputs).map(([file, lines]) => ({ file, lines, command: file.endsWith(".py") ? interpreter : process.execPath }));

  for (const { file, lines, command = "" } of programs) {
    it.skipIf(command === "")(`${file} does what it shows, without a key`, async () => {
      // A key would be of no use: there is nobody to show it to.
      const { code, stdout, stderr } = await run(command, [join(folder, file)], { env: { OPENAI_API_KEY: undefined, ANTHROPIC_API_KEY: undefined } });
      expect(stderr).toBe("");
      expect(stdout.trimEnd().split("\n")).toEqual(lines.map((line) => (typeof line === "string" ? line : expect.stringMatching(line))));
      expect(code).toBe(0);
    });
  }

  it("are all run by a test", () => {
    expect(readdirSync(folder).toSorted()).toEqual(["demo.mjs", ...Object.keys(outputs)].toSorted());
  });
});
