import { describe, expect, it } from "vitest";
import { at, messagesOf, startModel } from "../support/agent.ts";
import { until } from "../support/until.ts";
import { type Answer, type HttpSidecar, spawnHttp } from "../support/http.ts";

interface Frame {
  jsonrpc: string;
  id: string | number | null;
  result?: unknown;
  error?: { code: number; message: string; kind: string; data?: Record<string, unknown> };
}

const LIMITLESS = ["--rate-limit", "0"];
const request = (id: unknown, method: string, params?: object) => ({ jsonrpc: "2.0", id, method, ...(params === undefined ? {} : { params }) });
const notification = (method: string, params?: object) => ({ jsonrpc: "2.0", method, ...(params === undefined ? {} : { params }) });
const echo = (content: string) => ({ provider: "echo", messages: [{ role: "user", content }] });

/** Posts a body; bytes and text go out as they are. */
const post = <T = Frame>({ call }: Pick<HttpSidecar, "call">, body: unknown): Promise<Answer<T>> => call<T>("POST", "/rpc", { body });

/** A model server whose answers are held back until they are let go. */
async function startHeld() {
  let letGo: () => void = () => undefined;
  const held = new Promise<void>((resolve) => {
    letGo = resolve;
  });
  const server = await startModel(async (asked) => {
    await held;
    return `You said ${String(messagesOf(asked).at(-1)?.content)}`;
  });
  return { server, letGo };
}

describe("POST /rpc", () => {
  it("answers a frame with its result, as stdin does", async () => {
    const sidecar = await spawnHttp();
    const { status, headers, body } = await post(sidecar, request("a", "agent.session.create", { sessionId: "s1", stageData: { ключ: "\u2028 💡" } }));
    expect(status).toBe(200);
    expect(headers).toMatchObject({ "content-type": "application/json; charset=utf-8", "cache-control": "no-store", "x-request-id": expect.any(String) });
    expect(body).toEqual({ jsonrpc: "2.0", id: "a", result: await sidecar.sidecar.call("agent.session.resume", { sessionId: "s1" }) });
    expect(body.result).toMatchObject({ stageData: { ключ: "\u2028 💡" } });
    const { body: info } = await post(sidecar, request(1, "system.info"));
    expect(info.result).toEqual(await sidecar.sidecar.call("system.info"));
  });

  it("answers with 200 and an error frame where the frame is at fault", async () => {
    const sidecar = await spawnHttp({ args: LIMITLESS });
    const faults: [unknown, Record<string, unknown>][] = [
      ["{", { id: null, error: { code: -32700, kind: "parse" } }],
      ['{"jsonrpc":"2.0","id":1,"method":"system.ping"} {"jsonrpc":"2.0"', { id: null, error: { code: -32700 } }],
      [Buffer.from([0x22, 0xff, 0x22]), { id: null, error: { code: -32700 } }],
      ["42", { id: null, error: { code: -32600 } }],
      ["[]", { id: null, error: { code: -32600 } }],
      [
        { id: 1, method: "system.ping" },
        { id: 1, error: { code: -32600 } },
      ],
      [request({}, "system.ping"), { id: null, error: { code: -32600 } }],
      [request(7, "no.such.method"), { id: 7, error: { code: -32601 } }],
      [
        { ...request(7, "system.ping"), params: [] },
        { id: 7, error: { code: -32602 } },
      ],
      [request("x", "agent.session.get", { sessionId: "nobodys" }), { id: "x", error: { code: -32004, data: { code: "session_not_found" } } }],
      [`${"[".repeat(10_000)}${"]".repeat(10_000)}`, { id: null, error: { code: -32600, data: { reason: "too_deep" } } }],
    ];
    for (const [sent, expected] of faults) {
      const { status, body } = await post(sidecar, sent);
      expect({ status, body }, String(sent).slice(0, 100)).toMatchObject({ status: 200, body: { jsonrpc: "2.0", ...expected } });
      expect(Object.keys(body).toSorted()).toEqual(["error", "id", "jsonrpc"]);
    }
  });

  it("takes JSON as people write it: over many lines, with blanks around it, with a byte order mark", async () => {
    const sidecar = await spawnHttp();
    for (const text of [
      JSON.stringify(request(1, "system.ping"), undefined, 4),
      `\r\n\t ${JSON.stringify(request(1, "system.ping"))}\r\n`,
      `\ufeff${JSON.stringify(request(1, "system.ping"))}`,
    ]) {
      expect((await post(sidecar, text)).body).toMatchObject({ id: 1, result: { status: "ok" } });
    }
  });

  it("refuses what holds no frame at all", async () => {
    const sidecar = await spawnHttp();
    for (const text of ["", " ", "\r\n\r\n"]) {
      expect(await post(sidecar, text)).toMatchObject({ status: 400, body: { error: { code: "parse" } } });
    }
    const { call } = sidecar;
    const body = JSON.stringify(request(1, "system.ping"));
    const typed = (type: string) => call<Frame & { error: { code: string } }>("POST", "/rpc", { body, headers: { "content-type": type } });
    expect(await typed("text/plain")).toMatchObject({ status: 415, body: { error: { code: "unsupported_media" } } });
    expect(await typed("application/json; charset=utf-8")).toMatchObject({ status: 200, body: { id: 1 } });
    expect(await call("GET", "/rpc")).toMatchObject({ status: 404, body: { error: { code: "not_found" } } });
  });

  it("answers what asks for no answer with 204, and does it all the same", async () => {
    const sidecar = await spawnHttp({ args: LIMITLESS });
    const notified = await post(sidecar, notification("agent.session.create", { sessionId: "s1" }));
    expect({ status: notified.status, text: notified.text }).toEqual({ status: 204, text: "" });
    const all = await post(sidecar, [notification("agent.session.create", { sessionId: "s2" }), notification("no.such.method")]);
    expect({ status: all.status, text: all.text }).toEqual({ status: 204, text: "" });
    // An answer to a question that was never asked here.
    expect((await post(sidecar, { jsonrpc: "2.0", id: "1", result: {} })).status).toBe(204);
    await until(async () => {
      const { body } = await post(sidecar, request(1, "agent.session.list"));
      const names = (body.result as { sessionId: string }[]).map(({ sessionId }) => sessionId).toSorted();
      return names.join() === "s1,s2" ? true : undefined;
    }, "both sessions");
  });

  it("answers a batch with the answers to its requests, and to nothing else in it", async () => {
    const sidecar = await spawnHttp();
    const { status, body } = await post<Frame[]>(sidecar, [
      request(1, "agent.session.create", { sessionId: "s1" }),
      notification("system.ping"),
      42,
      request("1", "no.such.method"),
      request(1, "system.ping"),
      request(2, "agent.chat.complete", { ...echo("Hi"), sessionId: "s1" }),
    ]);
    expect(status).toBe(200);
    expect(body).toHaveLength(5);
    expect(body).toEqual(
      expect.arrayContaining([
        expect.objectContaining({ id: 1, result: expect.objectContaining({ sessionId: "s1" }) }),
        expect.objectContaining({ id: null, error: expect.objectContaining({ code: -32600 }) }),
        expect.objectContaining({ id: "1", error: expect.objectContaining({ code: -32601 }) }),
        expect.objectContaining({ id: 1, error: expect.objectContaining({ code: -32600, data: expect.objectContaining({ reason: "duplicate_id" }) }) }),
        expect.objectContaining({ id: 2, result: expect.objectContaining({ message: { role: "assistant", content: "Hi" } }) }),
      ]),
    );
  });

  it("takes batches up to the number of requests that may be in flight", async () => {
    const sidecar = await spawnHttp({ env: { STEERABLE_LIMITS_IN_FLIGHT: "8" } });
    const pings = (count: number) => Array.from({ length: count }, (_, id) => request(id, "system.ping"));
    expect((await post<Frame[]>(sidecar, pings(8))).body.map(({ id }) => id).toSorted()).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
    expect((await post(sidecar, pings(9))).body).toMatchObject({ id: null, error: { code: -32600 } });
  });

  it("keeps clients apart that use the same ids at a time", async () => {
    const { server, letGo } = await startHeld();
    const sidecar = await spawnHttp();
    const said = ["one", "two", "three"];
    const answers = said.map((content) => post(sidecar, request(1, "agent.chat.complete", at(server, { messages: [{ role: "user", content }] }))));
    await until(() => (server.requests.length === 3 ? true : undefined), "three requests");
    // Cancels nothing of another body.
    expect((await post(sidecar, notification("$/cancelRequest", { id: 1 }))).status).toBe(204);
    letGo();
    const contents = (await Promise.all(answers)).map(({ body: { id, result } }) => [id, (result as { message: { content: string } }).message.content]);
    expect(contents).toEqual(said.map((content) => [1, `You said ${content}`]));
  });

  it("cancels a request of the same batch when that asks for it", async () => {
    const { server } = await startHeld();
    const sidecar = await spawnHttp();
    const { body } = await post<Frame[]>(sidecar, [
      request("a", "agent.session.create", { sessionId: "s1" }),
      request("b", "agent.chat.complete", at(server)),
      notification("$/cancelRequest", { id: "b" }),
    ]);
    expect(body.find(({ id }) => id === "a")).toHaveProperty("result");
    expect(body.find(({ id }) => id === "b")?.error).toMatchObject({ code: -32800, kind: "cancelled" });
  });

  it("cancels what was asked for when the client leaves, and keeps what was said", async () => {
    const server = await startModel(async (_, answer) => {
      await answer.head(200);
      await answer.chunk('data: {"choices":[{"index":0,"delta":{"content":"so far"}}]}\n\n');
      return undefined;
    });
    const http = await spawnHttp({ env: { STEERABLE_TRACE_EVENTS: "true" } });
    const { sidecar } = http;
    await post(http, request(1, "agent.session.create", { sessionId: "s1" }));
    const leaving = http.open("POST", "/rpc", { body: [request(1, "agent.chat.complete", at(server, { sessionId: "s1" })), request(2, "system.ping")] });
    const asked = await server.nextRequest();
    // That it was sent does not mean that it has come.
    await sidecar.notification("trace.event", ({ name }) => name === "llm.first_event");
    leaving.destroy();
    await asked.closed;
    const messages = await until(async () => {
      const session = await sidecar.call<{ messages: { role: string; content: string; turnStatus: string; partial: boolean }[] }>("agent.session.get", {
        sessionId: "s1",
      });
      return session.messages.every(({ turnStatus }) => turnStatus !== "running") ? session.messages : undefined;
    }, "the end of the turn");
    expect(messages).toMatchObject([
      { role: "user", content: "Go", turnStatus: "cancelled" },
      { role: "assistant", content: "so far", turnStatus: "cancelled", partial: true },
    ]);
  });

  it("ends what takes longer than a request may with 504", async () => {
    const { server } = await startHeld();
    const sidecar = await spawnHttp({ env: { STEERABLE_API_REQUEST_TIMEOUT_SECONDS: "0.5" } });
    const answer = await post<{ error: object }>(sidecar, request(1, "agent.chat.complete", at(server)));
    expect(answer).toMatchObject({ status: 504, body: { error: { code: "timeout", request_id: answer.headers["x-request-id"] } } });
    await server.requests[0]?.closed;
  });

  it("leaves a stream running when the request that has started it is over", async () => {
    const { server, letGo } = await startHeld();
    const sidecar = await spawnHttp();
    const { body } = await post(sidecar, request(1, "agent.chat.stream", at(server, { streamId: "mine" })));
    expect(body).toEqual({ jsonrpc: "2.0", id: 1, result: { streamId: "mine" } });
    expect((await post(sidecar, request(1, "agent.chat.stream", at(server, { streamId: "mine" })))).body.error).toMatchObject({
      code: -32602,
      data: { path: "streamId" },
    });
    // Before the model is asked, it would be asked both at once.
    await server.nextRequest();
    expect((await post(sidecar, request(2, "agent.chat.steer", { streamId: "mine", content: "And more" }))).body.result).toBeNull();
    letGo();
    const { text } = await sidecar.call("GET", "/v1/streams/mine/events");
    expect(text).toContain("You said Go");
    expect(text).toContain("You said And more");
  });

  it("answers many clients at a time, each with its own", async () => {
    const sidecar = await spawnHttp({ args: LIMITLESS });
    const names = Array.from({ length: 60 }, (_, index) => `n${index}`);
    const answers = await Promise.all(names.map((name) => post(sidecar, request("same", "agent.chat.complete", echo(name)))));
    expect(answers.map(({ body }) => (body.result as { message: { content: string } }).message.content)).toEqual(names);
  });
});
