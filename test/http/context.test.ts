import { once } from "node:events";
import type { IncomingMessage } from "node:http";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { routes } from "../../src/contract/http/index.ts";
import { Connection } from "../../src/store/sqlite/connection.ts";
import { loadDriver } from "../../src/store/sqlite/driver.ts";
import { messagesOf, startModel } from "../support/agent.ts";
import { as, expectError, spawnConfigured, UUID } from "../support/completions.ts";
import { until } from "../support/until.ts";
import { keysFor } from "../support/keys.ts";
import { type HttpSidecar, spawnHttp } from "../support/http.ts";
import { startModelServer } from "../support/model-server.ts";
import { temporaryFolder } from "../support/sidecar.ts";

interface Session {
  session_id: string;
  status: string;
}

type Asker = Pick<HttpSidecar, "call">;

async function create({ call }: Asker, body?: object): Promise<string> {
  const answer = await call<Session>("POST", "/sessions", { body });
  expect(answer.status).toBe(201);
  return answer.body.session_id;
}

/** At `/sessions/{id}` of one session. */
const about = ({ call }: Asker, id: string) => ({
  status: () => call("GET", `/sessions/${id}/status`),
  close: () => call("POST", `/sessions/${id}/close`),
  providers: <T = Record<string, unknown>>(body: unknown) => call<T>("POST", `/sessions/${id}/providers`, { body }),
  dispatch: <T = Record<string, unknown>>(body: unknown) => call<T>("POST", `/sessions/${id}/dispatch`, { body }),
  estimate: <T = Record<string, unknown>>(body: unknown) => call<T>("POST", `/sessions/${id}/estimate`, { body }),
});

async function listed({ call }: Asker, query = ""): Promise<string[]> {
  const { status, body } = await call<{ sessions: Session[] }>("GET", `/sessions${query}`);
  expect(status).toBe(200);
  return body.sessions.map(({ session_id }) => session_id);
}

describe("a session at the root", () => {
  it("is created, watched, listed and closed", async () => {
    const sidecar = await spawnConfigured();
    const created = await sidecar.call<Session>("POST", "/sessions", { body: { provider: "ollama", model: "qwen3-4b" } });
    expect(created.status).toBe(201);
    expect(created.body).toEqual({
      session_id: expect.stringMatching(UUID),
      protocol_version: "2.0.0",
      status: "active",
      provider: "ollama",
      model: "qwen3-4b",
      created_at: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/),
      updated_at: expect.any(String),
    });
    const { session_id: id } = created.body;
    const session = about(sidecar, id);
    expect(await session.status()).toMatchObject({ status: 200, body: created.body });
    // Nothing has to be said of the model.
    const other = await create(sidecar);
    expect(await listed(sidecar)).toEqual([other, id]);
    expect(await listed(sidecar, "?limit=1")).toEqual([other]);
    expect(await listed(sidecar, `?after=${other}`)).toEqual([id]);
    const closed = { ...created.body, status: "closed", updated_at: expect.any(String) };
    expect(await session.close()).toMatchObject({ status: 200, body: closed });
    expect(await session.close()).toMatchObject({ status: 200, body: closed });
    expect(await session.status()).toMatchObject({ status: 200, body: closed });
    expect(await listed(sidecar)).toEqual([other]);
    expectError(await session.dispatch({ task: "Hi" }), 409, "session_closed");
    expectError(await session.providers({ model: "x" }), 409, "session_closed");
  });

  it("is refused where what is said of its model makes no sense", async () => {
    const sidecar = await spawnConfigured();
    const refusal = async (body: unknown, code = "invalid_params") => expectError(await sidecar.call("POST", "/sessions", { body }), 400, code);
    for (const body of [{ provider: "nobody" }, { provider: 1 }, { provider: "" }, { model: "m".repeat(257) }, { base_url: "ftp://127.0.0.1" }, [], '"text"']) {
      await refusal(body);
    }
    await refusal("{", "parse");
    expectError(await sidecar.call("POST", "/sessions", { body: "provider=echo", headers: { "content-type": "text/plain" } }), 415, "unsupported_media");
    for (const query of ["?limit=0", "?limit=1001", "?limit=x"]) expectError(await sidecar.call("GET", `/sessions${query}`), 400, "invalid_params");
    expectError(await sidecar.call("GET", "/sessions?after=nobody"), 404, "session_not_found");
    expect(await listed(sidecar)).toEqual([]);
  });

  it("that is not there has no status, cannot be closed, and takes no task", async () => {
    const sidecar = await spawnConfigured();
    const { status, close, providers, dispatch, estimate } = about(sidecar, "11111111-1111-4111-8111-111111111111");
    for (const answer of [await status(), await close(), await providers({ model: "m" }), await dispatch({ task: "Hi" }), await estimate({ task: "Hi" })]) {
      expectError(answer, 404, "session_not_found");
    }
  });

  it("is one of as many as may be open at a time, however many are asked for at once", async () => {
    const config = { api: { auth: { keys: await keysFor({ ann: ["read", "write"], bob: ["read", "write"] }) } } };
    const sidecar = await spawnConfigured({ config, args: ["--max-sessions", "3"] });
    const [ann, bob] = [as(sidecar, "ann"), as(sidecar, "bob")];
    const asked = await Promise.all(Array.from({ length: 12 }, (_, index) => (index % 2 === 0 ? ann : bob).call<Session>("POST", "/sessions", { body: {} })));
    expect(asked.map(({ status }) => status).toSorted()).toEqual([201, 201, 201, ...Array.from({ length: 9 }, () => 503)]);
    for (const answer of asked.filter(({ status }) => status === 503)) {
      expect(answer.body).toMatchObject({ error: { code: "too_many_sessions", message: expect.stringContaining("3 sessions") } });
      expect(answer.headers["retry-after"]).toMatch(/^[1-9]\d*$/);
    }
    // Sessions of another kind take no place.
    expect((await ann.call("POST", "/v1/sessions", { body: {} })).status).toBe(201);
    const [index = -1] = asked.flatMap(({ status }, at) => (status === 201 ? [at] : []));
    const owner = index % 2 === 0 ? ann : bob;
    expect((await about(owner, asked[index]?.body.session_id ?? "").close()).status).toBe(200);
    const again = await Promise.all(Array.from({ length: 4 }, () => bob.call("POST", "/sessions", { body: {} })));
    expect(again.map(({ status }) => status).toSorted()).toEqual([201, 503, 503, 503]);
  });
});

describe("a place for a session", () => {
  it("is not taken by those who have left while they waited for it", async () => {
    const path = join(temporaryFolder(), "sidecar.db");
    const config = { api: { limits: { max_concurrent_requests: 6 } } };
    const sidecar = await spawnConfigured({ config, args: ["--storage-path", path] });
    expect(await listed(sidecar)).toEqual([]);
    const lock = new Connection(loadDriver().open(path, { readOnly: false }));
    onTestFinished(() => lock.close());
    lock.exec("BEGIN EXCLUSIVE");
    // One waits for the store, the others for that one.
    const staying = sidecar.open("POST", "/sessions", { body: {} });
    const answered = once(staying, "response") as Promise<[IncomingMessage]>;
    const leaving = Array.from({ length: 5 }, () => sidecar.open("POST", "/sessions", { body: {} }));
    await Promise.all([staying, ...leaving].map((request) => once(request, "finish")));
    // Whoever looks takes a place as well, so it has to be behind the six: what they have sent is read before so many pings.
    for (let turn = 0; turn < 4; turn++) await sidecar.sidecar.call("system.ping");
    expect((await sidecar.call("GET", "/v1/info")).status).toBe(503);
    for (const request of leaving) request.destroy();
    await until(async () => ((await sidecar.call("GET", "/v1/info")).status === 200 ? true : undefined), "five clients to be gone");
    await until(() => (sidecar.sidecar.stderr.split('"status":499').length === 6 ? true : undefined), "five clients to be gone");
    lock.exec("ROLLBACK");
    // On a slow machine the store may have lost its patience.
    expect([201, 503]).toContain((await answered)[0].statusCode);
    // Behind all of them.
    expect((await sidecar.call("POST", "/sessions", { body: {} })).status).toBe(201);
    // What one of the others had begun already may have happened.
    expect((await listed(sidecar)).length).toBeLessThanOrEqual(3);
  });
});

describe("dispatching a task", () => {
  it("asks the model of the session, with instructions and history", async () => {
    const model = await startModel(["# CAP"], { prompt_tokens: 21, completion_tokens: 340, total_tokens: 361 });
    const sidecar = await spawnConfigured({ config: { prices: { priced: { inputPerMTok: 1, outputPerMTok: 2 } } } });
    const id = await create(sidecar, { provider: "openai", model: "priced", base_url: `${model.url}/v1` });
    const { dispatch } = about(sidecar, id);
    const first = await dispatch({
      task: "Explain the CAP theorem",
      system_prompt: "Be brief.",
      expected_output_type: "markdown",
      max_tokens: 500,
      temperature: 0.5,
    });
    expect(first).toMatchObject({ status: 200 });
    expect(first.body).toEqual({
      session_id: id,
      output: "# CAP",
      quality_tier: null,
      facts_extracted: 0,
      finish_reason: "stop",
      usage: { input_tokens: 21, output_tokens: 340 },
      cost_usd: expect.closeTo(0.000701, 9),
    });
    await dispatch({ task_input: "And PACELC?" });
    const [one, two] = model.requests;
    expect(one?.json).toMatchObject({ model: "priced", temperature: 0.5, max_tokens: 500 });
    const system = { role: "system", content: expect.stringMatching(/Be brief\.[\s\S]*markdown/) };
    const question = { role: "user", content: "Explain the CAP theorem" };
    expect(one && messagesOf(one)).toEqual([system, question]);
    expect(two && messagesOf(two)).toEqual([system, question, { role: "assistant", content: "# CAP" }, { role: "user", content: "And PACELC?" }]);
    expect(two?.json).not.toHaveProperty("temperature");
  });

  it("takes exactly one of task and task_input", async () => {
    const sidecar = await spawnConfigured();
    const id = await create(sidecar, { provider: "echo" });
    const { dispatch, estimate } = about(sidecar, id);
    for (const body of [
      undefined,
      {},
      { task: "" },
      { task: 7 },
      { task: "a", task_input: "b" },
      { task: "a", max_tokens: 0 },
      { task: "a", expected_output_type: "" },
    ]) {
      expectError(await dispatch(body), 400, "invalid_params");
      expectError(await estimate(body), 400, "invalid_params");
    }
    expect(await dispatch({ task: "Hi" })).toMatchObject({ status: 200, body: { output: "Hi" } });
  });

  it("that cannot be done says why", async () => {
    const failing = await startModelServer((_, answer) => answer.respond(401, { error: { message: "no such key sk-upstream" } }));
    onTestFinished(() => failing.close());
    const sidecar = await spawnConfigured();
    expectError(await about(sidecar, await create(sidecar)).dispatch({ task: "Hi" }), 400, "invalid_params", expect.stringContaining("provider"));
    const id = await create(sidecar, { provider: "openai", model: "m", base_url: `${failing.url}/v1` });
    expectError(await about(sidecar, id).dispatch({ task: "Hi" }), 502, "turn_failed");
  });

  it("is cancelled when the client leaves, and the session goes on", async () => {
    const model = await startModel((asked) => (messagesOf(asked).length === 1 ? new Promise<undefined>(() => undefined) : "Better"));
    const sidecar = await spawnConfigured();
    const id = await create(sidecar, { provider: "openai", model: "m", base_url: `${model.url}/v1` });
    const leaving = sidecar.open("POST", `/sessions/${id}/dispatch`, { body: { task: "Wait" } });
    const asked = await model.nextRequest();
    leaving.destroy();
    await asked.closed;
    expect(await about(sidecar, id).dispatch({ task: "And now?" })).toMatchObject({ status: 200, body: { output: "Better" } });
  });

  it("is limited by itself: the 31st in a minute is turned away, while other requests are not", { timeout: 60_000 }, async () => {
    const sidecar = await spawnHttp();
    const id = await create(sidecar, { provider: "echo" });
    const { dispatch, status } = about(sidecar, id);
    const answers = await Promise.all(Array.from({ length: 32 }, () => dispatch({ task: "Hi" })));
    expect(answers.map((answer) => answer.status).toSorted()).toEqual([...Array.from({ length: 30 }, () => 200), 429, 429]);
    const turnedAway = answers.find((answer) => answer.status === 429);
    expect(turnedAway?.body).toMatchObject({ error: { code: "rate_limited" } });
    expect(Number(turnedAway?.headers["retry-after"])).toBeGreaterThan(0);
    expect((await status()).status).toBe(200);
  });
});

describe("estimating a task", () => {
  it("asks no model, and counts the history in", async () => {
    const model = await startModel(["x".repeat(4000)], undefined);
    const sidecar = await spawnConfigured({ config: { prices: { priced: { inputPerMTok: 1000, outputPerMTok: 2000 } } } });
    const id = await create(sidecar, { provider: "openai", model: "priced", base_url: `${model.url}/v1` });
    const { dispatch, estimate } = about(sidecar, id);
    const first = await estimate<{ input_tokens: number; input_cost_usd: number }>({ task: "Hi", max_tokens: 100 });
    const { input_tokens: tokens } = first.body;
    expect(first).toMatchObject({ status: 200 });
    expect(first.body).toEqual({
      session_id: id,
      provider: "openai",
      model: "priced",
      input_tokens: expect.any(Number),
      max_output_tokens: 100,
      input_cost_usd: expect.closeTo(tokens / 1000, 6),
      max_cost_usd: expect.closeTo(tokens / 1000 + 0.2, 6),
    });
    expect(tokens).toBeGreaterThan(0);
    expect(model.requests).toHaveLength(0);
    await dispatch({ task: "Go" });
    const second = await estimate<{ input_tokens: number }>({ task: "Hi" });
    expect(second.body).toMatchObject({ max_output_tokens: null, max_cost_usd: null });
    expect(second.body.input_tokens).toBeGreaterThan(tokens + 500);
    const instructed = await estimate<{ input_tokens: number }>({ task: "Hi", system_prompt: "y".repeat(4000) });
    expect(instructed.body.input_tokens).toBeGreaterThan(second.body.input_tokens + 500);
    expect(model.requests).toHaveLength(1);
  });

  it("names no price where there is none, and needs a provider", async () => {
    const sidecar = await spawnConfigured();
    const id = await create(sidecar, { provider: "ollama", model: "qwen3-4b" });
    expect((await about(sidecar, id).estimate({ task_input: "Hi" })).body).toMatchObject({
      provider: "ollama",
      model: "qwen3-4b",
      input_cost_usd: null,
      max_cost_usd: null,
    });
    expectError(await about(sidecar, await create(sidecar)).estimate({ task: "Hi" }), 400, "invalid_params");
  });
});

describe("the provider of a session", () => {
  const SECRET = "sk-of-the-session-1f6f2b1f6a7e";

  it("is asked with its own key, which is found in no file, log, answer or trace", { timeout: 60_000 }, async () => {
    const model = await startModel(["Hi"]);
    const folder = temporaryFolder();
    const sidecar = await spawnConfigured({ args: ["--storage-path", join(folder, "sidecar.db"), "--log-level", "DEBUG"] });
    const id = await create(sidecar);
    const { providers, dispatch, status } = about(sidecar, id);
    const answers = [await providers({ provider: "openai", model: "m1", base_url: `${model.url}/v1`, api_key: SECRET })];
    expect(answers[0]).toMatchObject({ status: 200, body: { session_id: id, status: "active", provider: "openai", model: "m1" } });
    expect(answers[0]?.body).not.toHaveProperty("api_key");
    answers.push(await dispatch({ task: "Go" }), await providers({ model: "m2" }), await dispatch({ task: "Go" }));
    expect(model.requests.map(({ headers, json }) => [headers["authorization"], (json as { model: string }).model])).toEqual([
      [`Bearer ${SECRET}`, "m1"],
      [`Bearer ${SECRET}`, "m2"],
    ]);
    for (const body of [
      { api_key: 7, model: SECRET.repeat(20) },
      { api_key: SECRET, base_url: SECRET },
      { api_key: SECRET, provider: SECRET },
      `{"api_key":"${SECRET}"`,
    ]) {
      const refused = await providers(body);
      expect(refused.status).toBe(400);
      answers.push(refused);
    }
    answers.push(await status(), await sidecar.call("GET", `/v1/sessions/${id}`), await sidecar.call("GET", "/metrics"));
    const rpc = (method: string, params: object = {}) => sidecar.call<{ result: unknown }>("POST", "/rpc", { body: { jsonrpc: "2.0", id: 1, method, params } });
    const traces = await rpc("trace.list");
    answers.push(traces, await rpc("config.get"), await rpc("agent.session.get", { sessionId: id }));
    for (const { traceId } of (traces.body.result as { traces: { traceId: string }[] }).traces) answers.push(await rpc("trace.fetch", { traceId }));
    expect(answers.filter(({ text, headers }) => `${text}${JSON.stringify(headers)}`.includes(SECRET))).toEqual([]);
    // With the process that wrote them at its end, the files are whole.
    await sidecar.sidecar.call("system.shutdown");
    await sidecar.sidecar.exit;
    const files = readdirSync(folder).map((file) => readFileSync(join(folder, file), "latin1"));
    expect(files.length).toBeGreaterThan(0);
    expect([...files, sidecar.sidecar.stderr, sidecar.sidecar.lines.join("\n")].filter((text) => text.includes(SECRET))).toEqual([]);
  });

  it("gets the key only at the address that it was given for", async () => {
    const [meant, other] = [await startModel(["Hi"]), await startModel(["Hi"])];
    const sidecar = await spawnConfigured();
    const { providers, dispatch } = about(sidecar, await create(sidecar));
    await providers({ provider: "openai", model: "m", base_url: `${meant.url}/v1`, api_key: SECRET });
    await dispatch({ task: "Go" });
    await providers({ base_url: `${other.url}/v1` });
    expect(await dispatch({ task: "Go" })).toMatchObject({ status: 200, body: { output: "Hi" } });
    expect([meant, other].map(({ requests }) => requests.map(({ headers }) => headers["authorization"]))).toEqual([[`Bearer ${SECRET}`], [undefined]]);
  });

  it("never gets a key of the configuration at an address that a caller has chosen, and only listed ones are asked", async () => {
    const [configured, chosen, unlisted] = [await startModel(["Hi"]), await startModel(["Hi"]), await startModel(["Hi"])];
    const config = { api: { auth: { keys: await keysFor({ ann: ["read", "write"] }) } }, allowedBaseUrls: [chosen.url] };
    const sidecar = await spawnConfigured({ model: configured, config });
    const ann = as(sidecar, "ann");
    const { dispatch } = about(ann, await create(ann));
    expect((await dispatch({ task: "Go" })).status).toBe(200);
    const away = about(ann, await create(ann, { provider: "openai", model: "m", base_url: `${chosen.url}/v1` }));
    expect((await away.dispatch({ task: "Go" })).status).toBe(200);
    expect(configured.requests[0]?.headers["authorization"]).toMatch(/^Bearer ./);
    expect(chosen.requests[0]?.headers).not.toHaveProperty("authorization");
    const further = about(ann, await create(ann, { provider: "openai", model: "m", base_url: `${unlisted.url}/v1` }));
    expectError(await further.dispatch({ task: "Go" }), 403, "forbidden");
    expect(unlisted.requests).toEqual([]);
  });

  it("is one that exists, at an address without a password", async () => {
    const sidecar = await spawnConfigured();
    const { providers, status } = about(sidecar, await create(sidecar, { provider: "echo" }));
    for (const body of [undefined, [], { provider: "nobody" }, { base_url: "127.0.0.1:1" }, { base_url: "http://me:secret@127.0.0.1:1" }, { api_key: "" }]) {
      const refused = await providers(body);
      expectError(refused, 400, "invalid_params");
      expect(refused.text).not.toContain("secret");
    }
    expect(await status()).toMatchObject({ body: { provider: "echo", model: null } });
    expect(await providers({})).toMatchObject({ status: 200, body: { provider: "echo" } });
  });
});

describe("what this surface does not have", () => {
  it("is answered with 404 not_enabled, whatever is asked of it", async () => {
    const sidecar = await spawnConfigured();
    const id = await create(sidecar, { provider: "echo" });
    const absent = [
      ...["tools", "reflexive", "progressive", "stream-augmented", "agentic"].map((kind) => ["POST", `dispatch/${kind}`] as const),
      ["POST", "ingest"] as const,
      ["GET", "facts"] as const,
      ["POST", "facts/share"] as const,
      ["POST", "facts/feedback"] as const,
      ["GET", "envelope"] as const,
    ];
    for (const [verb, path] of absent) {
      expect(
        routes.find((entry) => entry.verb === verb && entry.path === `/sessions/{id}/${path}`),
        path,
      ).toBeDefined();
      for (const sessionId of [id, "nobody"]) {
        for (const body of verb === "GET" ? [undefined] : [undefined, {}, { task: "Hi" }]) {
          expectError(await sidecar.call(verb, `/sessions/${sessionId}/${path}`, { body }), 404, "not_enabled");
        }
      }
    }
    expectError(await sidecar.call("POST", `/sessions/${id}/dispatch/other`, { body: {} }), 404, "not_found");
    expectError(await sidecar.call("DELETE", `/sessions/${id}`), 404, "not_found");
  });
});
