import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { parse as parseYaml } from "yaml";
import type { ZodType } from "zod";
import { Config } from "../../src/contract/config.ts";
import { defaults } from "../../src/contract/defaults.ts";
import { oneShot } from "../../src/contract/http/completions.ts";
import { rawRoutes, routes } from "../../src/contract/http/index.ts";
import { hostRequests, methods, type MethodName, notifications } from "../../src/contract/index.ts";
import { ToolFailureKind, ToolMode } from "../../src/contract/model.ts";
import { errorTable, failureTable } from "../../src/errors.ts";
import { protocolDocument } from "../../src/generate/protocol.ts";
import { scripted } from "../../src/providers/scripted.ts";
import { providers } from "../../src/registry.ts";
import { modeOf } from "../../src/tools/tool.ts";
import { anchors, blocks, links, protocol, type TranscriptLine, transcripts } from "./document.ts";
import { faults } from "./validator.ts";

type Frame = { id?: unknown; method?: string; params?: unknown; result?: unknown; error?: unknown };

/** Every line, with the spaces of tables taken out. */
const rows = protocol.split("\n").map((line) => line.replace(/ +/g, " "));

/** What is wrong with frames that were exchanged in this order. */
function faultsOf(frames: readonly { from: "host" | "sidecar"; frame: Frame }[]): string[] {
  /** Where the answer to each request is described, by the side that has asked. */
  const asked = { host: new Map<unknown, string>(), sidecar: new Map<unknown, string>() };
  return frames.flatMap(({ from, frame }) => {
    const [prefix, other] = from === "host" ? (["", "sidecar"] as const) : (["host:", "host"] as const);
    const outside = faults(from === "host" ? "MessageToSidecar" : "MessageToHost", frame);
    if (frame.method !== undefined) {
      if (frame.id !== undefined) asked[from].set(frame.id, `${prefix}${frame.method}.result`);
      return outside;
    }
    const answered = asked[other].get(frame.id);
    if (answered === undefined) return [...outside, `nothing was asked with the id ${String(frame.id)}`];
    return [...outside, ...("result" in frame ? faults(answered, frame.result) : [])];
  });
}

function parsed(lines: readonly TranscriptLine[]) {
  return lines.flatMap(({ from, text }) => (from === "stderr" ? [] : [{ from, frame: JSON.parse(text) as Frame }]));
}

describe("protocol.md", () => {
  it("names every method, notification, request to the host, error and kind of failure", () => {
    const ofHost = Object.keys(hostRequests).map((name) => `host:${name}`);
    for (const name of [...Object.keys(methods), ...Object.keys(notifications), ...ofHost]) expect(protocol).toContain(`\n### ${name}\n`);
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

describe("the tables of tools in protocol.md", () => {
  it("list the built-in tools that the configuration can switch on, in a table", () => {
    const { options } = Config.shape.tools.unwrap().shape.builtin.unwrap().element;
    for (const name of options) expect(rows.filter((row) => row.startsWith(`| \`${name}\` |`))).toHaveLength(1);
  });

  it("say what each kind of failure, mode and decision means, and leave none out", () => {
    const { decision } = hostRequests["approval.request"].result.shape;
    const { phase } = notifications["stream.status"].params.shape;
    for (const word of [...ToolFailureKind.options, ...ToolMode.options, ...decision.options, ...phase.options])
      expect(rows.some((row) => row.startsWith(`| \`${word}\` |`))).toBe(true);
  });

  it("name the beginnings that a mode follows from, and what happens then", () => {
    for (const mode of ToolMode.options) {
      const [, , beginnings, decision] = rows.find((row) => row.startsWith(`| \`${mode}\` |`))!.split(" | ");
      for (const [, beginning] of beginnings!.matchAll(/`(\w+_)`/g)) expect(modeOf(`${beginning}thing`)).toBe(mode);
      expect(decision).toContain(`\`${Config.parse({}).policy.modes[mode]}\``);
    }
    expect(modeOf("thing")).toBe("other");
  });
});

describe("the table of configuration keys in protocol.md", () => {
  const key = (path: string) => rows.find((row) => row.startsWith(`| \`${path}\` |`));

  it("shows keys inside lists and maps, with their defaults and whether they are required", () => {
    expect(key("tools.process[].name")).toContain("| (required) |");
    expect(key("tools.process[].env")).toContain('| `["PATH","HOME"]` |');
    expect(key("mcpServers.*.startTimeoutMs")).toContain("| `30000` |");
    expect(key("prices.*.inputPerMTok")).toContain("| (required) |");
    expect(key("tools.parallel")).toContain("| `16` |");
    expect(key("compaction.share")).toContain("| number (0.1 to 0.95) | `0.8` |");
  });

  it("refers to shapes that have a table of their own, and tells a key without words by the object around it", () => {
    expect(key("budgets.session")).toContain("| [Budget](#budget) |");
    expect(key("policy.modes.read")).toContain("What happens when a model calls a tool of this mode.");
  });
});

describe("the YAML in protocol.md", () => {
  it.each(blocks("yaml").map((lines) => [lines[0]!, lines.join("\n")]))("%s … is a configuration that is accepted", (_first, text) => {
    expect(Config.safeParse(parseYaml(text))).toMatchObject({ success: true });
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
    const toSidecar = (frame: Frame) => frame.method?.startsWith("$/") === true || String(frame.id).startsWith("srv_");
    for (const frame of single) expect(faults(toSidecar(frame) ? "MessageToSidecar" : "MessageToHost", frame)).toEqual([]);
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
    expect(transcripts).toHaveLength(6 + Object.keys(hostRequests).length);
    for (const lines of transcripts) expect(faultsOf(parsed(lines))).toEqual([]);
  });

  it("show each request to the host with its answer, under its heading", () => {
    const examples = transcripts.filter((lines) => lines.length === 2).map(parsed);
    expect(examples.map(([request]) => request!.frame.method)).toEqual(Object.keys(hostRequests));
    for (const [request, answer] of examples) {
      expect([request!.from, answer!.from]).toEqual(["sidecar", "host"]);
      expect(answer!.frame.id).toBe(request!.frame.id);
      const section = protocol.split(`\n### host:${request!.frame.method}\n`)[1]!.split("\n### ")[0]!;
      expect(section).toContain(JSON.stringify(request!.frame));
    }
  });

  it("show each call with one result, and results of calls that were made", () => {
    for (const lines of transcripts.map(parsed)) {
      const chunks = lines
        .filter(({ frame }) => frame.method === "stream.chunk")
        .map(({ frame }) => frame.params as { toolCall?: { id: string }; toolResult?: { id: string } });
      const results = chunks.flatMap(({ toolResult }) => toolResult?.id ?? []);
      expect(results).toEqual([...new Set(results)]);
      expect(chunks.flatMap(({ toolCall }) => toolCall?.id ?? [])).toEqual(expect.arrayContaining(results));
    }
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

describe("the chapter on HTTP in protocol.md", () => {
  const chapter = protocol.split("\n## HTTP\n")[1]!.split("\n## ")[0]!;

  it("lists every route with what a key needs for it", () => {
    for (const { verb, path } of [...routes, ...Object.values(rawRoutes)]) expect(chapter).toContain(`| \`${verb} ${path}\` |`);
    expect(chapter).toMatch(/^\| `GET \/health` \|.*\| open \|$/m);
    expect(chapter).toMatch(/^\| `POST \/v1\/completions` \|.*\(#agentchatcomplete\) \| `write` \|$/m);
    expect(chapter).toMatch(/^\| `GET \/status` \|.*\| `read`; open with `api.public: \[status\]` \|$/m);
  });

  it("says the limits that hold when nobody says otherwise", () => {
    const { max_body_bytes, rate_limit_per_minute, max_concurrent_requests, max_sessions, request_timeout_seconds } = defaults.api;
    const { head_timeout_seconds, receive_timeout_seconds, keep_alive_seconds } = defaults.api;
    const limit = (key: string) => chapter.split("\n").find((row) => row.replace(/ +/g, " ").endsWith(`\`api.${key}\` |`))!;
    expect(limit("limits.max_body_bytes")).toContain(`${max_body_bytes / 1024 ** 2} MiB`);
    expect(limit("limits.rate_limit_per_minute")).toContain(`${rate_limit_per_minute} in any minute`);
    expect(limit("limits.dispatch_limit_per_minute")).toContain(`${rate_limit_per_minute / 4}`);
    expect(limit("limits.max_concurrent_requests")).toContain(`${max_concurrent_requests}, else 503`);
    expect(limit("limits.max_sessions")).toContain(`${max_sessions} open at a time`);
    expect(limit("request_timeout_seconds")).toContain(`${request_timeout_seconds} seconds`);
    expect(limit("receive_timeout_seconds")).toContain(`${head_timeout_seconds} and ${receive_timeout_seconds} seconds`);
    expect(limit("keep_alive_seconds")).toContain(`${keep_alive_seconds} seconds`);
    expect(protocol).toContain(`\`api.shutdown_grace_seconds\` (${defaults.api.shutdown_grace_seconds})`);
  });

  it("shows events that tellers tell, and an error as it is answered", () => {
    const [error, events] = blocks("http");
    const told = events!.filter((line) => line.startsWith("event: ")).map((line) => line.slice("event: ".length));
    expect(told).toEqual(["started", "assistant_delta", "assistant_delta", "finished"]);
    const schemas = oneShot.stream!.events as Readonly<Record<string, ZodType>>;
    for (const [index, line] of events!.filter((each) => each.startsWith("data: ")).entries())
      expect(schemas[told[index]!]!.safeParse(JSON.parse(line.slice("data: ".length)))).toMatchObject({ success: true });
    const { code, message } = (JSON.parse(error!.at(-1)!) as { error: { code: keyof typeof errorTable; message: string } }).error;
    expect(error![0]).toContain(` ${errorTable[code].http} `);
    expect(message).toBe(errorTable[code].message);
  });

  it("is where the table of errors sends those who look for an error of the transport", () => {
    for (const code of ["unauthorized", "forbidden", "rate_limited", "not_enabled"] as const)
      expect(protocol).toMatch(new RegExp(`^\\|.*\\| ${errorTable[code].http} \`${code}\` \\| \\[HTTP\\]\\(#http\\) \\|$`, "m"));
  });
});

describe("making protocol.md", () => {
  const wholeChapter = ["help", "limits", "failures", "config", "routes", "method-list", "methods", "notifications", "host-requests", "shapes", "errors"]
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
