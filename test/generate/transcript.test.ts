import { mkdirSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { openaiStream, startModelServer } from "../support/model-server.ts";
import { type Frame, spawnSidecar, startSidecar, temporaryFolder } from "../support/sidecar.ts";
import { type TranscriptLine, transcripts } from "./document.ts";

/** Keys of values that differ from run to run. */
const ids = ["sessionId", "streamId", "turnId", "messageId", "traceId"];
const times = ["createdAt", "updatedAt", "uptimeMs", "durationMs", "iso", "local", "weekday"];
const varying = new Set([...ids, ...times, "pid", "platform", "message"]);

describe("the first session in protocol.md", () => {
  it("is what the process says when a host follows it line by line", async () => {
    const [transcript] = transcripts;
    const sidecar = spawnSidecar({ args: ["--storage-path", `${temporaryFolder()}/sidecar.db`] });
    await sidecar.notification("lifecycle.ready");
    let sessionId = "";
    for (const { from, text } of transcript!) {
      if (from !== "host") continue;
      const request = JSON.parse(text.replaceAll(/sess_\w+/g, sessionId)) as Frame;
      sidecar.send(request);
      const { result } = await sidecar.reply(request.id as number);
      const { sessionId: session, streamId: stream } = (result ?? {}) as { sessionId?: string; streamId?: string };
      if (session !== undefined) sessionId = session;
      if (stream !== undefined) await sidecar.terminal(stream);
    }
    expect(await sidecar.exit).toEqual({ code: 0, signal: null });

    const expected = transcript!.filter(({ from }) => from === "sidecar").map(({ text }) => JSON.parse(text) as Frame);
    expect(withoutVariation(sidecar.frames.flat())).toEqual(withoutVariation(expected));

    const marker = transcript!.find(({ from }) => from === "stderr")!.text;
    const actual = sidecar.stderr.split("\n").find((line) => line.startsWith("__SIDECAR_READY__:"))!;
    expect(withoutVariation(JSON.parse(actual.slice(18)))).toEqual(withoutVariation(JSON.parse(marker.slice(18))));
  });
});

describe("the turns in protocol.md", () => {
  const turns = transcripts.filter((lines) => lines.some(({ text }) => text.includes('"provider":"openai"')));

  it.each(turns.map((lines) => [questionOf(lines), lines] as const))('"%s" is what host, sidecar and model say in this order', async (_question, lines) => {
    const sidecar = await startSidecar(await settingsFor(lines));
    for (const sessionId of new Set(lines.flatMap(({ text }) => text.match(/sess_\w+/) ?? []))) {
      sidecar.send({ jsonrpc: "2.0", id: sessionId, method: "agent.session.create", params: { sessionId } });
      await sidecar.reply(sessionId);
    }
    let seen = sidecar.frames.length;
    for (const { from, text } of lines) {
      if (from === "host") {
        sidecar.sendRaw(`${text}\n`);
        continue;
      }
      await sidecar.until(() => sidecar.frames.length > seen, text);
      expect(withoutVariation(sidecar.frames[seen++])).toEqual(withoutVariation(JSON.parse(text)));
    }
    sidecar.send({ jsonrpc: "2.0", id: "end", method: "system.ping" });
    await sidecar.reply("end");
    expect(sidecar.frames).toHaveLength(seen + 1);
  });
});

function questionOf(lines: readonly TranscriptLine[]): string {
  return /"role":"user","content":"([^"]+)"/.exec(lines.map(({ text }) => text).join("\n"))![1]!;
}

const everything = createRequire(import.meta.url).resolve("@modelcontextprotocol/server-everything/dist/index.js");

/** A model server that says what the model says in the transcript, and a configuration with the tools that occur. */
async function settingsFor(lines: readonly TranscriptLine[]) {
  const answers = answersIn(lines);
  const model = await startModelServer((_request, answer) => answer.sse(answers[model.requests.length - 1]!));
  onTestFinished(() => model.close());
  const folder = temporaryFolder();
  mkdirSync(join(folder, "work/build"), { recursive: true });
  const builtin = ["get_time", "run_command"].filter((name) => lines.some(({ text }) => text.includes(`"useTools":["${name}"]`)));
  const usesMcp = lines.some(({ text }) => text.includes('"mcp__everything__'));
  const mcpServers = usesMcp ? `mcpServers: { everything: { command: "${process.execPath}", args: ["${everything}"] } }\n` : "";
  writeFileSync(join(folder, "config.yaml"), `storagePath: ./sidecar.db\ntools: { builtin: [${builtin.join(", ")}], roots: [work] }\n${mcpServers}`);
  return {
    args: ["--config", join(folder, "config.yaml")],
    env: { STEERABLE_PROVIDERS_OPENAI_BASE_URL: `${model.url}/v1`, OPENAI_API_KEY: "sk-of-the-transcript" },
  };
}

interface Chunk {
  delta?: string;
  toolCall?: { id: string; name: string; arguments: object };
  toolResult?: object;
  usage?: { promptTokens: number; completionTokens: number; totalTokens: number };
  finishReason?: string;
}

/** The answers of the model, one event stream for each model call: a result of a tool or a finish ends one. */
function answersIn(lines: readonly TranscriptLine[]): string[][] {
  const answers: string[][] = [];
  let parts: (string | object)[] = [];
  let usage: Chunk["usage"];
  const finish = (finishReason: string) => {
    if (parts.length === 0) return;
    const counted = usage && { prompt_tokens: usage.promptTokens, completion_tokens: usage.completionTokens, total_tokens: usage.totalTokens };
    answers.push(openaiStream(parts, { finishReason, usage: counted }));
    parts = [];
    usage = undefined;
  };
  for (const { from, text } of lines) {
    const frame = JSON.parse(text) as Frame;
    if (from !== "sidecar" || frame.method !== "stream.chunk") continue;
    const chunk = frame.params as Chunk;
    if (chunk.delta !== undefined) parts.push(chunk.delta);
    if (chunk.toolCall !== undefined) {
      const { id, name, arguments: args } = chunk.toolCall;
      parts.push({ tool_calls: [{ index: 0, id, type: "function", function: { name, arguments: JSON.stringify(args) } }] });
    }
    usage = chunk.usage ?? usage;
    if (chunk.toolResult !== undefined) finish("tool_calls");
    if (chunk.finishReason !== undefined) finish(chunk.finishReason);
  }
  return answers;
}

function withoutVariation(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value, (key, item: unknown) => (varying.has(key) ? `<${key}>` : item))) as unknown;
}
