// Commands that the sidecar asks about before it runs them: one is allowed, one is denied.
import { mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { spawn } from "steerable-sidecar/client";

const folder = await mkdtemp(join(tmpdir(), "sidecar-example-"));
const work = join(folder, "work");
await mkdir(join(work, "build"), { recursive: true });
await writeFile(
  join(folder, "config.yaml"),
  `
tools:
  builtin: [run_command]
  roots: [work]
`,
);

// What the model says, so that no key is needed: two commands in one answer, then a last word.
const script = join(folder, "script.json");
const commands = ["echo v2 > version.txt", "rm -rf build"];
const calls = commands.map((command) => ({ toolCall: { name: "run_command", arguments: { command } } }));
await writeFile(script, JSON.stringify({ turns: [{ events: calls }, { events: [{ delta: "The version is set. I have left the build alone." }] }] }));

const sidecar = await spawn({
  storagePath: ":memory:",
  config: join(folder, "config.yaml"),
  logLevel: "ERROR",
  // An app would show all three to a person.
  onApproval({ call, mode, reason }) {
    console.log(`may it run?      ${call.arguments.command} (${mode}: ${reason})`);
    return mode === "destructive" ? { decision: "deny", reason: "The build is still needed." } : "allow";
  },
});

try {
  const stream = sidecar.stream({
    provider: "scripted",
    providerOptions: { script },
    messages: [{ role: "user", content: "Set the version to v2 and clean up." }],
    useTools: ["run_command"],
  });
  for await (const { delta, toolResult } of stream) {
    if (toolResult?.success) console.log(`it ran           exit code ${toolResult.data.exitCode}`);
    if (toolResult?.success === false) console.log(`it did not run   ${toolResult.kind}: ${toolResult.error}`);
    if (delta) console.log(`the model says   ${delta}`);
  }
  console.log(`the folder has   ${(await readdir(work)).join(", ")}`);
} finally {
  await sidecar.stop();
  await rm(folder, { recursive: true, force: true });
}
