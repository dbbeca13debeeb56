import { describe, expect, it } from "vitest";
import { startModel } from "../support/agent.ts";
import { as, expectError, spawnConfigured } from "../support/completions.ts";
import { keysFor } from "../support/keys.ts";

/** Every verb and path of the surface, with what it needs, a body that fits, and the answer where nothing is there yet. */
const endpoints = [
  ["POST", "/v1/auth/check", "read", undefined, 200],
  ["GET", "/v1/models", "read", undefined, 200],
  ["GET", "/v1/agents", "read", undefined, 200],
  ["GET", "/v1/roles", "read", undefined, 200],
  ["GET", "/v1/rags", "read", undefined, 200],
  ["GET", "/v1/info", "read", undefined, 200],
  ["POST", "/v1/completions", "write", { prompt: "Hi", model: "echo:any" }, 200],
  ["POST", "/v1/sessions", "write", {}, 201],
  ["GET", "/v1/sessions", "read", undefined, 200],
  ["GET", "/v1/sessions/none", "read", undefined, "session_not_found"],
  ["DELETE", "/v1/sessions/none", "write", undefined, "session_not_found"],
  ["POST", "/v1/sessions/none/completions", "write", { prompt: "Hi", model: "echo:any" }, "session_not_found"],
  ["POST", "/v1/sessions/none/compress", "write", {}, "session_not_found"],
  ["POST", "/v1/sessions/none/empty", "write", undefined, "session_not_found"],
  ["POST", "/v1/sessions/none/role", "write", { name: "any" }, "session_not_found"],
  ["DELETE", "/v1/sessions/none/role", "write", undefined, "session_not_found"],
  ["POST", "/v1/sessions/none/agent", "write", { name: "any" }, "session_not_found"],
  ["DELETE", "/v1/sessions/none/agent", "write", undefined, "session_not_found"],
  ["POST", "/v1/sessions/none/rag", "write", { name: "any" }, "session_not_found"],
  ["DELETE", "/v1/sessions/none/rag", "write", undefined, "session_not_found"],
  ["POST", "/v1/rags/none/rebuild", "write", undefined, "rag_not_found"],
] as const;

describe("every endpoint under /v1", () => {
  it("is there for a key with its scope, and for no other", async () => {
    const http = await spawnConfigured({ config: { api: { auth: { keys: await keysFor({ reader: ["read"], writer: ["write"] }) } } } });
    for (const [method, path, scope, body, expected] of endpoints) {
      const name = `${method} ${path}`;
      const [allowed, other] = scope === "read" ? ["reader", "writer"] : ["writer", "reader"];
      expectError(await http.call(method, path, { body, key: null }), 401, "unauthorized");
      expectError(await as(http, other).call(method, path, { body }), 403, "forbidden");
      const answer = await as(http, allowed).call(method, path, { body });
      if (typeof expected === "number") expect({ name, status: answer.status }).toEqual({ name, status: expected });
      else expectError(answer, 404, expected);
    }
  });
});

describe("the catalog", () => {
  it("says whose a key is", async () => {
    const http = await spawnConfigured({ config: { api: { auth: { keys: await keysFor({ alice: ["read", "write"], root: ["*"] }) } } } });
    expect(await as(http, "alice").call("POST", "/v1/auth/check")).toMatchObject({ status: 200, body: { subject: "alice", scopes: ["read", "write"] } });
    expect(await as(http, "root").call("POST", "/v1/auth/check", { body: {} })).toMatchObject({
      body: { subject: "root", scopes: ["read", "write", "admin"] },
    });
    expectError(await http.call("POST", "/v1/auth/check", { key: "wrong" }), 401, "unauthorized");
  });

  it("lists the models that are configured, and nothing where nothing is", async () => {
    const model = await startModel(["Hi"]);
    const { call } = await spawnConfigured({ model, config: { providers: { anthropic: { model: "claude-x" } } } });
    const models = await call("GET", "/v1/models");
    expect({ status: models.status, body: models.body }).toEqual({
      status: 200,
      body: [
        { id: "anthropic:claude-x", provider: "anthropic", name: "claude-x" },
        { id: "openai:test-model", provider: "openai", name: "test-model" },
      ],
    });
    for (const path of ["/v1/agents", "/v1/roles", "/v1/rags"]) expect(await call("GET", path)).toMatchObject({ status: 200, text: "[]" });
    expect(await (await spawnConfigured()).call("GET", "/v1/models")).toMatchObject({ status: 200, text: "[]" });
  });

  it("says what is running", async () => {
    const { call } = await spawnConfigured({ config: { tools: { builtin: ["get_time"] } } });
    await call("POST", "/v1/completions", { body: { prompt: "Hi", model: "echo:any" } });
    const { status, body } = await call("GET", "/v1/info");
    expect({ status, body }).toEqual({
      status: 200,
      body: {
        name: "steerable-sidecar",
        version: expect.stringMatching(/^\d+\.\d+\.\d+/),
        protocol_version: "0.1.0",
        status: "ok",
        uptime_seconds: expect.any(Number),
        platform: expect.stringContaining(process.platform),
        providers: ["echo"],
        tools: 1,
      },
    });
  });

  it("has no roles, agents and knowledge bases to attach, and detaching what is not there changes nothing", async () => {
    const { call } = await spawnConfigured();
    const { body: session } = await call<{ id: string }>("POST", "/v1/sessions");
    for (const kind of ["role", "agent", "rag"]) {
      const path = `/v1/sessions/${session.id}/${kind}`;
      expectError(await call("POST", path, { body: { name: "any" } }), 404, `${kind}_not_found`);
      for (const body of [{}, { name: "" }, { name: 7 }, undefined]) expectError(await call("POST", path, { body }), 400, "invalid_params");
      expect(await call("DELETE", path)).toMatchObject({ status: 204, text: "" });
    }
    expectError(await call("POST", "/v1/rags/my%20docs/rebuild"), 404, "rag_not_found");
    expect(await call("GET", `/v1/sessions/${session.id}`)).toMatchObject({ body: { ...session, messages: [] } });
  });
});
