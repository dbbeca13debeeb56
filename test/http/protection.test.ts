import { mkdirSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { at, startModel } from "../support/agent.ts";
import { UUID } from "../support/completions.ts";
import { type Answer, type Asking, spawnHttp } from "../support/http.ts";
import { configFile, keyOf } from "../support/keys.ts";
import { head, RawConnection } from "../support/raw.ts";
import { root } from "../support/root.ts";
import { temporaryFolder } from "../support/sidecar.ts";

interface LogLine {
  level: string;
  msg: string;
  requestId?: string;
  route?: string;
  status?: number;
  subject?: string;
}

const logOf = (stderr: string): LogLine[] =>
  stderr
    .split("\n")
    // The last one may not have come whole yet.
    .slice(0, -1)
    .filter((line) => line.startsWith("{"))
    .map((line) => JSON.parse(line) as LogLine);

describe("every answer", () => {
  it("may not be sniffed or stored, has an id, and does not say by what it was made", async () => {
    const { call, open } = await spawnHttp();
    const prompt = { prompt: "Hi", model: "echo:any" };
    const asked: [string, string, Asking, number][] = [
      ["GET", "/health", { key: null }, 200],
      ["GET", "/ready", { key: null }, 200],
      ["GET", "/docs", { key: null }, 200],
      ["GET", "/openapi.json", { key: null }, 200],
      ["GET", "/metrics", {}, 200],
      ["GET", "/v1/info", {}, 200],
      ["HEAD", "/health", { key: null }, 200],
      ["POST", "/v1/completions", { body: prompt }, 200],
      ["POST", "/v1/completions", { body: { ...prompt, stream: true } }, 200],
      ["POST", "/rpc", { body: { jsonrpc: "2.0", method: "system.ping" } }, 204],
      ["GET", "/v1/info", { key: null }, 401],
      ["GET", "/v1/info", { headers: { host: "evil.example" } }, 403],
      ["GET", "/nothing", {}, 404],
      ["GET", "/%zz", {}, 400],
      ["POST", "/v1/completions", { body: "{" }, 400],
      ["POST", "/v1/completions", { body: "x", headers: { "content-type": "text/plain" } }, 415],
    ];
    // The store is opened by the first who asks, and has to be open in time.
    await expect.poll(async () => (await call("GET", "/ready", { key: null })).status, { timeout: 15_000 }).toBe(200);
    const ids = new Set<string>();
    for (const [method, path, asking, status] of asked) {
      const { status: got, headers } = await call(method, path, asking);
      const name = `${method} ${path}`;
      expect({ name, status: got }).toEqual({ name, status });
      expect(headers, name).toMatchObject({ "x-content-type-options": "nosniff", "cache-control": "no-store", "x-request-id": expect.stringMatching(UUID) });
      expect(
        Object.keys(headers).filter((header) => /^(server|x-powered-by|via)$/.test(header)),
        name,
      ).toEqual([]);
      ids.add(String(headers["x-request-id"]));
    }
    expect(ids.size).toBe(asked.length);

    const { body } = await call<{ result: { streamId: string } }>("POST", "/rpc", {
      body: { jsonrpc: "2.0", id: 1, method: "agent.chat.stream", params: { provider: "echo", messages: [{ role: "user", content: "Hi" }] } },
    });
    const request = open("GET", `/v1/streams/${body.result.streamId}/events`);
    const headers = await new Promise((resolve) => request.once("response", (response) => resolve(response.headers)));
    expect(headers).toMatchObject({ "x-content-type-options": "nosniff", "cache-control": "no-store", "x-request-id": expect.stringMatching(UUID) });
  });

  it("to what is no HTTP has them as well", async () => {
    const { url } = await spawnHttp();
    const connection = new RawConnection(url);
    await connection.write("this is no HTTP\r\n\r\n");
    await connection.closed;
    expect(connection.statuses).toEqual([400]);
    const id = /^x-request-id: (\S+)\r$/m.exec(connection.text)?.[1];
    expect(id).toMatch(UUID);
    expect(connection.text).toContain(`"request_id":"${id}"`);
    expect(connection.text).toMatch(/^x-content-type-options: nosniff\r$/m);
  });

  it("is not mixed up with that of something else on its connection", async () => {
    const model = await startModel(async (_request, answer) => {
      await answer.head(200, { "content-type": "text/event-stream" });
      await answer.chunk('data: {"choices":[{"index":0,"delta":{"content":"so far"}}]}\n\n');
      return undefined;
    });
    const providers = { openai: { baseUrl: `${model.url}/v1`, apiKey: "any-key-will-do" } };
    const { url, token } = await spawnHttp({ args: await configFile({}, {}, { model: "openai:m", providers }) });
    const connection = new RawConnection(url);
    const body = JSON.stringify({ prompt: "Go", stream: true });
    const headers = { authorization: `Bearer ${token}`, "content-type": "application/json", "content-length": String(body.length) };
    await connection.write(head("POST", "/v1/completions", headers) + body);
    await connection.until(/so far/);
    await connection.write("this is no HTTP\r\n\r\n");
    await connection.closed;
    expect(connection.statuses).toEqual([200]);
    expect(connection.text).not.toContain("invalid_request");
    await model.requests[0]?.closed;
  });

  it("has the id of its line in the log, whatever it was, and so have the lines about what it has started", async () => {
    const model = await startModel((_request, answer) => answer.respond(503, "busy").then(() => undefined));
    const providers = { openai: { baseUrl: `${model.url}/v1`, apiKey: "any-key-will-do", retry: { attempts: 2, baseMs: 1, maxMs: 2 } } };
    const http = await spawnHttp({ args: [...(await configFile({ ann: ["read", "write"] }, {}, { model: "openai:m", providers })), "--log-level", "DEBUG"] });
    const key = keyOf("ann");
    const answers = [
      { route: "GET /v1/info", subject: "ann", answer: await http.call("GET", "/v1/info", { key }) },
      { route: "GET /v1/info", answer: await http.call("GET", "/v1/info", { key: null }) },
      { route: "unknown", subject: "ann", answer: await http.call("GET", "/nothing", { key }) },
      { route: "POST /v1/completions", subject: "ann", answer: await http.call("POST", "/v1/completions", { key, body: { prompt: "Go" } }) },
    ];
    expect(answers.map(({ answer }) => answer.status)).toEqual([200, 401, 404, 502]);
    for (const { route, subject, answer } of answers) {
      const { headers, body, status } = answer as Answer<{ error?: { request_id: string } }>;
      const requestId = String(headers["x-request-id"]);
      if (status >= 400) expect(body.error?.request_id).toBe(requestId);
      await http.sidecar.until(() => logOf(http.sidecar.stderr).some((line) => line.requestId === requestId && line.msg === "request"), "its line");
      const lines = logOf(http.sidecar.stderr).filter((line) => line.requestId === requestId);
      expect(lines.at(-1)).toMatchObject({ route, status, ...(subject === undefined ? {} : { subject }) });
    }
    // Nothing that a client could choose.
    const { headers } = await http.call("GET", "/v1/info", { key, headers: { "x-request-id": "mine" } });
    expect(headers["x-request-id"]).toMatch(UUID);
  });
});

describe("an error", { timeout: 60_000 }, () => {
  it("holds no path, no stack and no secret, and neither does stderr", async () => {
    const folder = temporaryFolder();
    writeFileSync(join(folder, "notes.bin"), Buffer.from([0, 1, 2, 3]));
    const model = await startModel((_request, answer) =>
      answer.respond(401, { error: { message: "Incorrect API key provided: the-key-of-a-model" } }).then(() => undefined),
    );
    const providers = { openai: { baseUrl: `${model.url}/v1`, apiKey: "the-key-of-a-model", retry: { attempts: 1 } } };
    const more = { model: "openai:m", providers, tools: { roots: [folder] } };
    const http = await spawnHttp({
      args: [...(await configFile({ ann: ["*"] }, {}, more)), "--auth-token", "the-token-of-this-run", "--rate-limit", "0", "--log-level", "DEBUG"],
    });
    const post = (path: string, body: unknown, headers: Record<string, string> = {}) => http.call("POST", path, { key: keyOf("ann"), body, headers });
    const { body: session } = await http.call<{ id: string }>("POST", "/v1/sessions", { key: keyOf("ann"), body: {} });
    const rpc = (method: string, params: unknown) => ({ jsonrpc: "2.0", id: 1, method, params });
    const answers = await Promise.all([
      http.call("GET", "/v1/info", { key: "the-wrong-key-of-somebody" }),
      http.call("GET", "/v1/info", { key: null, headers: { authorization: "Basic dGhlLXNlY3JldA==" } }),
      post("/v1/completions", '{"prompt": "the-secret-in-a-body" "x"}'),
      post("/v1/completions", { prompt: 7 }),
      post("/v1/completions", { prompt: "Hi" }),
      post("/v1/completions", { prompt: "Hi", model: "nobody:knows" }),
      post("/v1/completions", { prompt: "Hi", files: ["missing.txt"] }),
      post("/v1/completions", { prompt: "Hi", files: ["notes.bin"] }),
      post("/v1/completions", { prompt: "Hi", files: ["../../../../../../etc/passwd"] }),
      post("/v1/completions", { prompt: "Hi", files: ["http://127.0.0.1:1/x"] }),
      post("/v1/completions", Buffer.from([0x7b, 0xff, 0xfe])),
      post("/v1/completions", "[".repeat(5000)),
      post("/v1/completions", "x", { "content-type": "text/plain" }),
      post(`/v1/sessions/${session.id}/completions`, { prompt: "Hi", stream: true }),
      post(`/sessions/${session.id}/providers`, { provider: "openai", base_url: "http://127.0.0.1:1/v1", api_key: "the-key-of-a-session" }),
      post(`/sessions/${session.id}/dispatch`, { task: "Hi" }),
      post(`/sessions/${session.id}/dispatch/agentic`, {}),
      post("/rpc", rpc("no.such.method", {})),
      post("/rpc", rpc("config.set", { storagePath: 7, providers: { openai: { apiKey: 7 } } })),
      post("/rpc", rpc("tool.invoke", { name: "read_file", arguments: { path: "/nowhere/at/all" } })),
      post("/rpc", rpc("tool.invoke", { name: "run_command", arguments: { command: 7 } })),
      post("/rpc", rpc("agent.chat.complete", { provider: "openai", apiKey: "the-key-of-a-call", messages: [{ role: "user", content: "Hi" }] })),
      post("/rpc", "{"),
      http.call("GET", "/v1/streams/%00/events", { key: keyOf("ann") }),
      http.call("GET", "/%c0%af", { key: keyOf("ann") }),
      http.call("GET", "/../../etc/passwd", { key: keyOf("ann") }),
    ]);
    expect(answers.filter(({ status }) => status === 500)).toEqual([]);
    const raw = new RawConnection(http.url);
    await raw.write(head("GET", "/v1/info", { authorization: `Bearer ${keyOf("ann")}`, "x-padding": "x".repeat(100_000) }));
    await raw.closed;
    expect(raw.statuses).toEqual([431]);
    const told = [...answers.map(({ text, headers }) => `${JSON.stringify(headers)} ${text}`), raw.text];
    for (const text of told) expectNothingOf(text, [root, homedir(), folder, "the-key-of-", "the-token-of-", "the-secret-in-"]);
    expectNothingOf(http.sidecar.stderr, [root, "the-key-of-", "the-token-of-", "the-secret-in-", "the-wrong-key"]);
  });

  it("is all that a server which a caller has named gets of the configuration: no key", async () => {
    const [own, other] = [await startModel(["own"]), await startModel(["other"])];
    const providers = { openai: { baseUrl: `${own.url}/v1`, apiKey: "the-key-of-the-configuration" } };
    const { call } = await spawnHttp({
      args: await configFile({ ann: ["read", "write"] }, {}, { model: "openai:m", providers, allowedBaseUrls: [other.url] }),
    });
    const key = keyOf("ann");
    const rpc = (params: object) =>
      call("POST", "/rpc", { key, body: { jsonrpc: "2.0", id: 1, method: "agent.chat.complete", params: { ...at(own), ...params } } });
    await rpc({});
    await rpc({ baseUrl: `${other.url}/v1` });
    const { body: session } = await call<{ session_id: string }>("POST", "/sessions", {
      key,
      body: { provider: "openai", model: "m", base_url: `${other.url}/v1` },
    });
    expect((await call("POST", `/sessions/${session.session_id}/dispatch`, { key, body: { task: "Hi" } })).status).toBe(200);
    expect(own.requests.map(({ headers }) => headers["authorization"])).toEqual(["Bearer the-key-of-the-configuration"]);
    expect(other.requests.map(({ headers }) => headers["authorization"])).toEqual([undefined, undefined]);
  });

  it("of the store does not say where it is", async () => {
    const folder = temporaryFolder();
    mkdirSync(join(folder, "a-folder.db"));
    const http = await spawnHttp({ args: ["--storage-path", join(folder, "a-folder.db")] });
    const answers = [
      await http.call("POST", "/v1/sessions", { body: {} }),
      await http.call("GET", "/v1/sessions"),
      await http.call("GET", "/ready", { key: null }),
      await http.call("POST", "/rpc", { body: { jsonrpc: "2.0", id: 1, method: "agent.session.list" } }),
    ];
    expect(answers.map(({ status }) => status)).toEqual([503, 503, 503, 200]);
    expect(answers[0]?.body).toMatchObject({ error: { code: "storage" } });
    for (const { text } of answers) expectNothingOf(text, [root, homedir(), folder]);
  });
});

/** Neither one of `hidden` nor a line of a stack. */
function expectNothingOf(text: string, hidden: readonly string[]): void {
  for (const each of hidden) expect(text).not.toContain(each);
  expect(text).not.toMatch(/(\n|\\n)\s+at |node:internal|node_modules/);
}
