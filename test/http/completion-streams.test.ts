import { describe, expect, it, onTestFinished } from "vitest";
import { messagesOf, reply, startModel } from "../support/agent.ts";
import { expectError, merged, openStream, readEvents, restOf, type SeenEvent, spawnConfigured, UUID, workspace } from "../support/completions.ts";
import { until } from "../support/until.ts";
import { openaiStream, startModelServer } from "../support/model-server.ts";

/** A model that reads the note, then says what it has to say. */
const reads = (path: string) => [[{ id: "tc_1", name: "read_file", arguments: { path } }], "It is a plan."];

describe("a completion as a stream", () => {
  const story = [
    ["tool_call", { id: "tc_1", name: "read_file", args: '{"path":"note.md"}' }],
    ["tool_result", { id: "tc_1", name: "read_file", result: expect.stringContaining("# Plan"), is_error: false }],
    ["assistant_delta", { text: "It is a plan." }],
    ["finished", { outcome: { turns: 2, tool_calls: 1, compressed: false } }],
  ];

  it("is told event by event to whoever sets the flag or accepts event streams", async () => {
    const { config } = workspace();
    const model = await startModel(reads("note.md"));
    const http = await spawnConfigured({ model, config });
    const started = ["started", { request_id: expect.stringMatching(UUID), session_id: null }];
    expect(merged(await readEvents(http, "/v1/completions", { prompt: "Read" }))).toEqual([started, ...story]);
    expect(merged(await readEvents(http, "/v1/completions", { prompt: "Read", stream: true }, { headers: { accept: "application/json" } }))).toEqual([
      started,
      ...story,
    ]);
  });

  it("is an event stream on the wire, with the id of the request in its first event", async () => {
    const http = await spawnConfigured();
    const { response } = await openStream(http, "/v1/completions", { prompt: "Hi", model: "echo:any" });
    expect(response.statusCode).toBe(200);
    expect(response.headers).toMatchObject({
      "content-type": "text/event-stream; charset=utf-8",
      "cache-control": "no-store",
      "x-content-type-options": "nosniff",
    });
    const { text, isWhole } = await restOf(response);
    expect(isWhole).toBe(true);
    expect(text).toBe(
      `event: started\ndata: {"request_id":"${String(response.headers["x-request-id"])}","session_id":null}\n\n` +
        'event: assistant_delta\ndata: {"text":"Hi"}\n\n' +
        'event: finished\ndata: {"outcome":{"turns":1,"tool_calls":0,"compressed":false}}\n\n',
    );
  });

  it("carries every text whole: line ends, other scripts, what looks like an event", async () => {
    const http = await spawnConfigured();
    const prompt = "one\ntwo\r\n\r\rdata: x\n\nevent: finished\n\n\u2028\u0000 漢字 😀😀 <b>\\";
    expect(merged(await readEvents(http, "/v1/completions", { prompt, model: "echo:any" })).slice(1, -1)).toEqual([["assistant_delta", { text: prompt }]]);
  });

  it("is not what a body asks for that says no, whatever the request accepts", async () => {
    const { call } = await spawnConfigured();
    const ask = (accept: string, stream?: boolean) =>
      call("POST", "/v1/completions", { headers: { accept }, body: { prompt: "Hi", model: "echo:any", ...(stream === undefined ? {} : { stream }) } });
    expect(await ask("text/event-stream", false)).toMatchObject({ status: 200, body: { final_message: "Hi" } });
    expect(await ask("*/*")).toMatchObject({ status: 200, body: { final_message: "Hi" } });
    for (const accept of ["application/json, text/event-stream;q=0.9", "Text/Event-Stream"]) {
      expect((await ask(accept)).headers["content-type"]).toBe("text/event-stream; charset=utf-8");
    }
    // Never, in the words of HTTP.
    for (const accept of ["text/event-stream;q=0", "application/json, text/event-stream; charset=utf-8 ; Q=0.000"]) {
      expect(await ask(accept), accept).toMatchObject({ status: 200, body: { final_message: "Hi" } });
    }
  });

  it("ends with an error when the model server fails in the middle", async () => {
    let reset: () => void = () => undefined;
    const model = await startModelServer(async (_, answer) => {
      reset = () => answer.reset();
      await answer.head(200);
      await answer.chunk(openaiStream(["so far"]).slice(0, 2).join(""));
    });
    onTestFinished(() => model.close());
    const http = await spawnConfigured({ model });
    const onEvent = ([name]: SeenEvent) => {
      // Not before: what a connection holds that breaks may be lost.
      if (name === "assistant_delta") reset();
    };
    const events = await readEvents(http, "/v1/completions", { prompt: "Go" }, { onEvent });
    const [[, { request_id } = {}] = []] = events;
    expect(events).toEqual([
      ["started", { request_id: expect.stringMatching(UUID), session_id: null }],
      ["assistant_delta", { text: "so far" }],
      ["error", { error: { code: "turn_failed", message: expect.any(String), request_id } }],
    ]);
  });

  it("ends with the code that an answer in one piece would have had", async () => {
    const model = await startModelServer((request, answer) => {
      const { content } = messagesOf(request)[0] ?? {};
      if (content === "refuse") return answer.respond(400, { error: { message: "no" } });
      if (content === "use a tool") return answer.sse(reply([{ id: "tc_1", name: "no_such_tool" }]));
      return content === "break" ? answer.close() : undefined;
    });
    onTestFinished(() => model.close());
    const patient = await spawnConfigured({ model, config: { budgets: { turn: { maxSteps: 1 } } } });
    // One that would not wait for a slow machine to refuse either.
    const impatient = await spawnConfigured({ model, config: { providers: { openai: { idleTimeoutMs: 300 } } } });
    for (const [http, prompt, status, code] of [
      [patient, "refuse", 502, "turn_failed"],
      [patient, "break", 502, "turn_failed"],
      [impatient, "be silent", 504, "timeout"],
      [patient, "use a tool", 402, "budget_exhausted"],
    ] as const) {
      expectError(await http.call("POST", "/v1/completions", { body: { prompt } }), status, code);
      expect((await readEvents(http, "/v1/completions", { prompt })).at(-1)).toEqual([
        "error",
        { error: { code, message: expect.any(String), request_id: expect.stringMatching(UUID) } },
      ]);
    }
  });
});

describe("a client that reads slowly", () => {
  it("loses nothing, and the model server is paused meanwhile", { timeout: 120_000 }, async () => {
    const piece = "x".repeat(64 * 1024);
    const pieces = 640;
    let sent = 0;
    const model = await startModelServer(async (_, answer) => {
      await answer.head(200);
      const [head = "", tail = "", ...others] = openaiStream([]);
      await answer.chunk(head);
      for (; sent < pieces; sent++) await answer.chunk(openaiStream([`${sent} ${piece}`])[1] ?? "");
      for (const part of [tail, ...others]) await answer.chunk(part);
      await answer.end();
    });
    onTestFinished(() => model.close());
    const http = await spawnConfigured({ model, config: { budgets: { turn: {} } } });
    const { response } = await openStream(http, "/v1/completions", { prompt: "Go" });
    let before = -1;
    let calm = 0;
    await until(() => {
      calm = sent === before && sent > 0 ? calm + 1 : 0;
      before = sent;
      return calm > 40 ? true : undefined;
    }, "the model server to be paused");
    expect(sent).toBeLessThan(pieces);

    const { text, isWhole } = await restOf(response);
    expect(isWhole).toBe(true);
    const deltas = [...text.matchAll(/^event: assistant_delta\ndata: (.*)$/gm)].map(([, data = ""]) => (JSON.parse(data) as { text: string }).text).join("");
    expect(deltas === Array.from({ length: pieces }, (_, index) => `${index} ${piece}`).join("")).toBe(true);
    expect(text.endsWith('event: finished\ndata: {"outcome":{"turns":1,"tool_calls":0,"compressed":false}}\n\n')).toBe(true);
  });
});
