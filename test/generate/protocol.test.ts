import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { methods, type MethodName, notifications } from "../../src/contract/index.ts";
import { errorTable, failureTable } from "../../src/errors.ts";
import { protocolDocument } from "../../src/generate/protocol.ts";
import { scripted } from "../../src/providers/scripted.ts";
import { providers } from "../../src/registry.ts";
import { anchors, blocks, links, protocol, type TranscriptLine, transcripts } from "./document.ts";
import { faults } from "./validator.ts";

type Frame = { id?: unknown; method?: string; params?: unknown; result?: unknown; error?: unknown };

/** What is wrong with frames that were exchanged in this order. */
function faultsOf(frames: readonly { from: string; frame: Frame }[]): string[] {
  const asked = new Map<unknown, string>();
  return frames.flatMap(({ from, frame }) => {
    if (from === "host") {
      if (frame.method !== undefined && frame.id !== undefined) asked.set(frame.id, frame.method);
      return faults("MessageToSidecar", frame);
    }
    const outside = faults("MessageToHost", frame);
    const method = asked.get(frame.id);
    if (frame.id !== undefined && frame.error === undefined && method === undefined) return [...outside, `nothing was asked with the id ${String(frame.id)}`];
    return [...outside, ...("result" in frame && method !== undefined ? faults(`${method}.result`, frame.result) : [])];
  });
}

function parsed(lines: readonly TranscriptLine[]) {
  return lines.filter(({ from }) => from !== "stderr").map(({ from, text }) => ({ from, frame: JSON.parse(text) as Frame }));
}

describe("protocol.md", () => {
  it("names every method, notification, error and kind of failure", () => {
    for (const name of [...Object.keys(methods), ...Object.keys(notifications)]) expect(protocol).toContain(`\n### ${name}\n`);
    for (const { code, kind, message } of Object.values(errorTable))
      expect(protocol).toMatch(new RegExp(`^\\| ${code} \\| \`${kind}\` \\|.*${message}\\.`, "m"));
    for (const [kind, { retryable }] of Object.entries(failureTable)) expect(protocol).toContain(`| \`${kind}\` | ${retryable} |`);
  });

  it("has no link that leads nowhere", () => {
    expect(links.length).toBeGreaterThan(100);
    expect(links.filter((link) => !link.startsWith("#") || !anchors.has(link.slice(1)))).toEqual([]);
  });

  it("has no hole that was not filled", () => {
    expect(protocol).not.toMatch(/<!-- (generated:|contents)/);
    expect(protocol).not.toContain("undefined");
    expect(protocol).not.toContain("[object Object]");
  });

  it("shows as many cells in every row of a table as the table has columns", () => {
    const tables = [...protocol.matchAll(/(?:^\|.*\|\n)+/gm)].map(([table]) => table.trimEnd().split("\n"));
    const cells = (row: string) => row.replace(/\\\|/g, "").split("|").length;
    expect(tables.length).toBeGreaterThan(40);
    expect(tables.flatMap(([head, ...rows]) => rows.filter((row) => cells(row) !== cells(head!)))).toEqual([]);
  });

  it("lists the providers that there are", () => {
    const rows = protocol.split("\n").map((line) => line.replace(/ +/g, " "));
    for (const { name, aliases, localAliases = {}, defaultBaseUrl, apiKeyVariable, needsModel } of providers) {
      for (const [alias, address] of Object.entries(localAliases)) expect(rows.find((line) => line.startsWith(`| \`${alias}\` |`))).toContain(`\`${address}\``);
      const names = [name, ...aliases]
        .filter((alias) => !(alias in localAliases))
        .map((alias) => `\`${alias}\``)
        .join(", ");
      const row = rows.find((line) => line.startsWith(`| ${names} |`));
      expect(row).toContain(`| ${needsModel ? "yes" : "no"} |`);
      for (const fact of [defaultBaseUrl, apiKeyVariable]) if (fact !== undefined) expect(row).toContain(`\`${fact}\``);
    }
  });
});

describe("the JSON in protocol.md", () => {
  const frames = blocks("jsonl").map((block) => block.map((line) => JSON.parse(line) as Frame));
  const values = blocks("json").map((block) => JSON.parse(block.join("\n")) as object);

  it("is a request and its answer for each method, as they go over the wire", () => {
    const examples = frames.filter((block) => block.length === 2);
    expect(examples.map(([request]) => request!.method)).toEqual(Object.keys(methods));
    for (const [request, answer] of examples)
      expect(
        faultsOf([
          { from: "host", frame: request! },
          { from: "sidecar", frame: answer! },
        ]),
      ).toEqual([]);
  });

  it("shows frames that fit the schema", () => {
    const single = frames.filter((block) => block.length === 1).flat();
    expect(single.length).toBeGreaterThanOrEqual(Object.keys(notifications).length);
    for (const frame of single) expect(faults(frame.method?.startsWith("$/") ? "MessageToSidecar" : "MessageToHost", frame)).toEqual([]);
  });

  it("shows params that can be sent, and a script that can be played", async () => {
    const [script, params, ...more] = values;
    expect(more).toEqual([]);
    expect(methods["agent.chat.stream"].params.safeParse(params)).toMatchObject({ success: true });
    expect(faults("agent.chat.stream.params", params)).toEqual([]);
    await expectPlayable(script!);
  });

  async function expectPlayable(script: object): Promise<void> {
    const folder = await mkdtemp(join(tmpdir(), "protocol-script-"));
    try {
      const file = join(folder, "script.json");
      await writeFile(file, JSON.stringify(script));
      const settings = { baseUrl: undefined, apiKey: undefined, idleTimeoutMs: 10_000, connectTimeoutMs: 10_000, script: file };
      const request = {
        model: undefined,
        messages: [{ role: "user" as const, content: "hi" }],
        tools: undefined,
        temperature: undefined,
        maxTokens: undefined,
        providerOptions: undefined,
      };
      const events = [];
      for await (const batch of scripted.stream(request, settings, new AbortController().signal)) events.push(...batch);
      expect(events.at(-1)).toEqual({ type: "finish", reason: "tool_calls" });
    } finally {
      await rm(folder, { recursive: true });
    }
  }
});

describe("the transcripts in protocol.md", () => {
  it("hold frames that fit the schemas, and answers to what was asked", () => {
    expect(transcripts).toHaveLength(2);
    for (const lines of transcripts) expect(faultsOf(parsed(lines))).toEqual([]);
  });

  it("keep the rules of streams: reply first, seq without gaps, one end", () => {
    for (const lines of transcripts) {
      const open = new Map<string, number>();
      for (const { frame } of parsed(lines)) {
        const started = (frame.result as { streamId?: string } | null | undefined)?.streamId;
        if (started !== undefined) open.set(started, 0);
        if (!frame.method?.startsWith("stream.")) continue;
        const { streamId, seq } = frame.params as { streamId: string; seq: number };
        expect(open.get(streamId)).toBe(seq);
        open.set(streamId, seq + 1);
        if (frame.method !== "stream.chunk") open.delete(streamId);
      }
      expect(open.size).toBe(0);
    }
  });

  it("start with a marker that holds a health report", () => {
    const marker = transcripts[0]![0]!;
    expect(marker.from).toBe("stderr");
    expect(marker.text).toMatch(/^__SIDECAR_READY__:\{/);
    expect(faults("Health", JSON.parse(marker.text.slice("__SIDECAR_READY__:".length)))).toEqual([]);
  });
});

describe("making protocol.md", () => {
  const wholeChapter = ["help", "limits", "failures", "config", "method-list", "methods", "notifications", "shapes", "errors"]
    .map((name) => `<!-- generated: ${name} -->`)
    .join("\n");

  it("fails when a chapter asks for a part that there is not", () => {
    expect(() => protocolDocument([`${wholeChapter}\n<!-- generated: recipes -->`])).toThrow(/no generated part "recipes"/);
  });

  it("fails when no chapter shows a part", () => {
    expect(() => protocolDocument([wholeChapter.replace("<!-- generated: errors -->", "")])).toThrow("no chapter of protocol.md shows errors");
  });

  it("says of every method which errors it raises", () => {
    const names = Object.keys(methods) as MethodName[];
    for (const name of names) {
      const section = protocol.split(`\n### ${name}\n`)[1]!.split("\n### ")[0]!;
      for (const error of methods[name].errors) expect(section).toMatch(new RegExp(`\\*\\*Errors\\*\\*:.*\`${error}\``));
    }
  });
});
