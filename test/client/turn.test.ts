import { describe, expect, it } from "vitest";
import type { ChatStream, StreamChunk } from "../../src/client/index.ts";
import { obedient, say, sent } from "./fake-host.ts";
import { echo, fake } from "./sidecars.ts";

/** Answers every call for a stream with the id `s`, and the others as `obedient` does. */
const OPENS_S = `const usual = on; on = (frame) => { seen.push(frame); if (frame.method !== "agent.chat.stream") { seen.pop(); usual(frame); } else send({ id: frame.id, result: { streamId: "s" } }); }`;

const chunk = (seq: number, content: object) => ({ method: "stream.chunk", params: { streamId: "s", seq, ...content } });
const done = (seq: number, more: object = {}) => ({ method: "stream.done", params: { streamId: "s", seq, ok: true, ...more } });
const status = (phase: string) => ({ method: "stream.status", params: { streamId: "s", phase, elapsedMs: 1 } });

const first = { id: "call_1", name: "get_time", arguments: {} };
const second = { id: "call_2", name: "pick", arguments: { from: 3 } };

describe("the calls of a turn", () => {
  it("come as chunks, and together with their results at the end", async () => {
    const sidecar = await obedient({}, OPENS_S);
    const stream = sidecar.stream(echo("hi"));
    await stream.streamId;
    const chunks = [
      { delta: "Let me see. " },
      { toolCall: first },
      { toolCall: second },
      { usage: { promptTokens: 1, completionTokens: 2, totalTokens: 3 } },
      { toolResult: { id: "call_1", name: "get_time", success: true, data: { iso: "now" } } },
      { delta: "It is now.", finishReason: "tool_calls" },
    ];
    const end = { finishReason: "tool_calls", usage: { promptTokens: 1, completionTokens: 2, totalTokens: 3 }, costUsd: 0.5, traceId: "tr_1" };
    await say(sidecar, ...chunks.map((content, seq) => chunk(seq, content)), done(6, end));
    expect(await collect(stream)).toEqual(chunks.map((content, seq) => ({ streamId: "s", seq, ...content })));
    expect(await stream.result()).toEqual({
      ...end,
      ok: true,
      text: "Let me see. It is now.",
      toolCalls: [{ ...first, result: { success: true, data: { iso: "now" } } }, second],
    });
    expect(await stream.text()).toBe("Let me see. It is now.");
  });

  it("find their results when a model server uses an id twice", async () => {
    const sidecar = await obedient({}, OPENS_S);
    const stream = sidecar.stream(echo("hi"));
    await stream.streamId;
    const result = (value: number) => ({ toolResult: { id: "call_1", name: "get_time", success: true, data: { value } } });
    await say(sidecar, ...[{ toolCall: first }, result(1), { toolCall: first }, result(2), result(3)].map((content, seq) => chunk(seq, content)), done(5));
    const { toolCalls } = await stream.result();
    expect(toolCalls.map((call) => call.result?.data?.["value"])).toEqual([1, 2]);
  });

  it("are kept as far as they came when the turn is cancelled, and not given when it fails", async () => {
    const sidecar = await obedient({}, OPENS_S);
    const [stopped, failed] = [sidecar.stream(echo("hi")), sidecar.stream(echo("hi"))];
    await stopped.streamId;
    await say(sidecar, chunk(0, { toolCall: first }), { method: "stream.done", params: { streamId: "s", seq: 1, ok: false, cancelled: true } });
    expect(await stopped.result()).toEqual({ ok: false, cancelled: true, text: "", toolCalls: [first] });
    expect(await failed.result()).toMatchObject({ cancelled: true });
    const other = sidecar.stream(echo("hi"));
    await other.streamId;
    await say(sidecar, { method: "stream.error", params: { streamId: "s", seq: 0, kind: "budget_exhausted", message: "maxSteps is 1" } });
    await expect(other.result()).rejects.toMatchObject({ kind: "budget_exhausted", code: -32001 });
  });

  it("of the wrong shape are dropped, and nothing else", async () => {
    const sidecar = await obedient({}, OPENS_S);
    const stream = sidecar.stream(echo("hi"));
    await stream.streamId;
    await say(sidecar, ...[{ toolCall: "x" }, { toolResult: null }, { toolResult: [] }, { delta: "fine" }].map((content, seq) => chunk(seq, content)), done(4));
    expect(await stream.result()).toEqual({ ok: true, text: "fine", toolCalls: [] });
  });
});

describe("a turn that is asked for twice while it runs", () => {
  it("is the same stream to both: each gets all of it, and the end", async () => {
    const sidecar = await obedient({}, OPENS_S);
    const one = sidecar.stream({ ...echo("hi"), idempotencyKey: "key" });
    await one.streamId;
    await say(sidecar, chunk(0, { delta: "Hel" }), chunk(1, { delta: "lo" }), chunk(2, { toolCall: first }));
    await say(sidecar, chunk(3, { toolResult: { id: "call_1", name: "get_time", success: true } }));
    const two = sidecar.stream({ ...echo("hi"), idempotencyKey: "key" });
    expect(await two.streamId).toBe("s");
    await say(sidecar, chunk(4, { delta: " again" }), done(5));
    const expected = { ok: true, text: "Hello again", toolCalls: [{ ...first, result: { success: true } }] };
    expect(await Promise.all([one.result(), two.result()])).toEqual([expected, expected]);
    expect((await collect(one)).map(({ seq }) => seq)).toEqual([0, 1, 2, 3, 4]);
    expect(await collect(two)).toEqual([
      { streamId: "s", seq: 3, delta: "Hello" },
      { streamId: "s", seq: 3, toolCall: first },
      { streamId: "s", seq: 3, toolResult: { id: "call_1", name: "get_time", success: true } },
      { streamId: "s", seq: 4, delta: " again" },
    ]);
  });

  it("is lost to both when the sidecar dies", async () => {
    const sidecar = await obedient(
      { restart: false },
      `${OPENS_S}; const last = on; on = (frame) => { if (frame.method === "system.info") process.exit(3); last(frame); }`,
    );
    const streams = [sidecar.stream(echo("hi")), sidecar.stream(echo("hi"))];
    await Promise.all(streams.map((stream) => stream.streamId));
    await expect(sidecar.info()).rejects.toMatchObject({ kind: "transport_closed" });
    for (const stream of streams) await expect(stream.done).rejects.toMatchObject({ kind: "transport_closed" });
  });
});

describe("the status of a stream", () => {
  it("is told, and disturbs nothing", async () => {
    const phases: string[] = [];
    const sidecar = await obedient({ onStatus: ({ streamId, phase }) => phases.push(`${streamId} ${phase}`) }, OPENS_S);
    const events: string[] = [];
    sidecar.on("status", ({ phase }) => events.push(phase));
    const stream = sidecar.stream(echo("hi"));
    await stream.streamId;
    await say(sidecar, status("awaiting_first_token"), chunk(0, { delta: "a" }), status("streaming"), status("tool"), chunk(1, { delta: "b" }), done(2));
    expect((await collect(stream)).map(({ seq, delta }) => [seq, delta])).toEqual([
      [0, "a"],
      [1, "b"],
    ]);
    expect(phases).toEqual(["s awaiting_first_token", "s streaming", "s tool"]);
    expect(events).toEqual(["awaiting_first_token", "streaming", "tool"]);
  });

  it("may come to a handler that throws without harm", async () => {
    const onStatus = () => {
      throw new Error("the window is gone");
    };
    const sidecar = await obedient({ onStatus }, OPENS_S);
    const faults: string[] = [];
    sidecar.on("fault", ({ message }) => faults.push(message));
    const stream = sidecar.stream(echo("hi"));
    await stream.streamId;
    await say(sidecar, status("streaming"), chunk(0, { delta: "a" }), done(1));
    expect(await stream.text()).toBe("a");
    expect(faults).toEqual([expect.stringContaining("the window is gone")]);
  });
});

describe("steering a stream", () => {
  it("waits until the stream has a name, and says so to the sidecar", async () => {
    const sidecar = await obedient({}, OPENS_S);
    const stream = sidecar.stream(echo("hi"));
    await stream.steer("in French");
    await stream.steer([{ type: "text", text: "please" }]);
    expect(await sent(sidecar)).toMatchObject([
      { method: "agent.chat.stream" },
      { method: "agent.chat.steer", params: { streamId: "s", content: "in French" } },
      { method: "agent.chat.steer", params: { streamId: "s", content: [{ type: "text", text: "please" }] } },
    ]);
  });

  it("rejects with the answer when the turn has ended, and with the refusal when there never was one", async () => {
    const body = `ready(); on = ({ id, method, params }) => { if (method === "agent.chat.stream" && params.model === "no") send({ id, error: { code: -32602, message: "no model" } }); else if (method === "agent.chat.stream") send({ id, result: { streamId: "s" } }); else send({ id, error: { code: -32004, kind: "invalid_request", message: "No such stream is open", data: { code: "stream_not_found" } } }) }`;
    const sidecar = await fake(body);
    await expect(sidecar.stream(echo("hi")).steer("more")).rejects.toMatchObject({ kind: "invalid_request", data: { code: "stream_not_found" } });
    await expect(sidecar.stream({ ...echo("hi"), model: "no" }).steer("more")).rejects.toMatchObject({ kind: "invalid_params", message: "no model" });
  });

  it("ends with its deadline or its signal, also while the stream has no name yet", async () => {
    const sidecar = await fake(
      `ready(); on = ({ id, method, params }) => { if (method === "agent.chat.stream" && params.model === "named") send({ id, result: { streamId: "s" } }) }`,
    );
    for (const model of ["named", "unnamed"]) {
      const stream = sidecar.stream({ ...echo("hi"), model });
      await expect(stream.steer("more", { timeoutMs: 30 })).rejects.toMatchObject({ kind: "timeout" });
      const controller = new AbortController();
      const steering = stream.steer("more", { signal: controller.signal });
      controller.abort();
      await expect(steering).rejects.toMatchObject({ kind: "cancelled" });
      await expect(stream.steer("more", { timeoutMs: -1 })).rejects.toThrow(RangeError);
    }
  });
});

describe("a turn that is answered once", () => {
  it("is cancelled at the sidecar by its signal, and has a deadline only when it is given one", async () => {
    const sidecar = await obedient(
      {},
      `const usual = on; on = (frame) => { if (frame.method !== "agent.chat.complete") usual(frame); else seen.push(frame); }`,
    );
    const controller = new AbortController();
    const turn = sidecar.complete(echo("hi"), { signal: controller.signal });
    await expect.poll(() => sent(sidecar)).toMatchObject([{ method: "agent.chat.complete" }]);
    controller.abort();
    await expect(turn).rejects.toMatchObject({ kind: "cancelled" });
    await expect(sidecar.complete(echo("hi"), { timeoutMs: 30 })).rejects.toMatchObject({ kind: "timeout", data: { timeoutMs: expect.any(Number) } });
    await expect(sidecar.complete(echo("hi"), { timeoutMs: 0 })).rejects.toThrow(RangeError);
    expect((await sent(sidecar)).map(({ method }) => method)).toEqual(["agent.chat.complete", "$/cancelRequest", "agent.chat.complete", "$/cancelRequest"]);
  });

  it("rejects with the reason and how far it came when it failed", async () => {
    const sidecar = await fake(
      `ready(); on = ({ id }) => send({ id, error: { code: -32005, kind: "turn_failed", message: "The turn failed", data: { failure: { kind: "rate_limited" }, traceId: "tr_1" } } })`,
    );
    await expect(sidecar.complete(echo("hi"))).rejects.toMatchObject({ kind: "turn_failed", data: { failure: { kind: "rate_limited" }, traceId: "tr_1" } });
  });
});

async function collect(stream: ChatStream): Promise<StreamChunk[]> {
  const chunks: StreamChunk[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return chunks;
}
