import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { startSidecar, temporaryFolder, type TestSidecar } from "../support/sidecar.ts";

interface TraceRecord {
  trace: Record<string, unknown>;
  spans: Record<string, unknown>[];
  events: Record<string, unknown>[];
}

async function turn(sidecar: TestSidecar, sessionId?: string): Promise<string> {
  const streamId = await sidecar.stream({ provider: "echo", model: "parrot", messages: [{ role: "user", content: "hi there" }], sessionId });
  return String((await sidecar.terminal(streamId)).params?.["traceId"]);
}

describe("a trace", () => {
  it("has the seed's shapes and is there when the terminal is", async () => {
    const sidecar = await startSidecar();
    await sidecar.call("agent.session.create", { sessionId: "s", chatId: "c", userId: "u" });
    const traceId = await turn(sidecar, "s");
    const { trace, spans, events } = await sidecar.call<TraceRecord & Record<string, unknown>>("trace.fetch", { traceId });
    expect(trace).toMatchObject({
      traceId,
      sessionId: "s",
      chatId: "c",
      userId: "u",
      status: "completed",
      hadError: false,
      modelId: "parrot",
      spanCount: spans.length,
      eventCount: events.length,
      totalTokens: expect.any(Number),
      assistantMessageId: expect.any(String),
    });
    expect(spans).toMatchObject([
      {
        name: "llm.generate",
        kind: "llm",
        status: "ok",
        traceId,
        startMs: expect.any(Number),
        endMs: expect.any(Number),
        attrs: { attempt: 1, provider: "echo" },
      },
    ]);
    expect(events.map((event) => event["sequence"])).toEqual(events.map((_, index) => index));
    expect(events.map((event) => event["name"])).toEqual(expect.arrayContaining(["turn.start", "llm.request", "turn.end"]));
  });

  it("survives a restart and is listed newest first, page by page", async () => {
    const args = ["--storage-path", join(temporaryFolder(), "sidecar.db")];
    const first = await startSidecar({ args });
    await first.call("agent.session.create", { sessionId: "s" });
    const ids: string[] = [];
    for (let index = 0; index < 5; index++) ids.unshift(await turn(first, index % 2 === 0 ? "s" : undefined));
    await first.call("system.shutdown");
    const second = await startSidecar({ args });
    const list = async (params: object) => second.call<{ traces: { traceId: string }[]; nextCursor?: string }>("trace.list", params);
    const seen: string[] = [];
    let cursor: string | undefined;
    do {
      const page = await list({ limit: 2, cursor });
      seen.push(...page.traces.map((trace) => trace.traceId));
      cursor = page.nextCursor;
    } while (cursor !== undefined);
    expect(seen).toEqual(ids);
    expect((await list({ sessionId: "s" })).traces).toHaveLength(3);
    expect((await list({ status: "error" })).traces).toEqual([]);
    expect((await second.request("trace.fetch", { traceId: "tr_none" })).error).toMatchObject({
      code: -32004,
      kind: "invalid_request",
      data: { code: "trace_not_found" },
    });
  });

  it("can be watched live when that is switched on, and is silent otherwise", async () => {
    const sidecar = await startSidecar();
    await turn(sidecar);
    expect(sidecar.frames.flat().some((frame) => frame.method === "trace.event")).toBe(false);
    await sidecar.call("config.set", { trace: { events: true } });
    const traceId = await turn(sidecar);
    await sidecar.notification("trace.event", (params) => params["name"] === "turn.end" && params["traceId"] === traceId);
    const live = sidecar.frames
      .flat()
      .filter((frame) => frame.method === "trace.event")
      .map((frame) => frame.params);
    const { events } = await sidecar.call<TraceRecord & Record<string, unknown>>("trace.fetch", { traceId });
    expect(live).toEqual(events);
  });
});
