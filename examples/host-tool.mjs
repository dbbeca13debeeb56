// A tool of the host: the model calls it in the middle of a turn, and it runs in this process.
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { spawn } from "steerable-sidecar/client";

// What the model says, so that no key is needed. With a real model, put `provider: "openai", model: "…"` below.
const folder = await mkdtemp(join(tmpdir(), "sidecar-example-"));
const script = join(folder, "script.json");
const firstAnswer = { events: [{ toolCall: { name: "set_theme", arguments: { theme: "dark" } } }] };
const lastAnswer = { events: [{ delta: "Easier on the eyes now?" }] };
await writeFile(script, JSON.stringify({ turns: [firstAnswer, lastAnswer] }));

const app = { theme: "light" };
const sidecar = await spawn({ storagePath: ":memory:", logLevel: "ERROR" });

try {
  await sidecar.tools.register({
    name: "set_theme",
    description: "Sets the colours of the app.",
    parameters: { type: "object", properties: { theme: { enum: ["light", "dark"] } }, required: ["theme"] },
    run({ theme }) {
      const before = app.theme;
      app.theme = theme;
      return { before, after: theme };
    },
  });

  const stream = sidecar.stream({
    provider: "scripted",
    providerOptions: { script },
    messages: [{ role: "user", content: "It is getting late." }],
    useTools: ["set_theme"],
  });
  for await (const { delta, toolCall, toolResult } of stream) {
    if (toolCall) console.log(`the model calls  ${toolCall.name} ${JSON.stringify(toolCall.arguments)}`);
    if (toolResult) console.log(`the host gives   ${toolResult.data.before} -> ${toolResult.data.after}`);
    if (delta) console.log(`the model says   ${delta}`);
  }
  console.log(`the app is       ${app.theme}`);
} finally {
  await sidecar.stop();
  await rm(folder, { recursive: true, force: true });
}
