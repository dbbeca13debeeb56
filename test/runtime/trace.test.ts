import { describe, expect, it } from "vitest";
import type { TraceEvent } from "../../src/contract/model.ts";
import { LiveTraces, TraceRecorder } from "../../src/runtime/trace.ts";

function recorder() {
  let now = 1000;
  const events: TraceEvent[] = [];
  return {
    recorder: new TraceRecorder(
      { traceId: "tr_1", owner: "ann" },
      { sessionId: "s", chatId: undefined },
      () => now++,
      (event) => events.push(event),
    ),
    events,
  };
}

describe("a trace", () => {
  it("numbers its events, tells each of them, and counts", () => {
    const { recorder: trace, events } = recorder();
    trace.event("lifecycle", "turn.start");
    trace.event("completion", "turn.end", { status: "completed" }, "ok");
    const record = trace.finish("completed", { totalTokens: 3 });
    expect(record.events).toEqual(events);
    expect(events.map((event) => event.sequence)).toEqual([0, 1]);
    expect(record.trace).toMatchObject({ traceId: "tr_1", sessionId: "s", status: "completed", hadError: false, eventCount: 2, spanCount: 0, totalTokens: 3 });
    expect(record.trace).not.toHaveProperty("chatId");
  });

  it("closes what is still open when it ends", () => {
    const { recorder: trace } = recorder();
    const close = trace.span("llm.generate", "llm", { attempt: 1 });
    trace.span("tool.x", "tool", {});
    close("ok", { finishReason: "stop" });
    const { spans } = trace.finish("cancelled", {});
    expect(spans).toMatchObject([
      { status: "ok", attrs: { attempt: 1, finishReason: "stop" } },
      { status: "cancelled", durationMs: expect.any(Number) },
    ]);
  });

  it("masks secrets by name and by form, in payloads, attributes and messages", () => {
    const { recorder: trace } = recorder();
    trace.event("tool_call", "tool.call", { arguments: { password: "hunter2", note: "use sk-abcdefghijkl0123" } });
    trace.span("tool.x", "tool", { apiKey: "k" });
    const text = JSON.stringify(trace.finish("error", { errorMessage: "Bearer abcdefghijklmnop was refused" }));
    for (const secret of ["hunter2", "sk-abcdef", '"k"', "abcdefghijklmnop"]) expect(text).not.toContain(secret);
  });

  it("keeps the beginning of a payload that is too long, and no more events than it can hold", () => {
    const { recorder: trace } = recorder();
    trace.event("tool_call", "tool.call", { arguments: { text: "x".repeat(1_000_000) } });
    for (let index = 0; index < 5_000; index++) trace.event("log", "again");
    const { events } = trace.record();
    expect(events[0]?.payload).toMatchObject({ truncated: true, length: expect.any(Number), beginning: expect.stringMatching(/^\{"arguments"/) });
    expect(events.length).toBeLessThan(2_001);
    expect(JSON.stringify(events[0]).length).toBeLessThan(2_000);
  });

  it("can be looked at while it runs, as a copy", () => {
    const { recorder: trace } = recorder();
    const live = new LiveTraces();
    live.add(trace);
    trace.event("lifecycle", "turn.start");
    const seen = live.find("tr_1");
    trace.event("lifecycle", "more");
    expect(seen?.events).toHaveLength(1);
    expect(seen?.trace.status).toBe("running");
    live.remove(trace);
    expect(live.find("tr_1")).toBeUndefined();
  });
});
