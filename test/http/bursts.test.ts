import { describe, expect, it } from "vitest";
import { at, startModel } from "../support/agent.ts";
import { spawnHttp } from "../support/http.ts";
import { configFile } from "../support/keys.ts";
import { openaiDelta } from "../support/model-server.ts";
import { until } from "../support/until.ts";

describe("connections that come while much arrives for many streams", { timeout: 120_000 }, () => {
  it("are accepted while those streams go on, not behind them", async () => {
    const STREAMS = 40;
    const deltas = Buffer.from(`${openaiDelta("0123456789").repeat(10_000)}data: [DONE]\n\n`);
    let letGo: () => void = () => undefined;
    const whenAllAsked = new Promise<void>((resolve) => {
      letGo = resolve;
    });
    const model = await startModel(async (_request, answer) => {
      await answer.head(200, { "content-type": "text/event-stream" });
      await whenAllAsked;
      await answer.chunk(deltas);
      await answer.end();
      return undefined;
    });
    const args = await configFile({}, { limits: { max_concurrent_requests: 1000 } });
    const { call, sidecar } = await spawnHttp({ args: [...args, "--rate-limit", "0"] });
    const batch = Array.from({ length: STREAMS }, (_, id) => ({ jsonrpc: "2.0", id, method: "agent.chat.stream", params: at(model, { streamId: `s${id}` }) }));
    expect((await call("POST", "/rpc", { body: batch })).status).toBe(200);
    await until(() => model.requests.length === STREAMS, "all streams to ask their model");

    letGo();
    const answers = await Promise.all(Array.from({ length: 20 }, () => call("GET", "/health", { key: null })));
    const { activeTraces } = await sidecar.call("system.ping");
    expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 200));
    expect(activeTraces).toBeGreaterThan(0);
  });
});
