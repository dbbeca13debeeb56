import { describe, expect, it } from "vitest";
import { at, startModel } from "../support/agent.ts";
import { type Answer, type HttpSidecar, spawnHttp } from "../support/http.ts";
import { configFile, keyOf } from "../support/keys.ts";
import type { ModelServer } from "../support/model-server.ts";

type Failed = Answer<{ error: { code: string } }>;

/** Asks `count` times, a few at a time, and gives how often each status came. */
async function statuses(count: number, ask: () => Promise<Pick<Answer, "status">>): Promise<Record<number, number>> {
  const seen: Record<number, number> = {};
  for (let left = count; left > 0; left -= 20) {
    const answers = await Promise.all(Array.from({ length: Math.min(left, 20) }, ask));
    for (const { status } of answers) seen[status] = (seen[status] ?? 0) + 1;
  }
  return seen;
}

function expectWait({ status, headers, body }: Failed): void {
  expect({ status, code: body.error.code }).toEqual({ status: 429, code: "rate_limited" });
  expect(Number(headers["retry-after"])).toBeGreaterThanOrEqual(1);
  expect(Number(headers["retry-after"])).toBeLessThanOrEqual(60);
}

describe("the rate limit", { timeout: 60_000 }, () => {
  it("lets 120 requests a minute of one subject through; the 121st is told how long to wait, and others are let through", async () => {
    const { call } = await spawnHttp({ args: await configFile({ ann: ["read"], bob: ["read"] }) });
    const info = (subject: string) => call<{ error: { code: string } }>("GET", "/v1/info", { key: keyOf(subject) });
    expect(await statuses(119, () => info("ann"))).toEqual({ 200: 119 });
    expect((await info("ann")).status).toBe(200);
    expectWait(await info("ann"));
    // Whatever is asked, there or not.
    expectWait(await call("GET", "/nothing", { key: keyOf("ann") }));
    expectWait(await call("POST", "/rpc", { key: keyOf("ann"), body: { jsonrpc: "2.0", id: 1, method: "system.ping" } }));
    expect((await info("bob")).status).toBe(200);
    expect(await statuses(150, () => call("GET", "/health", { key: null }))).toEqual({ 200: 150 });
    await expect.poll(async () => (await call("GET", "/ready", { key: keyOf("ann") })).status, { timeout: 15_000 }).toBe(200);
  });

  it("lets 30 dispatches a minute through", async () => {
    const { call } = await spawnHttp({ args: await configFile({}, {}, { model: "echo:any" }) });
    const { body: session } = await call<{ session_id: string }>("POST", "/sessions", { body: {} });
    const dispatch = () => call<{ error: { code: string } }>("POST", `/sessions/${session.session_id}/dispatch`, { body: { task: "Hi" } });
    expect(await statuses(30, dispatch)).toEqual({ 200: 30 });
    expectWait(await dispatch());
    expect((await call("GET", `/sessions/${session.session_id}/status`)).status).toBe(200);
    expect((await call("POST", `/sessions/${session.session_id}/estimate`, { body: { task: "Hi" } })).status).toBe(200);
  });

  it("is counted by address where nobody says who asks", async () => {
    const { call } = await spawnHttp({ args: ["--no-auth", "--rate-limit", "3"] });
    expect(await statuses(3, () => call("GET", "/v1/info", { key: "one" }))).toEqual({ 200: 3 });
    expectWait(await call("GET", "/v1/info", { key: "another" }));
  });

  it("of those who read the documentation is that of their address, and takes nothing from subjects", async () => {
    const { call } = await spawnHttp({ args: ["--rate-limit", "3"] });
    expect(await statuses(3, () => call("GET", "/docs", { key: null }))).toEqual({ 200: 3 });
    expectWait(await call("GET", "/openapi.json", { key: null }));
    expect(await statuses(3, () => call("GET", "/v1/info"))).toEqual({ 200: 3 });
    expectWait(await call("GET", "/v1/info"));
  });

  it("is none with --rate-limit 0", async () => {
    const { call } = await spawnHttp({ args: ["--rate-limit", "0"] });
    expect(await statuses(300, () => call("GET", "/v1/info"))).toEqual({ 200: 300 });
  });

  it("counts wrong keys: the 21st in a minute has to wait, but whoever knows a key does not", async () => {
    const { call } = await spawnHttp();
    const guess = () => call<{ error: { code: string } }>("GET", "/v1/info", { key: `guess-${Math.random()}` });
    expect(await statuses(20, guess)).toEqual({ 401: 20 });
    expectWait(await guess());
    expect((await call("GET", "/v1/info")).status).toBe(200);
  });
});

describe("the places for requests", { timeout: 60_000 }, () => {
  /** A listener whose model says something and then nothing more. */
  async function spawnHanging(api: object = {}): Promise<HttpSidecar & { model: ModelServer }> {
    const model = await startModel(async (_request, answer) => {
      await answer.head(200, { "content-type": "text/event-stream" });
      await answer.chunk('data: {"choices":[{"index":0,"delta":{"content":"so far"}}]}\n\n');
      return undefined;
    });
    const more = { model: "openai:m", providers: { openai: { baseUrl: `${model.url}/v1`, apiKey: "any-key-will-do", retry: { attempts: 1 } } } };
    const args = await configFile({}, { ...api }, more);
    return { ...(await spawnHttp({ args: [...args, "--rate-limit", "0"] })), model };
  }

  const streamed = { prompt: "Go", stream: true };
  const info = async ({ call }: HttpSidecar) => (await call("GET", "/v1/info")).status;
  const isFree = (http: HttpSidecar) => expect.poll(() => info(http), { timeout: 15_000, interval: 100 }).toBe(200);
  /** Resolves when the model was asked so often: from then on a place is taken, and not by who looks whether it is. */
  const asked = (http: HttpSidecar & { model: ModelServer }, count: number) => expect.poll(() => http.model.requests.length, { timeout: 30_000 }).toBe(count);

  it("are 64: the 65th request is turned away while 64 streams are open, and let in when one of them has ended", async () => {
    const http = await spawnHanging();
    const open = Array.from({ length: 63 }, () => http.open("POST", "/v1/completions", { body: streamed }));
    await asked(http, 63);
    expect(await info(http)).toBe(200);
    open.push(http.open("POST", "/v1/completions", { body: streamed }));
    await asked(http, 64);
    const refused = await http.call<{ error: { code: string } }>("POST", "/v1/completions", { body: { prompt: "One more" } });
    expect({ status: refused.status, code: refused.body.error.code, wait: refused.headers["retry-after"] }).toEqual({
      status: 503,
      code: "overloaded",
      wait: "1",
    });
    expect(http.model.requests).toHaveLength(64);
    // What watches us is answered all the same.
    expect((await http.call("GET", "/health", { key: null })).status).toBe(200);
    open[10]?.destroy();
    await isFree(http);
    for (const request of open) request.destroy();
    for (const request of http.model.requests) await request.closed;
    // The last of them come back a moment after the model server was left.
    await expect.poll(() => statuses(60, () => http.call("GET", "/v1/info")), { timeout: 15_000 }).toEqual({ 200: 60 });
  });

  it("are given back when a client leaves, a turn fails, time is up, or a request is refused", async () => {
    const http = await spawnHanging({ limits: { max_concurrent_requests: 1 }, request_timeout_seconds: 8 });
    const leaver = http.open("POST", "/v1/completions", { body: { prompt: "Go" } });
    await asked(http, 1);
    expect(await info(http)).toBe(503);
    leaver.destroy();
    await isFree(http);

    const streaming = http.open("POST", "/v1/completions", { body: streamed });
    await asked(http, 2);
    expect(await info(http)).toBe(503);
    streaming.destroy();
    await isFree(http);

    const late = http.call("POST", "/v1/completions", { body: { prompt: "Go" } });
    await asked(http, 3);
    expect(await info(http)).toBe(503);
    expect((await late).status).toBe(504);
    await isFree(http);

    await http.model.close();
    expect((await http.call("POST", "/v1/completions", { body: { prompt: "Go" } })).status).toBe(502);
    await isFree(http);
    for (const body of ["{", { prompt: "" }, { prompt: "Hi", model: "none:none" }]) await http.call("POST", "/v1/completions", { body });
    await http.call("POST", "/v1/completions", { body: "x", headers: { "content-type": "text/plain" } });
    await isFree(http);
  });

  it("are taken by streams of /rpc until they have ended, though their requests are answered", async () => {
    const http = await spawnHanging({ limits: { max_concurrent_requests: 2 } });
    const rpc = async (method: string, params: object) =>
      (
        await http.call<{ result: { streamId: string }; error?: { kind: string; data?: object } }>("POST", "/rpc", {
          body: { jsonrpc: "2.0", id: 1, method, params },
        })
      ).body;
    const first = await rpc("agent.chat.stream", at(http.model));
    expect(await info(http)).toBe(200);
    const second = await rpc("agent.chat.stream", at(http.model));
    expect(second.result.streamId).toEqual(expect.any(String));
    expect(await info(http)).toBe(503);
    // The host has a door of its own.
    await http.sidecar.call("agent.chat.cancel", { streamId: first.result.streamId });
    await isFree(http);
    // A request has one place, so that of a second stream in it has to be free as well.
    const batch = [1, 2].map((id) => ({ jsonrpc: "2.0", id, method: "agent.chat.stream", params: at(http.model) }));
    const { body } = await http.call<{ error?: { kind: string } }[]>("POST", "/rpc", { body: batch });
    expect(body.map(({ error }) => error?.kind ?? "started").toSorted()).toEqual(["overloaded", "started"]);
  });

  it("are spared for what cancels turns and reads figures, and for nothing that begins a turn", async () => {
    const http = await spawnHanging({ limits: { max_concurrent_requests: 2 } });
    const rpc = async (method: string, params: object) => (await http.call("POST", "/rpc", { body: { jsonrpc: "2.0", id: 1, method, params } })).body;
    const { body: session } = await http.call<{ id: string }>("POST", "/v1/sessions", { body: {} });
    await rpc("agent.chat.stream", at(http.model, { streamId: "mine" }));
    http.open("POST", `/v1/sessions/${session.id}/completions`, { body: streamed });
    await asked(http, 2);

    expect((await http.call("GET", "/metrics")).status).toBe(200);
    expect((await http.call("GET", "/status")).status).toBe(200);
    for (const method of ["agent.chat.stream", "agent.chat.complete"]) {
      expect(await rpc(method, at(http.model))).toMatchObject({ error: { kind: "overloaded" } });
    }
    expect(await rpc("agent.chat.cancel", { streamId: "mine" })).toMatchObject({ result: null });
    await isFree(http);
    await rpc("agent.chat.stream", at(http.model, { streamId: "another" }));
    await asked(http, 3);
    expect((await http.call("DELETE", `/v1/sessions/${session.id}`)).status).toBe(204);
    await isFree(http);
  });

  it("that are spared are eight", async () => {
    const http = await spawnHanging({ limits: { max_concurrent_requests: 1 } });
    http.open("POST", "/v1/completions", { body: streamed });
    await asked(http, 1);
    // Their bodies are on the way for as long as it takes.
    const requests = Array.from({ length: 8 }, () => http.open("POST", "/rpc", { headers: { "content-type": "application/json", "content-length": "100" } }));
    for (const request of requests) request.flushHeaders();
    const metrics = async () => (await http.call("GET", "/metrics")).status;
    await expect.poll(metrics, { timeout: 15_000, interval: 100 }).toBe(503);
    for (const request of requests) request.destroy();
    await expect.poll(metrics, { timeout: 15_000, interval: 100 }).toBe(200);
  });
});
