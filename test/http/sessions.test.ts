import { describe, expect, it, onTestFinished } from "vitest";
import { messagesOf, startModel, stepOf } from "../support/agent.ts";
import {
  as,
  expectError,
  merged,
  messagesIn,
  newSession,
  openStream,
  readEvents,
  restOf,
  say,
  type Session,
  spawnConfigured,
  UUID,
  workspace,
} from "../support/completions.ts";
import { keysFor } from "../support/keys.ts";
import type { Asking } from "../support/http.ts";
import { startModelServer } from "../support/model-server.ts";

const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;

describe("/v1/sessions", () => {
  it("are created, listed, read and deleted", async () => {
    const { call } = await spawnConfigured();
    const { status, body: session } = await call<Session>("POST", "/v1/sessions", { body: { alias: "my-project", model: "openai:gpt-4o" } });
    expect({ status, session }).toEqual({
      status: 201,
      session: {
        id: expect.stringMatching(UUID),
        alias: "my-project",
        agent: null,
        role: null,
        rag: null,
        model: "openai:gpt-4o",
        is_active: true,
        created_at: expect.stringMatching(TIME),
        updated_at: expect.stringMatching(TIME),
      },
    });
    expect(await call("GET", "/v1/sessions")).toMatchObject({ status: 200, body: [session] });
    const read = await call("GET", `/v1/sessions/${session.id}`);
    expect({ status: read.status, body: read.body }).toEqual({ status: 200, body: { ...session, messages: [], next_cursor: null } });
    expect(await call("DELETE", `/v1/sessions/${session.id}`)).toMatchObject({ status: 204, text: "" });
    expectError(await call("GET", `/v1/sessions/${session.id}`), 404, "session_not_found");
    expectError(await call("DELETE", `/v1/sessions/${session.id}`), 404, "session_not_found");
    expect(await call("GET", "/v1/sessions")).toMatchObject({ status: 200, body: [] });
  });

  it("need nothing to be said of them", async () => {
    const { call } = await spawnConfigured();
    const asked: Asking[] = [{}, { body: "" }, { body: "null" }, { body: {} }, { body: { alias: null, role: null, agent: null, rag: null, model: null } }];
    for (const asking of asked) {
      expect(await call("POST", "/v1/sessions", asking)).toMatchObject({ status: 201, body: { id: expect.stringMatching(UUID), alias: null, model: null } });
    }
  });

  it("are not created with what does not exist", async () => {
    const { call } = await spawnConfigured();
    for (const kind of ["role", "agent", "rag"]) expectError(await call("POST", "/v1/sessions", { body: { [kind]: "any" } }), 404, `${kind}_not_found`);
    for (const body of [{ model: "nobody:any" }, { model: ":any" }, { alias: "" }, { alias: "x".repeat(257) }, { alias: 7 }, [], "7"]) {
      expectError(await call("POST", "/v1/sessions", { body }), 400, "invalid_params");
    }
    expectError(await call("POST", "/v1/sessions", { body: "{" }), 400, "parse");
    expect(await call("GET", "/v1/sessions")).toMatchObject({ status: 200, body: [] });
  });

  it("are listed page by page, and so are their messages", async () => {
    const http = await spawnConfigured();
    const made = [];
    for (let index = 0; index < 5; index++) made.push(await newSession(http));
    for (const id of made.slice(0, 3)) await say(http, id, "Hi", { model: "echo:any" });
    // Those that were used come first.
    const order = [made[2], made[1], made[0], made[4], made[3]];
    const listed: string[] = [];
    for (let after = ""; ; ) {
      const { body } = await http.call<Session[]>("GET", `/v1/sessions?limit=2${after}`);
      listed.push(...body.map(({ id }) => id));
      if (body.length < 2) break;
      after = `&after=${listed.at(-1)}`;
    }
    expect(listed).toEqual(order);
    for (const query of ["limit=0", "limit=1001", "limit=two", "after=", `after=${"x".repeat(129)}`]) {
      expectError(await http.call("GET", `/v1/sessions?${query}`), 400, "invalid_params");
    }
    expectError(await http.call("GET", "/v1/sessions?after=none"), 404, "session_not_found");

    const [id = ""] = made;
    await say(http, id, "Again", { model: "echo:any" });
    const read: string[] = [];
    for (let cursor: string | null = ""; cursor !== null; ) {
      const page: Session = (await http.call<Session>("GET", `/v1/sessions/${id}?limit=3${cursor === "" ? "" : `&cursor=${cursor}`}`)).body;
      read.push(...page.messages.map(({ content }) => content));
      cursor = page.next_cursor;
    }
    expect(read).toEqual(["Hi", "Hi", "Again", "Again"]);
    expectError(await http.call("GET", `/v1/sessions/${id}?cursor=nonsense`), 400, "invalid_params");
  });
});

describe("/v1/sessions/{id}/completions", () => {
  it("goes on where the prompt before ended, and keeps all that was said and done", async () => {
    const { config } = workspace();
    const model = await startModel((request) => {
      const step = stepOf(request);
      if (step === 0) return "Hello.";
      return step === 1 ? [{ id: "tc_1", name: "read_file", arguments: { path: "note.md" } }] : "A plan.";
    });
    const http = await spawnConfigured({ model, config });
    const id = await newSession(http);
    expect(await say(http, id, "Hi")).toMatchObject({ status: 200, body: { session_id: id, final_message: "Hello.", turns: 1, tool_calls: [] } });
    expect(merged(await readEvents(http, `/v1/sessions/${id}/completions`, { prompt: "Read the note" }))).toEqual([
      ["started", { request_id: expect.stringMatching(UUID), session_id: id }],
      ["tool_call", { id: "tc_1", name: "read_file", args: '{"path":"note.md"}' }],
      ["tool_result", { id: "tc_1", name: "read_file", result: expect.stringContaining("# Plan"), is_error: false }],
      ["assistant_delta", { text: "A plan." }],
      ["finished", { outcome: { turns: 2, tool_calls: 1, compressed: false } }],
    ]);
    const kept = { id: expect.any(String), partial: false, created_at: expect.stringMatching(TIME) };
    expect(await messagesIn(http, id)).toEqual([
      { ...kept, role: "user", content: "Hi" },
      { ...kept, role: "assistant", content: "Hello." },
      { ...kept, role: "user", content: "Read the note" },
      { ...kept, role: "assistant", content: "", tool_calls: [{ id: "tc_1", name: "read_file", args: '{"path":"note.md"}' }] },
      { ...kept, role: "tool", content: expect.stringContaining("# Plan"), tool_call_id: "tc_1" },
      { ...kept, role: "assistant", content: "A plan." },
    ]);
    expect(messagesOf(await model.nextRequest()).map(({ role }) => role)).toEqual(["user"]);
    expect(messagesOf(await model.nextRequest()).map(({ role }) => role)).toEqual(["user", "assistant", "user"]);
  });

  it("asks the session's model, unless the prompt names another", async () => {
    const model = await startModel(["Hello."]);
    const http = await spawnConfigured({ model });
    const id = await newSession(http, { model: "openai:of-the-session" });
    await say(http, id, "Hi");
    await say(http, id, "Hi", { model: "openai:of-the-prompt" });
    await say(http, id, "Hi", { model: "without-a-provider" });
    await say(http, id, "Hi");
    const asked = model.requests.map(({ json }) => (json as { model: string }).model);
    expect(asked).toEqual(["of-the-session", "of-the-prompt", "without-a-provider", "of-the-session"]);
  });

  it("is refused in a session that is closed or does not exist, and the body is looked at first", async () => {
    const http = await spawnConfigured();
    const id = await newSession(http, { model: "echo:any" });
    await http.sidecar.call("agent.session.close", { sessionId: id });
    for (const stream of [false, true]) {
      expectError(await say(http, id, "Hi", { stream }), 409, "session_closed");
      expectError(await say(http, "none", "Hi", { stream, model: "echo:any" }), 404, "session_not_found");
      expectError(await say(http, "none", "Hi", { stream, role: "any" }), 404, "role_not_found");
      expectError(await say(http, "none", "", { stream }), 400, "invalid_params");
    }
    expectError(await http.call("POST", `/v1/sessions/${id}/compress`), 409, "session_closed");
    expect(await http.call("GET", `/v1/sessions/${id}`)).toMatchObject({ status: 200, body: { is_active: false, messages: [] } });
  });

  it("is 499, or the event `error`, when the session is deleted meanwhile", async () => {
    const model = await startModelServer(() => undefined);
    onTestFinished(() => model.close());
    const http = await spawnConfigured({ model });
    const [whole, streamed] = [await newSession(http), await newSession(http)];
    const answer = say(http, whole, "Go");
    const { response } = await openStream(http, `/v1/sessions/${streamed}/completions`, { prompt: "Go" });
    const rest = restOf(response);
    const asked = [await model.nextRequest(), await model.nextRequest()];
    for (const id of [whole, streamed]) expect(await http.call("DELETE", `/v1/sessions/${id}`)).toMatchObject({ status: 204 });
    expectError(await answer, 499, "cancelled");
    expect((await rest).text).toMatch(/\n\nevent: error\ndata: \{"error":\{"code":"cancelled","message":"[^"]+","request_id":"[-\da-f]+"\}\}\n\n$/);
    await Promise.all(asked.map(({ closed }) => closed));
  });
});

describe("/v1/sessions/{id}/compress", () => {
  it("has the older part of a session summarized", async () => {
    const model = await startModel((request) => (JSON.stringify(request.json).includes("summar") ? "They said hi." : "Hello."));
    const http = await spawnConfigured({ model });
    const id = await newSession(http);
    const nothing = await http.call("POST", `/v1/sessions/${id}/compress`);
    expect({ status: nothing.status, body: nothing.body }).toEqual({
      status: 200,
      body: { session_id: id, compressed: false, summary: "", summarized_messages: 0, tokens_before: expect.any(Number), tokens_after: expect.any(Number) },
    });
    for (let turn = 0; turn < 4; turn++) await say(http, id, `Hi ${turn}`);
    const { status, body } = await http.call("POST", `/v1/sessions/${id}/compress`, { body: { model: "openai:other-model" } });
    expect({ status, body }).toEqual({
      status: 200,
      body: {
        session_id: id,
        compressed: true,
        summary: "They said hi.",
        summarized_messages: 4,
        tokens_before: expect.any(Number),
        tokens_after: expect.any(Number),
      },
    });
    expect(model.requests.at(-1)?.json).toMatchObject({ model: "other-model" });
    await say(http, id, "Last");
    const sent = JSON.stringify(model.requests.at(-1)?.json);
    expect(sent).toContain("They said hi.");
    expect(sent).not.toContain("Hi 0");
    expect(await messagesIn(http, id)).toHaveLength(10);
  });

  it("fails as the model does, and the session stays as it is", async () => {
    const model = await startModelServer((_, answer) => answer.respond(400, { error: { message: "no" } }));
    onTestFinished(() => model.close());
    const http = await spawnConfigured({ model });
    const id = await newSession(http);
    for (let turn = 0; turn < 4; turn++) await say(http, id, "Hi", { model: "echo:any" });
    expectError(await http.call("POST", `/v1/sessions/${id}/compress`), 502, "turn_failed");
    expectError(await http.call("POST", `/v1/sessions/${id}/compress`, { body: { model: "nobody:any" } }), 400, "invalid_params");
    expect(await messagesIn(http, id)).toHaveLength(8);
  });

  it("ends with the deadline of the request", { timeout: 60_000 }, async () => {
    const model = await startModelServer(() => undefined);
    onTestFinished(() => model.close());
    const http = await spawnConfigured({ model, config: { api: { request_timeout_seconds: 10 } } });
    const id = await newSession(http);
    for (let turn = 0; turn < 4; turn++) expect(await say(http, id, "Hi", { model: "echo:any" })).toMatchObject({ status: 200 });
    expectError(await http.call("POST", `/v1/sessions/${id}/compress`), 504, "timeout");
    await (await model.nextRequest()).closed;
    expect(await say(http, id, "Hi", { model: "echo:any" })).toMatchObject({ status: 200 });
  });
});

describe("/v1/sessions/{id}/empty", () => {
  it("deletes the messages and keeps the session", async () => {
    const http = await spawnConfigured();
    const id = await newSession(http, { alias: "kept", model: "echo:any" });
    await say(http, id, "Hi");
    expect(await http.call("POST", `/v1/sessions/${id}/empty`)).toMatchObject({ status: 200, body: { id, alias: "kept", model: "echo:any", is_active: true } });
    expect(await http.call("GET", `/v1/sessions/${id}`)).toMatchObject({ status: 200, body: { id, alias: "kept", messages: [] } });
    expect(await say(http, id, "Anew")).toMatchObject({ status: 200, body: { final_message: "Anew" } });
    expect((await messagesIn(http, id)).map(({ content }) => content)).toEqual(["Anew", "Anew"]);
  });
});

describe("the sessions of others", () => {
  it("do not exist, but for callers with the scope admin", async () => {
    const keys = await keysFor({ alice: ["read", "write"], bob: ["read", "write"], root: ["read", "write", "admin"] });
    const http = await spawnConfigured({ config: { api: { auth: { keys } } } });
    const [alice, bob, root] = [as(http, "alice"), as(http, "bob"), as(http, "root")];
    const id = await newSession(alice, { model: "echo:any" });
    for (const [method, path, body] of [
      ["GET", "", undefined],
      ["POST", "/completions", { prompt: "Hi" }],
      ["POST", "/completions", { prompt: "Hi", stream: true }],
      ["POST", "/compress", {}],
      ["POST", "/empty", undefined],
      ...["role", "agent", "rag"].flatMap((kind) => [["POST", `/${kind}`, { name: "any" }] as const, ["DELETE", `/${kind}`, undefined] as const]),
      ["DELETE", "", undefined],
    ] as const) {
      expectError(await bob.call(method, `/v1/sessions/${id}${path}`, { body }), 404, "session_not_found");
    }
    expect(await bob.call("GET", "/v1/sessions")).toMatchObject({ status: 200, body: [] });
    expect(await root.call("GET", "/v1/sessions")).toMatchObject({ status: 200, body: [{ id }] });
    expect(await root.call("GET", `/v1/sessions/${id}`)).toMatchObject({ status: 200, body: { id, messages: [] } });
    expect(await say(alice, id, "Hi")).toMatchObject({ status: 200, body: { final_message: "Hi" } });
  });
});
