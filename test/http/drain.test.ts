import { describe, expect, it } from "vitest";
import { type HttpSidecar, askerOf, spawnHttp } from "../support/http.ts";
import { startModel } from "../support/agent.ts";
import { openStream } from "../support/completions.ts";
import { configFile } from "../support/keys.ts";
import { type Answer as ModelAnswer, openaiDelta } from "../support/model-server.ts";
import { head, RawConnection } from "../support/raw.ts";
import { isAlive } from "../custody/support.ts";
import { until } from "../support/until.ts";
import { spawnSidecar } from "../support/sidecar.ts";

const SO_FAR = "so far";

/** A listener whose model says something, and the rest when it is let. */
async function spawnPatient(api: object = {}, args: readonly string[] = [], spawn: typeof spawnHttp = spawnHttp) {
  const waiting: ModelAnswer[] = [];
  const model = await startModel(async (_request, answer) => {
    await answer.head(200, { "content-type": "text/event-stream" });
    await answer.chunk(openaiDelta(SO_FAR));
    waiting.push(answer);
    return undefined;
  });
  const providers = { openai: { baseUrl: `${model.url}/v1`, apiKey: "any-key-will-do" } };
  const file = await configFile({}, { ...api }, { model: "openai:m", providers, gracePeriodSeconds: 10 });
  const http = await spawn({ args: [...file, "--log-level", "INFO", ...args] });
  const letGo = async () => {
    for (const answer of waiting.splice(0)) {
      await answer.chunk(openaiDelta(" and the rest"));
      await answer.chunk('data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n');
      await answer.end();
    }
  };
  /** A JSON call and a stream, both in the middle of their answers. */
  const begin = async () => {
    const json = http.call<{ final_message?: string; error?: { code: string } }>("POST", "/v1/completions", { body: { prompt: "Go" } });
    const stream = await openHeard(http);
    await until(async () => (waiting.length === 2 ? true : undefined), "both turns");
    return { json, ...stream };
  };
  return { ...http, model, letGo, begin };
}

/** A stream whose client has got the first words: what the model server has sent is on its way for a while. */
async function openHeard(http: HttpSidecar): Promise<{ stream: Promise<{ text: string }> }> {
  const { response } = await openStream(http, "/v1/completions", { prompt: "Go" });
  let text = "";
  const stream = new Promise<{ text: string }>((resolve, reject) => {
    response.once("end", () => resolve({ text })).once("error", reject);
  });
  response.setEncoding("utf8").on("data", (part: string) => {
    text += part;
  });
  await until(() => text.includes(SO_FAR), "the first words");
  return { stream };
}

const announced = ({ sidecar }: Pick<HttpSidecar, "sidecar">) => sidecar.until(() => sidecar.stderr.includes("a signal has come"), "the line that says so");

/** Resolves when no new connection is taken. */
const closed = ({ call }: Pick<HttpSidecar, "call">) =>
  until(async () => {
    const isRefused = await call("GET", "/health", { key: null }).then(
      () => false,
      () => true,
    );
    return isRefused || undefined;
  }, "the end of the listener");

describe.each(["SIGTERM", "SIGINT"] as const)("%s", { timeout: 60_000 }, (signal) => {
  it("lets what runs come to its end, takes nothing new, and exits with 0", async () => {
    const http = await spawnPatient({ cors: { allowed_origins: ["https://app.example"] } });
    // Both requests of this connection are on one that stays open.
    const kept = new RawConnection(http.url);
    const { json, stream } = await http.begin();
    const authorization = `Bearer ${http.token}`;
    const body = JSON.stringify({ prompt: "Go", stream: true });
    await kept.write(head("POST", "/v1/completions", { authorization, "content-type": "application/json", "content-length": String(body.length) }) + body);
    await kept.until(/so far/);
    http.sidecar.child.kill(signal);
    await announced(http);
    await closed(http);
    await kept.write(head("GET", "/v1/info", { authorization, origin: "https://app.example" }) + head("GET", "/health"));
    expect(await http.sidecar.request("agent.session.list")).toMatchObject({ error: { kind: "transport_closed" } });
    expect(http.sidecar.child.exitCode).toBeNull();
    await http.letGo();
    expect(await json).toMatchObject({ status: 200, body: { final_message: "so far and the rest" } });
    expect((await stream).text).toMatch(/event: finished\n/);
    expect(await http.sidecar.exit).toEqual({ code: 0, signal: null });
    await kept.closed;
    expect(kept.text).toMatch(/event: finished\n/);
    expect(kept.statuses.slice(0, 2)).toEqual([200, 503]);
    expect(kept.text).toContain('"code":"shutting_down"');
    // A page may read why.
    expect(kept.text).toMatch(/^access-control-allow-origin: https:\/\/app\.example\r$/im);
    expect(http.sidecar.frames.at(-1)).toMatchObject({ method: "lifecycle.shutdown", params: { reason: "normal" } });
  });
});

describe("when the grace is over", { timeout: 60_000 }, () => {
  it("what still runs is cancelled and told so, and the exit code is 3", async () => {
    const http = await spawnPatient({ shutdown_grace_seconds: 0.5 });
    const { json, stream } = await http.begin();
    http.sidecar.child.kill("SIGTERM");
    const [answer, events] = await Promise.all([json, stream]);
    expect(answer.status).toBe(503);
    expect(answer.body.error?.code).toBe("shutting_down");
    expect(events.text).toMatch(/so far.*event: error\ndata: .*"code":"shutting_down"/s);
    expect(await http.sidecar.exit).toEqual({ code: 3, signal: null });
    for (const request of http.model.requests) await request.closed;
  });

  it("a client in the middle of its body is told so", async () => {
    const http = await spawnPatient({ shutdown_grace_seconds: 0.5 });
    const slow = new RawConnection(http.url);
    await slow.write(
      head("POST", "/v1/completions", {
        authorization: `Bearer ${http.token}`,
        "content-type": "application/json",
        "content-length": "100",
        expect: "100-continue",
      }),
    );
    await slow.until(/100 Continue/);
    await slow.write('{"prompt":');
    http.sidecar.child.kill("SIGTERM");
    await slow.closed;
    expect(slow.text).toMatch(/HTTP\/1\.1 503 .*"code":"shutting_down"/s);
    expect(await http.sidecar.exit).toEqual({ code: 0, signal: null });
  });

  it("idle listeners do not wait for it", async () => {
    const http = await spawnPatient();
    const idle = new RawConnection(http.url);
    await idle.write(head("GET", "/health"));
    await idle.until(/\{"status":"ok"\}/);
    http.sidecar.child.kill("SIGTERM");
    expect(await http.sidecar.exit).toEqual({ code: 0, signal: null });
    await idle.closed;
  });
});

describe("a second signal", { timeout: 60_000 }, () => {
  it("ends the process now, with a last word to those who wait", async () => {
    const http = await spawnPatient();
    const { json, stream } = await http.begin();
    http.sidecar.child.kill("SIGTERM");
    await announced(http);
    http.sidecar.child.kill("SIGTERM");
    expect(await http.sidecar.exit).toEqual({ code: 3, signal: null });
    expect((await stream).text).toMatch(/so far.*event: error\n/s);
    expect((await json).status).toBe(503);
  });
});

describe("system.shutdown", { timeout: 60_000 }, () => {
  it("of the host ends what runs over HTTP as well", async () => {
    const http = await spawnPatient();
    const { json, stream } = await http.begin();
    expect(await http.sidecar.request("system.shutdown")).toMatchObject({ result: null });
    expect((await stream).text).toMatch(/so far.*event: error\n/s);
    expect((await json).status).toBe(503);
    expect(await http.sidecar.exit).toEqual({ code: 0, signal: null });
  });

  it.each(["system.shutdown", "system.shutdown_now"])("may come over /rpc: %s is answered before the process ends", async (method) => {
    const http = await spawnPatient();
    const { stream } = await http.begin();
    const answer = await http.call("POST", "/rpc", { body: { jsonrpc: "2.0", id: 7, method } });
    expect(answer).toMatchObject({ status: 200, body: { jsonrpc: "2.0", id: 7, result: null } });
    expect((await stream).text).toMatch(/so far.*event: error\n/s);
    expect(await http.sidecar.exit).toEqual({ code: 0, signal: null });
  });
});

describe("the end of stdin", { timeout: 60_000 }, () => {
  it("ends what runs over HTTP, and the process", async () => {
    const http = await spawnPatient();
    const { json, stream } = await http.begin();
    http.sidecar.child.stdin.end();
    expect((await stream).text).toMatch(/so far.*event: error\n/s);
    expect((await json).status).toBe(503);
    expect(await http.sidecar.exit).toEqual({ code: 3, signal: null });
  });

  it("is nothing with --http-only, which a signal ends", async () => {
    const sidecar = spawnSidecar({ args: ["--storage-path", ":memory:", "--http", "127.0.0.1:0", "--http-only", "--auth-token", "the-token-of-it"] });
    sidecar.child.stdin.end();
    await sidecar.until(() => sidecar.stderr.includes("__SIDECAR_READY__:"), "the ready marker");
    const [, url = ""] = /listening on (http:\S+)\n/.exec(sidecar.stderr) ?? [];
    const { call } = askerOf(url, "the-token-of-it");
    expect((await call("GET", "/v1/info")).status).toBe(200);
    sidecar.child.kill("SIGTERM");
    expect(await sidecar.exit).toEqual({ code: 0, signal: null });
  });
});

describe("kill -9", { timeout: 60_000 }, () => {
  it("leaves no child of a call that came over HTTP", async () => {
    const model = await startModel([[{ id: "c1", name: "wait_long" }], "done"]);
    const tools = { process: [{ name: "wait_long", mode: "read", command: ["sh", "-c", "sleep 1000 & wait"] }] };
    const providers = { openai: { baseUrl: `${model.url}/v1`, apiKey: "any-key-will-do" } };
    const http = await spawnHttp({ args: [...(await configFile({}, {}, { model: "openai:m", providers, tools })), "--rate-limit", "0"] });
    http.open("POST", "/v1/completions", { body: { prompt: "Go" } });
    const pids = await until(async () => {
      const { body } = await http.call<{ result: { children: { pid: number; kind: string; descendants: number }[] } }>("POST", "/rpc", {
        body: { jsonrpc: "2.0", id: 1, method: "system.children" },
      });
      const { children } = body.result;
      return children.some(({ kind, descendants }) => kind === "tool" && descendants > 0) ? children.map(({ pid }) => pid) : undefined;
    }, "the child");
    expect(pids.every(isAlive)).toBe(true);
    http.sidecar.child.kill("SIGKILL");
    await http.sidecar.exit;
    await until(async () => (pids.some(isAlive) ? undefined : true), "the end of the children");
  });
});
