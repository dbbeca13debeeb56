import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { at, descriptor, startModel } from "../support/agent.ts";
import { NO_ANSWER, startSidecar, temporaryFolder } from "../support/sidecar.ts";

describe("stream.status", () => {
  it("tells what a turn waits for, whenever that changes, between the reply and the end", async () => {
    const model = await startModel([[{ id: "c1", name: "order_tea" }], "done"]);
    const sidecar = await startSidecar();
    sidecar.onRequest((method) => (method === "approval.request" ? { decision: "allow" } : "tea"));
    await sidecar.call("system.initialize", { clientInfo: { name: "t" }, capabilities: { status: true, approvals: true } });
    await sidecar.call("tool.register", { tools: [descriptor("order_tea", { timeoutMs: 12_345 })] });
    const streamId = await sidecar.stream(at(model, { useTools: ["*"], idleTimeoutMs: 50_000 }));
    await sidecar.terminal(streamId);
    const told = sidecar.notifications(streamId);
    const phases = told.filter(({ method }) => method === "stream.status").map(({ params }) => [params?.["phase"], params?.["deadlineMs"]]);
    expect(phases).toEqual([
      ["awaiting_first_token", 50_000],
      ["streaming", 3_600_000],
      ["tool", 12_345],
      ["approval", 60_000],
      ["tool", 12_345],
      ["awaiting_first_token", 50_000],
      ["streaming", 3_600_000],
    ]);
    expect(told.at(-1)?.method).toBe("stream.done");
    expect(told.filter(({ method, params }) => method === "stream.status" && "seq" in (params ?? {}))).toEqual([]);
    const reply = sidecar.frames.findIndex((frame) => !Array.isArray(frame) && (frame.result as { streamId?: string } | undefined)?.streamId === streamId);
    expect(sidecar.frames.findIndex((frame) => !Array.isArray(frame) && frame.method === "stream.status")).toBeGreaterThan(reply);
    const seqs = told.flatMap(({ params }) => (params?.["seq"] === undefined ? [] : [params["seq"]]));
    expect(seqs).toEqual(seqs.map((_, index) => index));
  });

  it("says how long a turn may wait for an MCP server to start", async () => {
    const model = await startModel(["done"]);
    const config = join(temporaryFolder(), "config.yaml");
    const silent = { command: process.execPath, args: ["-e", "setInterval(() => undefined, 1000)"], startTimeoutMs: 300 };
    writeFileSync(config, `storagePath: ":memory:"\nmcpServers: ${JSON.stringify({ silent })}\n`);
    const sidecar = await startSidecar({ args: ["--config", config] });
    await sidecar.call("system.initialize", { clientInfo: { name: "t" }, capabilities: { status: true } });
    const streamId = await sidecar.stream(at(model, { useTools: ["*"] }));
    expect((await sidecar.terminal(streamId)).method).toBe("stream.done");
    const [first] = sidecar.notifications(streamId).filter(({ method }) => method === "stream.status");
    expect(first?.params).toMatchObject({ phase: "tool", deadlineMs: 300 });
  });

  it("tells that a turn waits for the one before it, and for the next try", async () => {
    let open: () => void = () => undefined;
    const opened = new Promise<void>((resolve) => {
      open = resolve;
    });
    const model = await startModel(async (_request, answer) => {
      if (model.requests.length > 1) return "ok";
      await opened;
      await answer.respond(503, "busy");
      return undefined;
    });
    const sidecar = await startSidecar();
    await sidecar.call("system.initialize", { clientInfo: { name: "t" }, capabilities: { status: true } });
    const { sessionId } = await sidecar.call("agent.session.create");
    const first = await sidecar.stream(at(model, { sessionId }));
    const second = await sidecar.stream(at(model, { sessionId }));
    await sidecar.notification("stream.status", ({ phase }) => phase === "queued");
    open();
    await sidecar.terminal(second);
    const phases = (streamId: string) =>
      sidecar.notifications(streamId).flatMap(({ method, params }) => (method === "stream.status" ? [params?.["phase"]] : []));
    expect(phases(first)).toEqual(["awaiting_first_token", "backoff", "awaiting_first_token", "streaming"]);
    expect(phases(second)).toEqual(["queued", "awaiting_first_token", "streaming"]);
  });

  it("is repeated while nothing changes", { timeout: 90_000 }, async () => {
    const model = await startModel(() => undefined);
    const sidecar = await startSidecar();
    await sidecar.call("system.initialize", { clientInfo: { name: "t" }, capabilities: { status: true } });
    const streamId = await sidecar.stream(at(model));
    const again = await sidecar.notification("stream.status", ({ sinceMs }) => (sinceMs as number) > 5000);
    expect(again.params).toMatchObject({ streamId, phase: "awaiting_first_token", deadlineMs: 120_000 });
    await sidecar.call("agent.chat.cancel", { streamId });
    await sidecar.terminal(streamId);
  });

  it("is not sent to a host that has not asked for it", async () => {
    const sidecar = await startSidecar();
    const streamId = await sidecar.stream({ provider: "echo", messages: [{ role: "user", content: "hi" }] });
    await sidecar.terminal(streamId);
    expect(sidecar.notifications(streamId).filter(({ method }) => method === "stream.status")).toEqual([]);
  });
});

describe("the deadline of a phase", () => {
  it("ends an answer that never ends, though it always says something", async () => {
    const model = await startModel(async (_request, answer) => {
      await answer.head(200, { "content-type": "text/event-stream" });
      for (;;) {
        await answer.chunk('data: {"choices":[{"index":0,"delta":{"content":"x"}}]}\n\n');
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    });
    const sidecar = await startSidecar();
    sidecar.onRequest(() => NO_ANSWER);
    await sidecar.call("config.set", { providers: { openai: { answerTimeoutMs: 200 } } });
    const streamId = await sidecar.stream(at(model));
    expect((await sidecar.terminal(streamId)).params).toMatchObject({ kind: "timeout", message: expect.stringContaining("200 ms") });
    await model.requests[0]?.closed;
  });
});
