import { describe, expect, it } from "vitest";
import { at, startModel } from "../support/agent.ts";
import { type HttpSidecar, spawnHttp } from "../support/http.ts";
import { configFile } from "../support/keys.ts";
import { openaiDelta } from "../support/model-server.ts";
import { until } from "../support/until.ts";

interface Frame {
  id?: number;
  result?: unknown;
  error?: { kind: string; data?: { code?: string; retryAfterMs?: number } };
}

const request = (id: number, method: string, params: object = {}) => ({ jsonrpc: "2.0", id, method, params });
const post = async ({ call }: HttpSidecar, frames: readonly object[]): Promise<Frame[]> => (await call<Frame[]>("POST", "/rpc", { body: frames })).body;

describe("a batch at /rpc", { timeout: 60_000 }, () => {
  it("counts as as many requests as it holds", async () => {
    const http = await spawnHttp({ args: ["--rate-limit", "5"] });
    const frames = await post(
      http,
      Array.from({ length: 8 }, (_, id) => request(id, "system.ping")),
    );
    const outcomes = frames.toSorted((a, b) => Number(a.id) - Number(b.id)).map(({ error }) => (error === undefined ? "answered" : error.data?.code));
    expect(outcomes).toEqual([...Array.from({ length: 5 }, () => "answered"), ...Array.from({ length: 3 }, () => "rate_limited")]);
    expect(frames.find(({ error }) => error !== undefined)?.error?.data?.retryAfterMs).toEqual(expect.any(Number));
    expect((await http.call("GET", "/v1/info")).status).toBe(429);
  });

  it("takes a place for each turn and each call of a tool, so that no more of them run at a time than requests", async () => {
    const model = await startModel(async (_, answer) => {
      await answer.head(200, { "content-type": "text/event-stream" });
      await answer.chunk(openaiDelta("so far"));
      return undefined;
    });
    const args = await configFile({}, { limits: { max_concurrent_requests: 3 } }, { tools: { builtin: ["get_time"] } });
    const http = await spawnHttp({ args: [...args, "--rate-limit", "0"] });
    const turns = Array.from({ length: 5 }, (_, id) => request(id, "agent.chat.complete", at(model)));
    const client = http.open("POST", "/rpc", { body: [...turns, request(5, "tool.invoke", { name: "get_time" }), request(6, "system.ping")] });
    await until(() => model.requests.length === 3, "the turns that fit");
    expect((await http.call("GET", "/v1/info")).status).toBe(503);
    client.destroy();
    for (const asked of model.requests) await asked.closed;
    await until(async () => (await http.call("GET", "/v1/info")).status === 200, "a place");
    expect(model.requests).toHaveLength(3);
    // One after the other they all fit.
    const again = await post(http, [request(1, "tool.invoke", { name: "get_time" }), request(2, "system.ping")]);
    expect(again.map(({ error }) => error)).toEqual([undefined, undefined]);
    expect((await http.call("GET", "/v1/info")).status).toBe(200);
  });

  it("tells which of its calls have found no place", async () => {
    const http = await spawnHttp({ args: await configFile({}, { limits: { max_concurrent_requests: 1 } }, { model: "echo:any" }) });
    const turns = [1, 2].map((id) => request(id, "agent.chat.complete", { messages: [{ role: "user", content: "Hi" }] }));
    const frames = await post(http, [...turns, request(3, "system.ping")]);
    expect(frames.find(({ id }) => id === 1)).toHaveProperty("result");
    expect(frames.find(({ id }) => id === 2)?.error).toMatchObject({ kind: "overloaded" });
    expect(frames.find(({ id }) => id === 3)).toHaveProperty("result");
  });
});
