import { describe, expect, it, onTestFinished } from "vitest";
import { fail } from "../../../src/errors.ts";
import { createMetrics, type MetricsOptions } from "../../../src/listeners/http/metrics/metrics.ts";
import { metered } from "../../../src/methods/metered.ts";
import type { Call } from "../../../src/rpc/request.ts";
import { registerSecret } from "../../../src/redact.ts";
import { LateMeter, type Levels, measured, silent } from "../../../src/runtime/meter.ts";
import { meteredStore } from "../../../src/runtime/metered-store.ts";
import { openMemoryStore } from "../../../src/store/memory.ts";
import { Exposition } from "./exposition.ts";

const never = new AbortController().signal;
const callOf = (method: string): Call => ({ method, params: undefined, signal: never, afterReply: () => undefined });
const quiet: Levels = { liveStreams: () => 0, waitingTurns: () => 0, activeSessions: async () => 0 };

/** Metrics with a clock that stands still until it is moved. */
function start({ levels = () => quiet, ...more }: Partial<MetricsOptions["sources"]> = {}) {
  const clock = { ms: 1000 };
  const metrics = createMetrics({ sources: { levels, ...more }, now: () => clock.ms });
  onTestFinished(() => metrics.close());
  const read = async () => new Exposition((await metrics.text()).body);
  return { metrics, meter: metrics.meter, clock, read };
}

describe("the text", () => {
  it("is the Prometheus text format, and says so", async () => {
    const { metrics } = start();
    const { contentType, body } = await metrics.text();
    expect(contentType).toBe("text/plain; version=0.0.4; charset=utf-8");
    const { families } = new Exposition(body);
    for (const { help } of families.values()) expect(help).not.toBe("");
    expect([...families.keys()].filter((name) => name.startsWith("steerable_sidecar_")).toSorted()).toEqual([
      "steerable_sidecar_event_loop_lag_seconds",
      "steerable_sidecar_http_request_duration_seconds",
      "steerable_sidecar_http_requests_total",
      "steerable_sidecar_queue_depth",
      "steerable_sidecar_request_duration_seconds",
      "steerable_sidecar_requests_total",
      "steerable_sidecar_store_duration_seconds",
      "steerable_sidecar_streams_live",
      "steerable_sidecar_time_to_first_token_seconds",
      "steerable_sidecar_tokens_total",
      "steerable_sidecar_tool_calls_total",
      "steerable_sidecar_tool_duration_seconds",
    ]);
  });

  it("has the figures of the process under their usual names", async () => {
    const { read } = start();
    const text = await read();
    for (const name of ["process_cpu_seconds_total", "process_resident_memory_bytes", "process_start_time_seconds", "nodejs_heap_size_used_bytes"])
      expect(text.value(name), name).toBeGreaterThan(0);
    if (process.platform === "linux") expect(text.value("process_open_fds")).toBeGreaterThan(0);
    // One figure for the lag, whose meaning is known.
    expect([...text.families.keys()].filter((name) => name.includes("lag"))).toEqual(["steerable_sidecar_event_loop_lag_seconds"]);
  });

  it("is written once for all who ask at a time", async () => {
    let asked = 0;
    const { metrics } = start({ levels: () => ({ ...quiet, liveStreams: () => ++asked }) });
    const texts = await Promise.all([metrics.text(), metrics.text(), metrics.text()]);
    expect(new Set(texts.map(({ body }) => body)).size).toBe(1);
    expect(asked).toBe(1);
    await metrics.text();
    expect(asked).toBe(2);
  });

  it("escapes what callers name", async () => {
    const { meter, read } = start();
    const model = 'a "quoted" \\ back\\n\nnew line{le="1"} 7 # é';
    meter.tokens({ provider: "openai", model }, { promptTokens: 3, completionTokens: 4 });
    const text = await read();
    expect(text.value("steerable_sidecar_tokens_total", { provider: "openai", model, kind: "prompt" })).toBe(3);
    expect(text.value("steerable_sidecar_tokens_total", { provider: "openai", model, kind: "completion" })).toBe(4);
  });
});

describe("what is measured", () => {
  it("counts requests by method and outcome, with the time that they took", async () => {
    const { meter, clock, read } = start();
    const fine = meter.request("agent.session.get");
    const missing = meter.request("agent.session.get");
    clock.ms += 30;
    fine?.("ok");
    missing?.("session_not_found");
    const text = await read();
    const name = "steerable_sidecar_requests_total";
    expect(text.value(name, { method: "agent.session.get", outcome: "ok" })).toBe(1);
    expect(text.value(name, { method: "agent.session.get", outcome: "session_not_found" })).toBe(1);
    const seconds = "steerable_sidecar_request_duration_seconds";
    expect(text.value(`${seconds}_count`, { method: "agent.session.get" })).toBe(2);
    expect(text.value(`${seconds}_sum`, { method: "agent.session.get" })).toBeCloseTo(0.06);
    expect(text.value(`${seconds}_bucket`, { method: "agent.session.get", le: "0.025" })).toBe(0);
    expect(text.value(`${seconds}_bucket`, { method: "agent.session.get", le: "0.05" })).toBe(2);
  });

  it("counts requests over HTTP by route and status", async () => {
    const { meter, read } = start();
    meter.httpRequest("GET /v1/sessions/{id}", 200, 0.2);
    meter.httpRequest("GET /v1/sessions/{id}", 404, 0.1);
    meter.httpRequest("GET /v1/sessions/{id}", 404, 0.1);
    const text = await read();
    expect(text.value("steerable_sidecar_http_requests_total", { route: "GET /v1/sessions/{id}", status: "404" })).toBe(2);
    expect(text.value("steerable_sidecar_http_request_duration_seconds_sum", { route: "GET /v1/sessions/{id}" })).toBeCloseTo(0.4);
  });

  it("times the first token, by provider and model, also where the model has no name", async () => {
    const { meter, clock, read } = start();
    const spoken = meter.firstToken({ provider: "openai", model: "gpt-4o" });
    meter.firstToken({ provider: "echo", model: undefined })?.();
    meter.firstToken({ provider: "anthropic", model: "mute" });
    clock.ms += 400;
    spoken?.();
    const text = await read();
    const name = "steerable_sidecar_time_to_first_token_seconds";
    expect(text.value(`${name}_sum`, { provider: "openai", model: "gpt-4o" })).toBeCloseTo(0.4);
    expect(text.value(`${name}_count`, { provider: "echo", model: "unknown" })).toBe(1);
    expect(text.value(`${name}_count`, { provider: "anthropic", model: "mute" })).toBeUndefined();
  });

  it("counts tool calls, and times those that have run", async () => {
    const { meter, clock, read } = start();
    const ended = meter.toolCall("get_time");
    clock.ms += 2000;
    ended?.("timeout");
    meter.toolRefused("get_time", "policy_denied");
    meter.toolRefused("unknown", "invalid_params");
    const text = await read();
    const name = "steerable_sidecar_tool_calls_total";
    expect(text.samples(name)).toEqual([
      { name, labels: { tool: "get_time", outcome: "timeout" }, value: 1 },
      { name, labels: { tool: "get_time", outcome: "policy_denied" }, value: 1 },
      { name, labels: { tool: "unknown", outcome: "invalid_params" }, value: 1 },
    ]);
    expect(text.value("steerable_sidecar_tool_duration_seconds_count", { tool: "get_time" })).toBe(1);
    expect(text.value("steerable_sidecar_tool_duration_seconds_sum", { tool: "get_time" })).toBe(2);
  });

  it("tells 200 models apart, and no more", async () => {
    const { meter, read } = start();
    for (let i = 0; i < 5000; i++) meter.tokens({ provider: "openai", model: `model-${i}` }, { promptTokens: 1, completionTokens: 0 });
    meter.tokens({ provider: "openai", model: "model-7" }, { promptTokens: 1, completionTokens: 0 });
    const text = await read();
    const name = "steerable_sidecar_tokens_total";
    expect(new Set(text.samples(name).map(({ labels: { model } }) => model)).size).toBe(201);
    expect(text.value(name, { provider: "openai", model: "model-7", kind: "prompt" })).toBe(2);
    expect(text.value(name, { provider: "openai", model: "other", kind: "prompt" })).toBe(4800);
  });

  it("keeps the beginning of a long name, and masks secrets", async () => {
    const { meter, read } = start();
    registerSecret("correct-horse-battery");
    const long = "m".repeat(1_000_000);
    const asked = ["x-correct-horse-battery", long, `${long}-2`, `sk-${"a1".repeat(200)}`];
    for (const model of asked) meter.tokens({ provider: "openai", model }, { promptTokens: 1, completionTokens: 0 });
    const name = "steerable_sidecar_tokens_total";
    const models = (await read()).samples(name).filter(({ labels: { kind } }) => kind === "prompt");
    expect(models.map(({ labels: { model }, value }) => [model, value])).toEqual([
      ["x-********", 1],
      ["m".repeat(128), 2],
      ["********", 1],
    ]);
  });
});

describe("figures that are looked up", () => {
  it("tells streams, waiting turns, sessions and facts as they are at each reading", async () => {
    const now = { streams: 2, waiting: 1, sessions: 40, facts: 9 };
    const levels: Levels = { liveStreams: () => now.streams, waitingTurns: () => now.waiting, activeSessions: async () => now.sessions };
    const { read } = start({ levels: () => levels, factsInWarmStore: () => now.facts });
    const figures = async () => {
      const text = await read();
      return ["steerable_sidecar_streams_live", "steerable_sidecar_queue_depth", "crp_sidecar_active_sessions", "crp_sidecar_facts_in_warm_store"].map((name) =>
        text.value(name),
      );
    };
    expect(await figures()).toEqual([2, 1, 40, 9]);
    Object.assign(now, { streams: 0, waiting: 0, sessions: 41, facts: 8 });
    expect(await figures()).toEqual([0, 0, 41, 8]);
  });

  it("has no figure for the sessions before there is a store, and no facts where nothing keeps any", async () => {
    const { read } = start({ levels: () => undefined });
    const text = await read();
    expect(text.value("steerable_sidecar_streams_live")).toBe(0);
    expect(text.samples("crp_sidecar_active_sessions")).toEqual([]);
    expect(text.value("crp_sidecar_facts_in_warm_store")).toBe(0);
  });

  it("leaves out a figure that cannot be had, until it can", async () => {
    let works = true;
    const activeSessions = async () => {
      if (!works) throw fail("storage");
      return 5;
    };
    const { read } = start({ levels: () => ({ ...quiet, activeSessions }) });
    expect((await read()).value("crp_sidecar_active_sessions")).toBe(5);
    works = false;
    expect((await read()).samples("crp_sidecar_active_sessions")).toEqual([]);
    works = true;
    expect((await read()).value("crp_sidecar_active_sessions")).toBe(5);
  });

  it("does not wait for a store that hangs, and asks it once", async () => {
    let asked = 0;
    const activeSessions = () => {
      asked++;
      return new Promise<number>(() => undefined);
    };
    const { meter, read } = start({ levels: () => ({ ...quiet, activeSessions }) });
    meter.httpRequest("GET /metrics", 200, 0.001);
    for (let i = 0; i < 2; i++) {
      const text = await read();
      expect(text.samples("crp_sidecar_active_sessions")).toEqual([]);
      expect(text.value("steerable_sidecar_http_requests_total", { route: "GET /metrics", status: "200" })).toBe(1);
    }
    expect(asked).toBe(1);
  });

  it("sees that the event loop was held up, once", { timeout: 60_000 }, async () => {
    const { read } = start();
    const worst = async () => (await read()).value("steerable_sidecar_event_loop_lag_seconds", { quantile: "1" }) ?? Number.NaN;
    /** The event loop is looked at from a timer: one look before, one after. */
    const looks = () => new Promise((resolve) => setTimeout(resolve, 60));
    const held = async () => {
      await looks();
      const end = performance.now() + 250;
      while (performance.now() < end);
      await looks();
      return worst();
    };
    await expect.poll(held, { timeout: 20_000 }).toBeGreaterThan(0.15);
    await expect.poll(worst, { timeout: 20_000 }).toBeLessThan(0.15);
  });
});

describe("the parts that measure", () => {
  it("say how a request ended, whatever way it ends", async () => {
    const { meter, read } = start();
    const answer = metered((call) => {
      if (call.method === "system.shutdown") throw new Error("a bug");
      if (call.method === "trace.fetch") return Promise.reject(fail("trace_not_found"));
      return call.method === "trace.list" ? Promise.resolve("later") : "now";
    }, meter);
    expect(answer(callOf("system.ping"))).toBe("now");
    expect(await answer(callOf("trace.list"))).toBe("later");
    await expect(answer(callOf("trace.fetch"))).rejects.toThrow("No such trace");
    expect(() => answer(callOf("system.shutdown"))).toThrow("a bug");
    answer(callOf("no.such.method"));
    answer(callOf("constructor"));
    const counted = (await read()).samples("steerable_sidecar_requests_total").map(({ labels: { method, outcome }, value }) => `${method} ${outcome} ${value}`);
    expect(counted.toSorted()).toEqual(["system.ping ok 1", "system.shutdown internal 1", "trace.fetch trace_not_found 1", "trace.list ok 1", "unknown ok 2"]);
  });

  it("time what is asked of a store, without changing its answers", async () => {
    const { meter, read } = start();
    const store = meteredStore(await openMemoryStore({ path: ":memory:", keepTraces: 10, now: Date.now }), meter);
    const fields = { sessionId: "s1", userId: "u", chatId: "c", currentStage: "", scenario: "" };
    expect((await store.upsertSession(fields)).sessionId).toBe("s1");
    expect((await store.getSession("s1")).chatId).toBe("c");
    await expect(store.getSession("s2")).rejects.toThrow("No such session");
    expect(store.health().status).toBe("ok");
    await store.close();
    const counts = (await read()).samples("steerable_sidecar_store_duration_seconds").filter(({ name }) => name.endsWith("_count"));
    expect(counts.map(({ labels: { operation, outcome }, value }) => `${operation} ${outcome} ${value}`)).toEqual([
      "upsertSession ok 1",
      "getSession ok 1",
      "getSession session_not_found 1",
    ]);
  });

  it("are silent until a meter is connected", async () => {
    const late = new LateMeter();
    expect(late.request("system.ping")).toBeUndefined();
    late.httpRequest("GET /health", 200, 0.1);
    const answer = metered(() => 7, late);
    expect(answer(callOf("system.ping"))).toBe(7);
    const { meter, read } = start();
    late.connect(meter);
    expect(answer(callOf("system.ping"))).toBe(7);
    late.httpRequest("GET /health", 200, 0.1);
    late.connect(silent);
    answer(callOf("system.ping"));
    const text = await read();
    expect(text.value("steerable_sidecar_requests_total", { method: "system.ping", outcome: "ok" })).toBe(1);
    expect(text.value("steerable_sidecar_http_requests_total", { route: "GET /health", status: "200" })).toBe(1);
  });

  it("give back the very promise that they measure", () => {
    const work = Promise.resolve(1);
    expect(measured(work, () => undefined)).toBe(work);
  });
});
