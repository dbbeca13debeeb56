import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { startModel } from "../support/agent.ts";
import { isThere, openPage, startSite } from "../support/browser.ts";
import { spawnHttp } from "../support/http.ts";
import { temporaryFolder } from "../support/sidecar.ts";

/** What the page of another site says and does: it asks as it is told, and gives back what it got to see. */
const PAGE = `<!doctype html><meta charset="utf-8"><title>Another site</title><link rel="icon" href="data:,"><script>
async function ask(address, options = {}) {
  try {
    const response = await fetch(address, options);
    return { type: response.type, status: response.status, requestId: response.headers.get("x-request-id"), text: await response.text() };
  } catch (error) {
    return { failed: error.name };
  }
}

async function read(address, options) {
  const response = await fetch(address, options);
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (let part = await reader.read(); !part.done; part = await reader.read()) text += part.value;
  return { status: response.status, type: response.headers.get("content-type"), text };
}

/** Follows a stream until the listener says that there is no more. */
function follow(address) {
  return new Promise((resolve) => {
    const events = [];
    const source = new EventSource(address);
    for (const name of ["stream.chunk", "stream.done", "stream.error"]) {
      source.addEventListener(name, ({ data, lastEventId }) => events.push({ name, id: lastEventId, data: JSON.parse(data) }));
    }
    source.onerror = () => {
      if (source.readyState === EventSource.CLOSED) resolve(events);
    };
  });
}
</script>`;

const post = (key: string | undefined, body: object) => ({
  method: "POST",
  headers: { "content-type": "application/json", ...(key === undefined ? {} : { authorization: `Bearer ${key}` }) },
  body: JSON.stringify(body),
});

interface Asked {
  type?: string;
  status?: number;
  requestId?: string | null;
  text?: string;
  failed?: string;
}

describe.runIf(isThere)("a page of another origin", { timeout: 120_000 }, () => {
  it("that is listed reads a stream to its end, with a key, and errors as well", async () => {
    const { page, url, token, complaints } = await visit({ isListed: true });
    const completion = { prompt: "Say it", stream: true };
    const told = await run<{ status: number; type: string; text: string }>(page, "read", `${url}/v1/completions`, post(token, completion));
    expect(told).toMatchObject({ status: 200, type: "text/event-stream; charset=utf-8" });
    const names = [...told.text.matchAll(/^event: (.*)$/gm)].map(([, name]) => name);
    expect([names[0], names.at(-1)]).toEqual(["started", "finished"]);
    expect(JSON.parse(/^event: assistant_delta\ndata: (.*)$/m.exec(told.text)![1]!)).toEqual({ text: "As you say." });
    expect(complaints).toEqual([]);

    const refused = await run<Asked>(page, "ask", `${url}/v1/completions`, post("no-key-of-anybody", completion));
    expect(refused).toMatchObject({ type: "cors", status: 401, requestId: expect.any(String) });
    expect(JSON.parse(refused.text!)).toEqual({ error: { code: "unauthorized", message: expect.any(String), request_id: refused.requestId } });
    expect((await run<Asked>(page, "ask", `${url}/nowhere`, { headers: { authorization: `Bearer ${token}` } })).status).toBe(404);
  });

  it("that is not listed sees nothing and changes nothing, whatever kind of request it makes", async () => {
    const { page, url, token, call, model } = await visit({ isListed: false });
    const body = { prompt: "Say it", stream: true };
    expect(await run(page, "ask", `${url}/v1/completions`, post(token, body))).toEqual({ failed: "TypeError" });
    expect(await run(page, "ask", `${url}/health`)).toEqual({ failed: "TypeError" });
    // Those that a browser sends without asking first, and whose answer the page does not see.
    const blind = { mode: "no-cors", headers: { "content-type": "text/plain" } };
    expect(await run(page, "ask", `${url}/health`, { mode: "no-cors" })).toMatchObject({ type: "opaque", status: 0, text: "" });
    expect(await run(page, "ask", `${url}/sessions`, { ...blind, method: "POST", body: "{}" })).toMatchObject({ type: "opaque", status: 0, text: "" });
    expect((await call("GET", "/sessions")).body).toEqual({ sessions: [] });
    expect(model.requests).toEqual([]);
  });

  it("that is not listed sees and changes nothing where no key is asked for either", async () => {
    const { page, url, call } = await visit({ isListed: false, args: ["--no-auth"] });
    expect(await run(page, "ask", `${url}/sessions`, post(undefined, {}))).toEqual({ failed: "TypeError" });
    const blind = { mode: "no-cors", method: "POST", headers: { "content-type": "text/plain" }, body: "{}" };
    for (const path of ["/sessions", "/v1/sessions", "/rpc"]) await run(page, "ask", `${url}${path}`, blind);
    await run(page, "ask", `${url}/v1/sessions`, { mode: "no-cors", method: "POST" });
    expect(await run(page, "follow", `${url}/v1/streams/any/events`)).toEqual([]);
    expect((await call("GET", "/v1/sessions")).body).toEqual([]);
  });

  it("that is listed follows a stream with an EventSource, which comes to rest at the end", async () => {
    const { page, url } = await visit({ isListed: true, args: ["--no-auth"] });
    const params = { streamId: "followed", provider: "echo", messages: [{ role: "user", content: "one two three" }] };
    const started = await run<Asked>(page, "ask", `${url}/rpc`, post(undefined, { jsonrpc: "2.0", id: 1, method: "agent.chat.stream", params }));
    expect(JSON.parse(started.text!)).toMatchObject({ id: 1, result: { streamId: "followed" } });
    const events = await run<{ name: string; id: string; data: { seq: number; delta?: string } }[]>(page, "follow", `${url}/v1/streams/followed/events`);
    expect(events.map(({ data }) => data.delta ?? "").join("")).toBe("one two three");
    expect(events.at(-1)).toMatchObject({ name: "stream.done" });
    expect(events.map(({ id }) => id)).toEqual(events.map((_, index) => String(index)));
    expect(events.map(({ data }) => String(data.seq))).toEqual(events.map(({ id }) => id));
  });
});

/** A sidecar with a model, and a page of another origin in front of it. */
async function visit({ isListed, args = [] }: { isListed: boolean; args?: string[] }) {
  const model = await startModel(["As you say."]);
  const origin = await startSite(PAGE);
  const config = {
    model: "openai:test-model",
    providers: { openai: { baseUrl: `${model.url}/v1`, apiKey: "key-of-the-model-server" } },
    api: { cors: { allowed_origins: [isListed ? origin : "https://app.example"] } },
  };
  const file = join(temporaryFolder(), "config.yaml");
  // JSON is YAML.
  writeFileSync(file, JSON.stringify(config));
  const http = await spawnHttp({ args: ["--config", file, ...args] });
  const opened = await openPage();
  await opened.page.goto(origin);
  return { ...http, ...opened, model };
}

/** Calls a function of the page. */
function run<T>(page: Awaited<ReturnType<typeof openPage>>["page"], name: string, ...values: unknown[]): Promise<T> {
  return page.evaluate<T>(`${name}(${values.map((value) => JSON.stringify(value)).join(", ")})`);
}
