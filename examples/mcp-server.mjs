// Tools of an MCP server: the configuration names the server, the sidecar starts it, models use it.
import { mkdtemp, realpath, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { spawn } from "steerable-sidecar/client";

const folder = await realpath(await mkdtemp(join(tmpdir(), "sidecar-example-")));
await writeFile(join(folder, "note.txt"), "Milk, bread, a good book.");

// From node_modules, so that nothing is downloaded; elsewhere, `command: npx` and `args: [-y, …]` do.
const server = fileURLToPath(import.meta.resolve("@modelcontextprotocol/server-filesystem/dist/index.js"));
await writeFile(
  join(folder, "config.yaml"),
  `
mcpServers:
  files:
    command: node
    args: ["{{FILES_SERVER}}", .]
`,
);

// What the model says, so that no key is needed.
const script = join(folder, "script.json");
const firstAnswer = { events: [{ toolCall: { name: "mcp__files__read_text_file", arguments: { path: join(folder, "note.txt") } } }] };
const lastAnswer = { events: [{ delta: "You wanted to buy three things." }] };
await writeFile(script, JSON.stringify({ turns: [firstAnswer, lastAnswer] }));

const sidecar = await spawn({ storagePath: ":memory:", config: join(folder, "config.yaml"), env: { FILES_SERVER: server }, logLevel: "ERROR" });

try {
  const tools = await sidecar.tools.list();
  console.log(`tools            ${tools.length}, the first is ${tools[0].function.name}`);

  const stream = sidecar.stream({
    provider: "scripted",
    providerOptions: { script },
    messages: [{ role: "user", content: "What did I want to buy?" }],
    useTools: ["mcp__files__*"],
  });
  for await (const { delta, toolCall, toolResult } of stream) {
    if (toolCall) console.log(`the model calls  ${toolCall.name}`);
    if (toolResult) console.log(`the server gives ${toolResult.data.text}`);
    if (delta) console.log(`the model says   ${delta}`);
  }

  const { children } = await sidecar.children();
  console.log(`now running      ${children.map(({ kind, name }) => [kind, name].join(" ").trimEnd()).join(", ")}`);
} finally {
  await sidecar.stop();
  await rm(folder, { recursive: true, force: true });
}
