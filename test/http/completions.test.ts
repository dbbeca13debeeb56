import { writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { messagesOf, startModel, toolsOf } from "../support/agent.ts";
import { as, expectError, MODEL_KEY, openStream, PNG, readEvents, spawnConfigured, UUID, workspace } from "../support/completions.ts";
import { askerOf } from "../support/http.ts";
import { keyOf, keysFor } from "../support/keys.ts";
import { openaiStream, type SeenRequest, startModelServer } from "../support/model-server.ts";
import { until } from "../support/until.ts";

const usage = { input_tokens: 10, output_tokens: 5 };

describe("POST /v1/completions", () => {
  it("answers with what the model has said", async () => {
    const model = await startModel(["The handshake has three ways."]);
    const { call } = await spawnConfigured({ model });
    const { status, headers, body } = await call("POST", "/v1/completions", { body: { prompt: "Explain TCP" } });
    expect({ status, body }).toEqual({
      status: 200,
      body: {
        request_id: headers["x-request-id"],
        session_id: null,
        final_message: "The handshake has three ways.",
        tool_calls: [],
        turns: 1,
        compressed: false,
        auto_continued: 0,
        usage,
      },
    });
    expect(headers).toMatchObject({ "content-type": "application/json; charset=utf-8", "x-request-id": expect.stringMatching(UUID) });
    const asked = await model.nextRequest();
    expect(asked.headers).toMatchObject({ authorization: `Bearer ${MODEL_KEY}` });
    expect(asked.json).toMatchObject({ model: "test-model", messages: [{ role: "user", content: "Explain TCP" }] });
  });

  it("asks the model that is named, with what is said of it", async () => {
    const model = await startModel(["Yes."]);
    const { call } = await spawnConfigured({ model });
    const body = { prompt: "Well?", model: "openai:vendor/one:free", temperature: 0.7, max_tokens: 50, auto_continue: true, stream: false };
    expect(await call("POST", "/v1/completions", { body })).toMatchObject({ status: 200, body: { final_message: "Yes.", auto_continued: 0 } });
    expect((await model.nextRequest()).json).toMatchObject({ model: "vendor/one:free", temperature: 0.7, max_tokens: 50 });
    const echoed = await call("POST", "/v1/completions", { body: { prompt: "four words of mine", model: "echo:any" } });
    expect(echoed).toMatchObject({ status: 200, body: { final_message: "four words of mine", usage: { input_tokens: 4, output_tokens: 4 } } });
  });

  it("takes null for what is left out", async () => {
    const model = await startModel(["Yes."]);
    const { call } = await spawnConfigured({ model });
    const left = ["model", "role", "agent", "stream", "files", "tools", "temperature", "max_tokens", "auto_continue"];
    const body = { prompt: "Well?", ...Object.fromEntries(left.map((name) => [name, null])) };
    expect(await call("POST", "/v1/completions", { body })).toMatchObject({ status: 200, body: { final_message: "Yes." } });
    expect(await call("POST", "/v1/completions", { body, headers: { accept: "text/event-stream" } })).toMatchObject({ status: 200, body: undefined });
  });

  it("tells of no tokens where the model server counts none", async () => {
    const model = await startModelServer((_, answer) => answer.sse(openaiStream(["Yes."])));
    onTestFinished(() => model.close());
    const { call } = await spawnConfigured({ model });
    expect(await call("POST", "/v1/completions", { body: { prompt: "Well?" } })).toMatchObject({ status: 200, body: { final_message: "Yes.", usage: null } });
  });

  it("says when older messages were summarized on the way", async () => {
    const asksForSummary = (request: SeenRequest) => String(messagesOf(request)[0]?.content).includes("write the summary");
    const model = await startModel((request) => (asksForSummary(request) ? "Short." : "Yes."));
    const config = { compaction: { share: 0.5, keepTurns: 1, windows: { "test-model": 2000 } } };
    const http = await spawnConfigured({ model, config });
    for (const stream of [false, true]) {
      const { body: session } = await http.call<{ id: string }>("POST", "/v1/sessions");
      const path = `/v1/sessions/${session.id}/completions`;
      const prompt = "word ".repeat(450);
      expect(await http.call("POST", path, { body: { prompt } })).toMatchObject({ status: 200, body: { compressed: false } });
      await http.call("POST", path, { body: { prompt } });
      // The summary is a call of the model as well.
      if (stream) expect((await readEvents(http, path, { prompt })).at(-1)).toEqual(["finished", { outcome: { turns: 2, tool_calls: 0, compressed: true } }]);
      else
        expect(await http.call("POST", path, { body: { prompt } })).toMatchObject({ status: 200, body: { final_message: "Yes.", turns: 2, compressed: true } });
    }
  });

  it("runs the tools that the model asks for, and tells their calls", async () => {
    const { config } = workspace();
    const model = await startModel((request) => {
      const said = messagesOf(request).filter(({ role }) => role === "assistant").length;
      if (said === 0) return [{ id: "tc_1", name: "read_file", arguments: { path: "note.md" } }];
      if (said === 1) return [{ id: "tc_2", name: "read_file", arguments: { path: "none.md" } }];
      return said === 2 ? [{ id: "tc_3", name: "no_such_tool" }] : "It is a plan.";
    });
    const { call } = await spawnConfigured({ model, config });
    const { status, body } = await call<{ tool_calls: object[] }>("POST", "/v1/completions", { body: { prompt: "Read the note" } });
    expect({ status, body }).toMatchObject({
      status: 200,
      body: { final_message: "It is a plan.", turns: 4, usage: { input_tokens: 40, output_tokens: 20 } },
    });
    expect(body.tool_calls).toEqual([
      { id: "tc_1", name: "read_file", args: '{"path":"note.md"}', result: expect.stringContaining("# Plan"), is_error: false },
      { id: "tc_2", name: "read_file", args: '{"path":"none.md"}', result: expect.any(String), is_error: true },
      { id: "tc_3", name: "no_such_tool", args: "{}", result: expect.any(String), is_error: true },
    ]);
    expect(toolsOf(await model.nextRequest())).toEqual(["read_file"]);
  });

  it("gives the model the tools that are named, and no others", async () => {
    const { folder } = workspace();
    const model = await startModel(["Done."]);
    const { call } = await spawnConfigured({ model, config: { tools: { builtin: ["read_file", "get_time"], roots: [folder] } } });
    for (const [tools, offered] of [
      [undefined, ["get_time", "read_file"]],
      [["get_time"], ["get_time"]],
      [[], []],
    ] as const) {
      await call("POST", "/v1/completions", { body: { prompt: "Go", tools } });
      expect(toolsOf(await model.nextRequest()).toSorted()).toEqual(offered);
    }
    expectError(await call("POST", "/v1/completions", { body: { prompt: "Go", tools: ["no_such_tool"] } }), 400, "invalid_params");
  });
});

describe("files of a completion", () => {
  it("are attached to the prompt: paths inside the roots, addresses, images", async () => {
    const { folder, config } = workspace();
    const page = createServer((_, response) => response.setHeader("content-type", "text/plain").end("from afar"));
    await new Promise<void>((resolve) => page.listen(0, "127.0.0.1", resolve));
    onTestFinished(() => void page.close());
    const url = `http://127.0.0.1:${(page.address() as AddressInfo).port}/page.txt`;
    const model = await startModel(["Read."]);
    const { call } = await spawnConfigured({ model, config });
    const files = [{ path: join(folder, "note.md") }, { url }, { path: "shot.png" }];
    expect(await call("POST", "/v1/completions", { body: { prompt: "Look", files } })).toMatchObject({ status: 200 });
    expect(messagesOf(await model.nextRequest())).toEqual([
      {
        role: "user",
        content: [
          { type: "text", text: "Look" },
          { type: "text", text: expect.stringMatching(/^\[file: [^\n]*note\.md\]\n[\s\S]*# Plan/) },
          { type: "text", text: expect.stringContaining(`[file: ${url}]`) },
          { type: "image_url", image_url: { url: `data:image/png;base64,${PNG.toString("base64")}` } },
        ],
      },
    ]);
  });

  it("that cannot be attached are refused before the model is asked, whether it is to be a stream or not", async () => {
    const { folder, config } = workspace();
    const model = await startModel(["Read."]);
    const { call } = await spawnConfigured({ model, config });
    writeFileSync(join(folder, "report.pdf"), "%PDF-1.7\n");
    writeFileSync(join(folder, "long.txt"), "x".repeat(1024 * 1024 + 1));
    const outside = "files[0].path: No file of this path can be read; it has to be inside one of tools.roots";
    for (const stream of [false, true]) {
      const send = (file: object) => call("POST", "/v1/completions", { body: { prompt: "Look", stream, files: [file] } });
      for (const path of ["../secret.txt", "/etc/passwd", "none.md"]) expectError(await send({ path }), 400, "invalid_params", outside);
      expectError(await send({ path: "report.pdf" }), 415, "unsupported_media", expect.stringContaining("report.pdf is a PDF document"));
      expectError(await send({ path: "long.txt" }), 413, "too_large", expect.stringContaining("long.txt"));
      expectError(await send({ url: "ftp://example.com/x" }), 400, "invalid_params");
      expectError(await send({ path: "note.md", url: "https://example.com" }), 400, "invalid_params");
    }
    expect(model.requests).toEqual([]);
  });
});

describe("errors of a completion", () => {
  it("say what is wrong with a request", async () => {
    const model = await startModel(["Yes."]);
    const { call } = await spawnConfigured({ model });
    const post = (body: unknown, headers = {}) => call("POST", "/v1/completions", { body, headers });
    for (const stream of [undefined, true]) {
      expectError(await post({ prompt: "Go", role: "explain", stream }), 404, "role_not_found");
      expectError(await post({ prompt: "Go", agent: "oracle", stream }), 404, "agent_not_found");
      expectError(await post({ prompt: "Go", model: "nobody:any", stream }), 400, "invalid_params", expect.stringContaining('Unknown provider "nobody"'));
      for (const bad of [":any", "openai:", ""]) expectError(await post({ prompt: "Go", model: bad, stream }), 400, "invalid_params");
    }
    for (const body of [
      {},
      [],
      "7",
      "null",
      { prompt: "" },
      { prompt: 7 },
      { prompt: "Go", files: "x" },
      { prompt: "Go", stream: "yes" },
      { prompt: "Go", max_tokens: 0 },
    ]) {
      expectError(await post(body), 400, "invalid_params");
    }
    expectError(await post("{"), 400, "parse", "The body is not valid JSON");
    expectError(await post(Buffer.from([0x22, 0xff, 0x22])), 400, "parse", "The body is not valid UTF-8");
    expectError(await post("[".repeat(5000)), 400, "invalid_request");
    expectError(await post("prompt=Go", { "content-type": "application/x-www-form-urlencoded" }), 415, "unsupported_media");
    expectError(await post({ prompt: "Go" }, { "content-encoding": "gzip" }), 415, "unsupported_media");
    expectError(await call("POST", "/v1/completions"), 400, "invalid_params");
    expectError(await post({ prompt: "x".repeat(1_048_577) }), 413, "too_large");
    expectError(await call("PUT", "/v1/completions", { body: {} }), 404, "not_found");
    expect(model.requests).toEqual([]);
  });

  it("say that nobody has said which model to ask", async () => {
    const { call } = await spawnConfigured();
    expectError(await call("POST", "/v1/completions", { body: { prompt: "Go" } }), 400, "invalid_params", expect.stringContaining("provider"));
  });

  it("are 401 without a key that is good, and 403 with one that is for less", async () => {
    const http = await spawnConfigured({ config: { api: { auth: { keys: await keysFor({ reader: ["read"], writer: ["write"] }) } } } });
    const body = { prompt: "Go", model: "echo:any" };
    for (const key of [null, "wrong"]) {
      const answer = await http.call("POST", "/v1/completions", { key, body });
      expectError(answer, 401, "unauthorized");
      expect(answer.headers["www-authenticate"]).toMatch(/^Bearer /);
    }
    for (const stream of [false, true]) expectError(await as(http, "reader").call("POST", "/v1/completions", { body: { ...body, stream } }), 403, "forbidden");
    expect(await askerOf(http.url, keyOf("writer")).call("POST", "/v1/completions", { body })).toMatchObject({ status: 200 });
  });

  it("say when to come again: 429 above the rate, 503 when all places are taken", async () => {
    const limited = await spawnConfigured({ args: ["--rate-limit", "2"] });
    const body = { prompt: "Go", model: "echo:any" };
    for (let turn = 0; turn < 2; turn++) expect(await limited.call("POST", "/v1/completions", { body })).toMatchObject({ status: 200 });
    const refused = await limited.call("POST", "/v1/completions", { body });
    expectError(refused, 429, "rate_limited");
    expect(Number(refused.headers["retry-after"])).toBeGreaterThan(0);

    const model = await startModelServer(() => undefined);
    onTestFinished(() => model.close());
    const full = await spawnConfigured({ model, config: { api: { limits: { max_concurrent_requests: 1 } } } });
    const { request } = await openStream(full, "/v1/completions", { prompt: "Go" });
    const turnedAway = await full.call("POST", "/v1/completions", { body });
    expectError(turnedAway, 503, "overloaded");
    expect(turnedAway.headers["retry-after"]).toBe("1");
    request.destroy();
    await until(async () => ((await full.call("POST", "/v1/completions", { body })).status === 200 ? true : undefined), "a place to be free");
  });
});
