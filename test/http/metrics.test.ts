import { describe, expect, it } from "vitest";
import { Exposition } from "../listeners/http/exposition.ts";
import { startModel } from "../support/agent.ts";
import { spawnConfigured } from "../support/completions.ts";
import { until } from "../support/until.ts";
import { type HttpSidecar, spawnHttp } from "../support/http.ts";

const OWN = "steerable_sidecar_";

async function scrape({ call }: Pick<HttpSidecar, "call">): Promise<Exposition> {
  const { status, text } = await call("GET", "/metrics");
  expect(status).toBe(200);
  return new Exposition(text);
}

/** Scrapes until `look` gives something. */
const scraped = <T>(sidecar: HttpSidecar, look: (read: Exposition) => T | undefined, what: string) => until(async () => look(await scrape(sidecar)), what);

describe("GET /metrics", () => {
  it("is Prometheus text, with every family that is promised", async () => {
    const sidecar = await spawnHttp();
    const { headers, text } = await sidecar.call("GET", "/metrics");
    expect(headers["content-type"]).toBe("text/plain; version=0.0.4; charset=utf-8");
    expect(headers["cache-control"]).toBe("no-store");
    const { families } = new Exposition(text);
    const types = Object.fromEntries([...families].map(([name, { type }]) => [name, type]));
    expect(types).toMatchObject({
      [`${OWN}requests_total`]: "counter",
      [`${OWN}request_duration_seconds`]: "histogram",
      [`${OWN}http_requests_total`]: "counter",
      [`${OWN}http_request_duration_seconds`]: "histogram",
      [`${OWN}streams_live`]: "gauge",
      [`${OWN}queue_depth`]: "gauge",
      [`${OWN}time_to_first_token_seconds`]: "histogram",
      [`${OWN}tokens_total`]: "counter",
      [`${OWN}tool_calls_total`]: "counter",
      [`${OWN}tool_duration_seconds`]: "histogram",
      [`${OWN}event_loop_lag_seconds`]: "gauge",
      [`${OWN}store_duration_seconds`]: "histogram",
      crp_sidecar_active_sessions: "gauge",
      crp_sidecar_facts_in_warm_store: "gauge",
      process_cpu_seconds_total: "counter",
      process_resident_memory_bytes: "gauge",
      process_start_time_seconds: "gauge",
      nodejs_heap_size_used_bytes: "gauge",
    });
  });

  it("counts what is asked, by route and status and by method and outcome", async () => {
    const sidecar = await spawnConfigured();
    await sidecar.call("POST", "/sessions", { body: { provider: "echo" } });
    await sidecar.call("GET", "/sessions/nobody/status");
    await sidecar.call("GET", "/no/such/path");
    await sidecar.call("GET", "/health", { key: null });
    await sidecar.call("GET", "/sessions", { key: "wrong" });
    await sidecar.call("POST", "/rpc", { body: { jsonrpc: "2.0", id: 1, method: "no.such.method.of-a-caller" } });
    await sidecar.sidecar.call("agent.session.list");
    const read = await scraped(
      sidecar,
      (seen) => (seen.value(`${OWN}http_requests_total`, { route: "POST /rpc", status: "200" }) === 1 ? seen : undefined),
      "the count of the last request",
    );
    const http = (route: string, status: string) => read.value(`${OWN}http_requests_total`, { route, status });
    expect(http("POST /sessions", "201")).toBe(1);
    expect(http("GET /sessions/{id}/status", "404")).toBe(1);
    expect(http("unknown", "404")).toBe(1);
    expect(http("GET /health", "200")).toBe(1);
    expect(http("GET /sessions", "401")).toBe(1);
    expect(read.value(`${OWN}http_request_duration_seconds_count`, { route: "POST /sessions" })).toBe(1);
    const method = (name: string, outcome: string) => read.value(`${OWN}requests_total`, { method: name, outcome });
    expect(method("agent.session.create", "ok")).toBe(1);
    expect(method("agent.session.get", "session_not_found")).toBe(1);
    expect(method("agent.session.list", "ok")).toBe(1);
    expect(method("unknown", "method_not_found")).toBe(1);
    expect(read.value(`${OWN}request_duration_seconds_count`, { method: "agent.session.create" })).toBe(1);
    expect(
      read.samples(`${OWN}store_duration_seconds`).some(({ name, labels, value }) => name.endsWith("_count") && labels["outcome"] === "ok" && value > 0),
    ).toBe(true);
    expect(JSON.stringify(read.samples(`${OWN}requests_total`))).not.toContain("of-a-caller");
  });

  it("counts the tokens and the first words of models, and the calls of tools", async () => {
    const model = await startModel([[{ id: "c1", name: "get_time" }], "It is late"], { prompt_tokens: 10, completion_tokens: 5, total_tokens: 15 });
    const sidecar = await spawnConfigured({ model, config: { tools: { builtin: ["get_time"] } } });
    expect((await sidecar.call("POST", "/v1/completions", { body: { prompt: "What time is it?" } })).status).toBe(200);
    const read = await scrape(sidecar);
    const asked = { provider: "openai", model: "test-model" };
    expect(read.value(`${OWN}tokens_total`, { ...asked, kind: "prompt" })).toBe(20);
    expect(read.value(`${OWN}tokens_total`, { ...asked, kind: "completion" })).toBe(10);
    expect(read.value(`${OWN}time_to_first_token_seconds_count`, asked)).toBe(2);
    expect(read.value(`${OWN}tool_calls_total`, { tool: "get_time", outcome: "ok" })).toBe(1);
    expect(read.value(`${OWN}tool_duration_seconds_count`, { tool: "get_time" })).toBe(1);
  });

  it("shows what there is now: sessions, turns that run, and turns that wait", async () => {
    let letGo: () => void = () => undefined;
    const held = new Promise<void>((resolve) => {
      letGo = resolve;
    });
    const model = await startModel(async () => {
      await held;
      return "Hi";
    });
    const sidecar = await spawnConfigured({ model });
    const levels = (read: Exposition) => [
      read.value("crp_sidecar_active_sessions"),
      read.value("crp_sidecar_facts_in_warm_store"),
      read.value(`${OWN}streams_live`),
      read.value(`${OWN}queue_depth`),
    ];
    const become = (wanted: number[]) => scraped(sidecar, (read) => (levels(read).join() === wanted.join() ? true : undefined), `the levels ${wanted.join()}`);
    await become([0, 0, 0, 0]);
    const { body } = await sidecar.call<{ session_id: string }>("POST", "/sessions", { body: {} });
    await sidecar.call("POST", "/v1/sessions", { body: {} });
    await become([2, 0, 0, 0]);
    const tasks = [1, 2, 3].map(() => sidecar.call("POST", `/sessions/${body.session_id}/dispatch`, { body: { task: "Hi" } }));
    await become([2, 0, 3, 2]);
    letGo();
    expect((await Promise.all(tasks)).map(({ status }) => status)).toEqual([200, 200, 200]);
    await sidecar.call("POST", `/sessions/${body.session_id}/close`);
    await become([1, 0, 0, 0]);
  });

  it("counts a request whose client has left as 499", async () => {
    const model = await startModel(() => new Promise<undefined>(() => undefined));
    const sidecar = await spawnConfigured({ model });
    const leaving = sidecar.open("POST", "/v1/completions", { body: { prompt: "Hi" } });
    await model.nextRequest();
    leaving.destroy();
    const count = await scraped(
      sidecar,
      (read) => read.value(`${OWN}http_requests_total`, { route: "POST /v1/completions", status: "499" }),
      "a request with 499",
    );
    expect(count).toBe(1);
  });

  it("gives many who ask at a time the same, and holds no key", async () => {
    const sidecar = await spawnConfigured();
    await sidecar.call("POST", "/v1/completions", { body: { prompt: "Hi", model: `echo:${sidecar.token}` } });
    const texts = await Promise.all(Array.from({ length: 20 }, () => sidecar.call("GET", "/metrics")));
    for (const { status, text } of texts) {
      expect(status).toBe(200);
      expect(new Exposition(text).families.size).toBeGreaterThan(20);
      expect(text).not.toContain(sidecar.token);
    }
  });
});
