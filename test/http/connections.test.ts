import { once } from "node:events";
import { describe, expect, it } from "vitest";
import { until } from "../support/until.ts";
import { startModel } from "../support/agent.ts";
import { spawnHttp } from "../support/http.ts";
import { configFile } from "../support/keys.ts";
import { openaiDelta } from "../support/model-server.ts";
import { head, RawConnection } from "../support/raw.ts";

describe("a client that is gone", { timeout: 60_000 }, () => {
  it("gives back the places of requests that stand in line on its connection, and their turns are stopped", async () => {
    const PLACES = 4;
    const model = await startModel(async (_request, answer) => {
      await answer.head(200, { "content-type": "text/event-stream" });
      await answer.chunk(openaiDelta("so far"));
      return undefined;
    });
    const providers = { openai: { baseUrl: `${model.url}/v1`, apiKey: "any-key-will-do" } };
    const file = await configFile({}, { limits: { max_concurrent_requests: PLACES } }, { model: "openai:m", providers });
    const { url, token, call } = await spawnHttp({ args: [...file, "--rate-limit", "0"] });
    const info = () => call("GET", "/v1/info");

    const body = JSON.stringify({ prompt: "Go" });
    const headers = { authorization: `Bearer ${token}`, "content-type": "application/json", "content-length": String(body.length) };
    const client = new RawConnection(url);
    await client.write((head("POST", "/v1/completions", headers) + body).repeat(PLACES));
    await until(async () => (model.requests.length === PLACES ? true : undefined), "all turns");
    expect((await info()).status).toBe(503);
    client.socket.destroy();
    for (const request of model.requests) await request.closed;
    await until(async () => ((await info()).status === 200 ? true : undefined), "a place");
    // All of them are free again: as many fit in at a time.
    const again = Array.from({ length: PLACES - 1 }, () => new RawConnection(url));
    for (const one of again) await one.write(head("POST", "/v1/completions", headers) + body);
    await until(async () => (model.requests.length === 2 * PLACES - 1 ? true : undefined), "the turns of the others");
    expect((await info()).status).toBe(200);
  });
});

describe("a client that does not read", { timeout: 60_000 }, () => {
  it("does not keep a process from ending after a signal", async () => {
    const piece = "x".repeat(60_000);
    let sent = 0;
    const model = await startModel(async (request, answer) => {
      const gone = request.closed.then(() => true);
      await answer.head(200, { "content-type": "text/event-stream" });
      for (; ; sent++) if (await Promise.race([gone, answer.chunk(openaiDelta(piece)).then(() => false)])) return undefined;
    });
    const providers = { openai: { baseUrl: `${model.url}/v1`, apiKey: "any-key-will-do" } };
    const file = await configFile({}, { shutdown_grace_seconds: 0.5 }, { model: "openai:m", providers });
    const { sidecar, call, open } = await spawnHttp({ args: file });
    await call("POST", "/rpc", {
      body: { jsonrpc: "2.0", id: 1, method: "agent.chat.stream", params: { streamId: "s1", messages: [{ role: "user", content: "Go" }] } },
    });
    const request = open("GET", "/v1/streams/s1/events");
    const [response] = await once(request, "response");
    response.socket.pause();
    // Until the buffers on the whole way are full, so that nobody reads from the model any more.
    let before = -1;
    await until(async () => {
      const isStuck = sent === before && sent > 0;
      before = sent;
      if (!isStuck) await new Promise((resolve) => setTimeout(resolve, 1000));
      return isStuck || undefined;
    }, "the turn to wait for its reader");
    sidecar.child.kill("SIGTERM");
    expect(await sidecar.exit).toEqual({ code: 3, signal: null });
  });
});
