import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { createServer as createProxy } from "node:http";
import { connect, createServer, type Server } from "node:net";
import { afterEach, describe, expect, it, onTestFinished, vi } from "vitest";
import { openai } from "../../src/providers/openai.ts";
import type { ModelEvent, ProviderSettings } from "../../src/providers/provider.ts";
import { selfSignedCertificate } from "../support/certificate.ts";
import { type Answer, type Handler, type ModelServer, type ModelServerOptions, openaiStream, startModelServer } from "../support/model-server.ts";
import { ask, failureIn, requestOf, settingsOf, textIn } from "./ask.ts";

const servers: ModelServer[] = [];
afterEach(async () => {
  vi.unstubAllEnvs();
  await Promise.all(servers.splice(0).map((server) => server.close()));
});

async function serve(handler: Handler, options?: ModelServerOptions): Promise<{ server: ModelServer; settings: Partial<ProviderSettings> }> {
  const server = await startModelServer(handler, options);
  servers.push(server);
  return { server, settings: { baseUrl: `${server.url}/v1`, apiKey: "sk-test-0123456789abcdef" } };
}

/** A handler that sends the head and these events, and leaves the connection open. */
function start(events: readonly string[], then?: (answer: Answer) => void | Promise<void>): Handler {
  return async (_request, answer) => {
    await answer.head(200);
    for (const event of events) await answer.chunk(event);
    await then?.(answer);
  };
}

const hello = openaiStream(["Hello", " there"]);
const unfinished = openaiStream(["Hello"], { finishReason: null, done: false });

describe("connections", () => {
  it("that are refused fail with connect_failed", async () => {
    const { server, settings } = await serve(() => undefined);
    await server.close();
    const failure = failureIn(await ask(openai, settings));
    expect(failure.kind).toBe("connect_failed");
    expect(failure.message).toContain("ECONNREFUSED");
  });

  it.each([
    ["reset", (answer: Answer) => answer.reset()],
    ["closed", (answer: Answer) => answer.close()],
  ])("that are %s before an answer fail with connect_failed", async (_name, end) => {
    const { settings } = await serve((_request, answer) => end(answer));
    expect(failureIn(await ask(openai, settings)).kind).toBe("connect_failed");
  });

  it("to a name that cannot exist fail with dns_failed", async () => {
    vi.stubEnv("NO_PROXY", "*");
    // No name can have an empty part: nothing leaves this machine.
    const failure = failureIn(await ask(openai, { baseUrl: "http://model..invalid/v1" }));
    expect(failure.kind).toBe("dns_failed");
  });

  it("that do not come about in time fail with connect_failed", async () => {
    // A TLS handshake that nobody answers.
    const mute = createServer();
    await new Promise<void>((resolve) => mute.listen(0, "127.0.0.1", resolve));
    const failure = failureIn(await ask(openai, { baseUrl: `https://127.0.0.1:${portOf(mute)}/v1`, connectTimeoutMs: 50 }));
    expect(failure).toMatchObject({ kind: "connect_failed", message: expect.stringContaining("50 ms") });
    mute.close();
  });

  it("are kept for the next call after a good end", async () => {
    // The end of the body comes a little after [DONE], as it does from real servers.
    const { server, settings } = await serve(
      start(hello, async (answer) => {
        await new Promise((resolve) => setTimeout(resolve, 20));
        await answer.end();
      }),
    );
    await ask(openai, settings);
    // Again and again, because the connection is free only after that end.
    await vi.waitFor(async () => {
      const before = server.connections;
      await ask(openai, settings);
      expect(server.connections).toBe(before);
    }, 20_000);
  });

  it("that died while they were idle are not used again", async () => {
    const { server, settings } = await serve(async (_request, answer) => {
      await answer.sse(hello);
      answer.close();
    });
    for (let call = 1; call <= 5; call++) {
      expect(textIn(await ask(openai, settings))).toBe("Hello there");
      await server.requests[call - 1]?.closed;
    }
    expect(server.connections).toBe(5);
  });
});

describe("TLS", () => {
  it("to a self-signed server fails with tls_failed, and nothing is sent", async () => {
    const { server, settings } = await serve(() => undefined, { tls: selfSignedCertificate() });
    const failure = failureIn(await ask(openai, settings));
    expect(failure).toMatchObject({ kind: "tls_failed", message: expect.stringContaining("DEPTH_ZERO_SELF_SIGNED_CERT") });
    expect(server.requests).toHaveLength(0);
  });

  it("to a server that speaks plain HTTP fails with tls_failed", async () => {
    const plain = createServer((socket) => socket.on("error", () => undefined).end("HTTP/1.1 400 Bad Request\r\n\r\n"));
    await new Promise<void>((resolve) => plain.listen(0, "127.0.0.1", resolve));
    expect(failureIn(await ask(openai, { baseUrl: `https://127.0.0.1:${portOf(plain)}/v1` })).kind).toBe("tls_failed");
    plain.close();
  });
});

describe("statuses", () => {
  it.each([
    [400, "upstream_rejected"],
    [401, "auth_failed"],
    [404, "upstream_rejected"],
    [429, "rate_limited"],
    [500, "upstream_failed"],
    [529, "upstream_failed"],
  ])("%i becomes %s, with the server's words and without the key", async (status, kind) => {
    const { settings } = await serve((request, answer) =>
      answer.respond(status, { error: { message: `no, ${request.headers["authorization"]}` } }, { "retry-after": "7" }),
    );
    const failure = failureIn(await ask(openai, settings));
    expect(failure).toMatchObject({ kind, status, message: expect.stringContaining("no, ") });
    expect(failure.retryAfterMs).toBe(status === 429 || status >= 500 ? 7000 : undefined);
    expect(JSON.stringify(failure)).not.toContain("0123456789");
  });

  it("are told although the error body breaks off", async () => {
    // A reset takes back what the client has not read: it comes when undici tells of the head.
    const head = new Promise<void>((resolve) => {
      const tell = () => resolve();
      subscribe("undici:request:headers", tell);
      onTestFinished(() => void unsubscribe("undici:request:headers", tell));
    });
    const { settings } = await serve(async (_request, answer) => {
      await answer.head(503);
      await answer.chunk("busy");
      await head;
      answer.reset();
    });
    expect(failureIn(await ask(openai, settings))).toMatchObject({ kind: "upstream_failed", status: 503 });
  });

  it("are told although the error body does not end", async () => {
    const { server, settings } = await serve(async (_request, answer) => {
      await answer.head(500);
      for (;;) await answer.chunk("x".repeat(16 * 1024));
    });
    expect(failureIn(await ask(openai, settings))).toMatchObject({ kind: "upstream_failed", status: 500 });
    await server.requests[0]?.closed;
  });

  it("of 1xx are passed over", async () => {
    const { settings } = await serve(async (_request, answer) => {
      await answer.raw("HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n");
      // On its own, not in one packet with the answer.
      await new Promise((resolve) => setTimeout(resolve, 20));
      await answer.sse(hello);
    });
    expect(textIn(await ask(openai, settings))).toBe("Hello there");
  });
});

describe("redirects", () => {
  it.each([307, 308])("%i to the same origin is followed with the body", async (status) => {
    const { server, settings } = await serve((request, answer) =>
      request.path === "/moved" ? answer.sse(hello) : answer.respond(status, "", { location: "/moved" }),
    );
    expect(textIn(await ask(openai, settings))).toBe("Hello there");
    expect(server.requests.map(({ path, method }) => `${method} ${path}`)).toEqual(["POST /v1/chat/completions", "POST /moved"]);
    expect(server.requests[1]?.body).toBe(server.requests[0]?.body);
    expect(server.requests[1]?.headers["authorization"]).toBe(`Bearer ${settings.apiKey}`);
  });

  it("are followed three times, not four", async () => {
    const { server, settings } = await serve((_request, answer) => answer.respond(307, "", { location: `/${server.requests.length}` }));
    expect(failureIn(await ask(openai, settings))).toMatchObject({ kind: "redirect_refused", status: 307 });
    expect(server.requests).toHaveLength(4);
  });

  it("to another origin are refused, and the other server hears nothing", async () => {
    const other = await serve((_request, answer) => answer.sse(hello));
    const { settings } = await serve((_request, answer) => answer.respond(307, "", { location: `${other.server.url}/v1/chat/completions` }));
    expect(failureIn(await ask(openai, settings)).kind).toBe("redirect_refused");
    expect(other.server.connections).toBe(0);
  });

  it.each([301, 302, 303, 304])("%i is refused, because it loses the request", async (status) => {
    const { server, settings } = await serve((_request, answer) => answer.raw(`HTTP/1.1 ${status} Moved\r\nlocation: /moved\r\ncontent-length: 0\r\n\r\n`));
    expect(failureIn(await ask(openai, settings)).kind).toBe("redirect_refused");
    expect(server.requests).toHaveLength(1);
  });

  it("without an address are refused", async () => {
    const { settings } = await serve((_request, answer) => answer.respond(308, ""));
    expect(failureIn(await ask(openai, settings)).kind).toBe("redirect_refused");
  });
});

describe("proxies", () => {
  it("are asked for http addresses, with the whole address", async () => {
    const { server } = await serve((_request, answer) => answer.sse(hello));
    vi.stubEnv("http_proxy", server.url);
    vi.stubEnv("NO_PROXY", "");
    expect(textIn(await ask(openai, { baseUrl: "http://models.invalid/v1" }))).toBe("Hello there");
    expect(server.requests[0]).toMatchObject({ method: "POST", path: "http://models.invalid/v1/chat/completions" });
    expect(server.requests[0]?.headers["host"]).toBe("models.invalid");
  });

  it("are asked for a tunnel to https addresses, and may refuse", async () => {
    const { server } = await serve((_request, answer) => answer.respond(403, "no"));
    vi.stubEnv("https_proxy", server.url.replace("//", "//user:hunter2hunter2@"));
    const failure = failureIn(await ask(openai, { baseUrl: "https://models.invalid/v1" }));
    expect(server.requests[0]).toMatchObject({ method: "CONNECT", path: "models.invalid:443" });
    expect(server.requests[0]?.headers["proxy-authorization"]).toBe(`Basic ${Buffer.from("user:hunter2hunter2").toString("base64")}`);
    expect(failure.kind).toBe("connect_failed");
    expect(failure.message).not.toContain("hunter2");
  });

  it("tunnel to the server itself, whose certificate is verified as ever", async () => {
    const secure = await serve(() => undefined, { tls: selfSignedCertificate() });
    let asked: string | undefined;
    const proxy = createProxy().on("connect", (request, socket, head) => {
      asked = request.url;
      const upstream = connect(secure.server.port, "127.0.0.1", () => {
        socket.write("HTTP/1.1 200 Connection established\r\n\r\n");
        upstream.write(head);
        upstream.pipe(socket).pipe(upstream);
      });
      for (const end of [upstream, socket]) end.on("error", () => undefined);
    });
    await new Promise<void>((resolve) => proxy.listen(0, "127.0.0.1", resolve));
    vi.stubEnv("https_proxy", `http://127.0.0.1:${portOf(proxy)}`);
    expect(failureIn(await ask(openai, { baseUrl: "https://models.invalid/v1" })).kind).toBe("tls_failed");
    expect(asked).toBe("models.invalid:443");
    expect(secure.server.requests).toHaveLength(0);
    proxy.close();
  });

  it("that never answer fail with connect_failed", async () => {
    const { server } = await serve(() => undefined);
    vi.stubEnv("https_proxy", server.url);
    expect(failureIn(await ask(openai, { baseUrl: "https://models.invalid/v1", connectTimeoutMs: 60 })).kind).toBe("connect_failed");
  });

  it("that hang up when they are asked for a tunnel are asked once", async () => {
    const { server } = await serve((_request, answer) => answer.close());
    vi.stubEnv("https_proxy", server.url);
    const failure = failureIn(await ask(openai, { baseUrl: "https://models.invalid/v1" }));
    expect(failure).toMatchObject({
      kind: "connect_failed",
      message: expect.stringContaining("through the proxy: the connection was closed"),
    });
    expect(server.connections).toBe(1);
  });

  it("that want a password fail without a second try", async () => {
    const { server } = await serve((_request, answer) => answer.respond(407, "who are you"));
    vi.stubEnv("http_proxy", server.url);
    expect(failureIn(await ask(openai, { baseUrl: "http://models.invalid/v1" }))).toMatchObject({
      kind: "connect_failed",
      retryable: false,
    });
  });

  it("are not asked for this machine", async () => {
    const { server, settings } = await serve((_request, answer) => answer.sse(hello));
    vi.stubEnv("http_proxy", "http://127.0.0.1:9");
    expect(textIn(await ask(openai, settings))).toBe("Hello there");
    expect(server.requests[0]?.path).toBe("/v1/chat/completions");
  });

  it("that are named by nonsense fail with connect_failed", async () => {
    vi.stubEnv("http_proxy", "http://");
    expect(failureIn(await ask(openai, { baseUrl: "http://models.invalid/v1" })).kind).toBe("connect_failed");
  });
});

describe("bodies", () => {
  it.each([
    ["reset", (answer: Answer) => answer.reset()],
    ["closed", (answer: Answer) => answer.close()],
    ["ended", (answer: Answer) => answer.end()],
  ])("that are %s before the end are truncated, with their text kept", async (_name, end) => {
    let hear = () => {};
    const heard = new Promise<void>((resolve) => (hear = resolve));
    const { settings } = await serve(
      start(unfinished, async (answer) => {
        // A reset takes back what the client has not read.
        await heard;
        await end(answer);
      }),
    );
    const events: ModelEvent[] = [];
    for await (const batch of openai.stream(requestOf(), settingsOf(settings), new AbortController().signal)) {
      events.push(...batch);
      if (textIn(events) === "Hello") hear();
    }
    expect(failureIn(events).kind).toBe("truncated");
    expect(textIn(events)).toBe("Hello");
  });

  it("that are shorter than their Content-Length are truncated", async () => {
    const { settings } = await serve(async (_request, answer) => {
      await answer.head(200, { "content-type": "text/event-stream", "content-length": "100000" });
      await answer.raw(unfinished.join(""));
      answer.close();
    });
    const events = await ask(openai, settings);
    expect(failureIn(events).kind).toBe("truncated");
    expect(textIn(events)).toBe("Hello");
  });

  it("without any framing end when the connection does", async () => {
    const { settings } = await serve(async (_request, answer) => {
      await answer.head(200, { "content-type": "text/event-stream" });
      await answer.raw(hello.join(""));
      answer.close();
    });
    expect(await ask(openai, settings)).toEqual([
      { type: "text", text: "Hello" },
      { type: "text", text: " there" },
      { type: "finish", reason: "stop" },
    ]);
  });

  it("whose chunks are not HTTP are malformed", async () => {
    const { settings } = await serve(start(unfinished, (answer) => answer.raw("zz not a chunk\r\n")));
    const events = await ask(openai, settings);
    expect(failureIn(events).kind).toBe("malformed_response");
    expect(textIn(events)).toBe("Hello");
  });

  it("of a server that does not speak HTTP at all are malformed", async () => {
    const { settings } = await serve((_request, answer) => answer.raw("220 mail.example ESMTP\r\n"));
    expect(failureIn(await ask(openai, settings)).kind).toBe("malformed_response");
  });
});

describe("silence", () => {
  it("before the answer is a timeout, and the connection is closed", async () => {
    const { server, settings } = await serve(() => undefined);
    expect(failureIn(await ask(openai, { ...settings, idleTimeoutMs: 40 }))).toEqual({
      kind: "timeout",
      message: "The model server was silent for longer than 40 ms",
    });
    await server.requests[0]?.closed;
  });

  it("within the answer is a timeout that keeps the text", async () => {
    const { server, settings } = await serve(start(unfinished));
    const events = await ask(openai, { ...settings, idleTimeoutMs: 1500 });
    expect(failureIn(events).kind).toBe("timeout");
    expect(textIn(events)).toBe("Hello");
    await server.requests[0]?.closed;
  });

  it("is not broken by comments, blank lines, pings and events without data", async () => {
    const noise = [": ping\n\n", "\n\n", "event: ping\ndata: {}\n\n", 'data: {"type":"ping"}\n\n', "data: \n\n", "event: x\n\n"];
    const { settings } = await serve(
      start(unfinished, async (answer) => {
        // Until the connection is closed: writing then rejects.
        for (let i = 0; ; i++) {
          await answer.chunk(noise[i % noise.length] ?? "");
          await new Promise((resolve) => setTimeout(resolve, 5));
        }
      }),
    );
    expect(failureIn(await ask(openai, { ...settings, idleTimeoutMs: 100 })).kind).toBe("timeout");
  });

  it("is broken by every event with data", async () => {
    const { settings } = await serve(
      start(unfinished, async (answer) => {
        for (let i = 0; i < 8; i++) {
          await new Promise((resolve) => setTimeout(resolve, 400));
          await answer.chunk(openaiStream([`${i}`], { finishReason: null, done: false })[1] ?? "");
        }
        await answer.chunk("data: [DONE]\n\n");
        await answer.end();
      }),
    );
    // More than three seconds in all: longer than it may be silent, while each gap is far shorter.
    expect(textIn(await ask(openai, { ...settings, idleTimeoutMs: 2500 }))).toBe("Hello01234567");
  });

  it("does not run while the consumer takes its time", async () => {
    let goOn = () => {};
    const ready = new Promise<void>((resolve) => (goOn = resolve));
    const { settings } = await serve(
      start(unfinished, async (answer) => {
        await ready;
        await answer.chunk("data: [DONE]\n\n");
        await answer.end();
      }),
    );
    const events: ModelEvent[] = [];
    for await (const batch of openai.stream(requestOf(), settingsOf({ ...settings, idleTimeoutMs: 1500 }), new AbortController().signal)) {
      if (events.length === 0) await new Promise((resolve) => setTimeout(resolve, 2000));
      events.push(...batch);
      goOn();
    }
    expect(events.at(-1)).toEqual({ type: "finish", reason: "stop" });
  });

  it("after the finish reason ends the answer well", async () => {
    const { settings } = await serve(start(openaiStream(["Hello"], { done: false })));
    expect((await ask(openai, { ...settings, idleTimeoutMs: 1500 })).at(-1)).toEqual({ type: "finish", reason: "stop" });
  });
});

describe("cancelling", () => {
  it("closes the connection while the answer is awaited", async () => {
    const { server, settings } = await serve(() => undefined);
    const controller = new AbortController();
    const asked = ask(openai, settings, {}, controller.signal);
    const request = await server.nextRequest();
    controller.abort();
    // The idle timeout of 20 s would come too late for this test.
    await request.closed;
    expect(await asked).toEqual([]);
  });

  it("closes the connection in the middle of the answer", async () => {
    const { server, settings } = await serve(start(unfinished));
    const controller = new AbortController();
    const events: ModelEvent[] = [];
    for await (const batch of openai.stream(requestOf(), settingsOf(settings), controller.signal)) {
      events.push(...batch);
      if (textIn(events) === "Hello") controller.abort();
    }
    await server.requests[0]?.closed;
    expect(events.every((event) => event.type === "text")).toBe(true);
  });

  it("closes the connection although nobody reads on", async () => {
    const { server, settings } = await serve(start(unfinished));
    const controller = new AbortController();
    const iterator = openai.stream(requestOf(), settingsOf(settings), controller.signal)[Symbol.asyncIterator]();
    await iterator.next();
    controller.abort();
    await server.requests[0]?.closed;
    expect(await iterator.next()).toEqual({ done: true, value: undefined });
  });

  it("before the start sends nothing", async () => {
    const { server, settings } = await serve((_request, answer) => answer.sse(hello));
    expect(await ask(openai, settings, {}, AbortSignal.abort())).toEqual([]);
    expect(server.connections).toBe(0);
  });

  it("while the connection is made sends nothing", async () => {
    const { server, settings } = await serve((_request, answer) => answer.sse(hello));
    const controller = new AbortController();
    const asked = ask(openai, settings, {}, controller.signal);
    // Enough for the connection to be asked for, while the loop has had no chance to make it.
    for (let turn = 0; turn < 50; turn++) await Promise.resolve();
    controller.abort();
    expect(await asked).toEqual([]);
    expect(textIn(await ask(openai, settings))).toBe("Hello there");
    expect(server.requests).toHaveLength(1);
  });

  it("while an error body is read ends quietly", async () => {
    const { server, settings } = await serve(async (_request, answer) => {
      await answer.head(500);
      await answer.chunk("a part");
      controller.abort();
    });
    const controller = new AbortController();
    expect(await ask(openai, settings, {}, controller.signal)).toEqual([]);
    await server.requests[0]?.closed;
  });

  it("is not needed by a consumer that leaves: the connection is closed then too", async () => {
    const { server, settings } = await serve(start(unfinished));
    for await (const _batch of openai.stream(requestOf(), settingsOf(settings), new AbortController().signal)) break;
    await server.requests[0]?.closed;
  });
});

describe("back-pressure", () => {
  it("stops reading while the consumer is busy, and loses nothing", async () => {
    const piece = "x".repeat(64 * 1024);
    const event = openaiStream([piece], { finishReason: null, done: false })[1] ?? "";
    const total = 512;
    let taken = 0;
    const { settings } = await serve(
      start([], async (answer) => {
        for (; taken < total; taken++) await answer.chunk(event);
        await answer.chunk("data: [DONE]\n\n");
        await answer.end();
      }),
    );
    const iterator = openai.stream(requestOf(), settingsOf(settings), new AbortController().signal)[Symbol.asyncIterator]();
    const first = await iterator.next();
    // Until the server has got no further for a while: its socket is full.
    await vi.waitFor(async () => {
      const before = taken;
      await new Promise((resolve) => setTimeout(resolve, 150));
      expect(taken).toBe(before);
    }, 10_000);
    // 32 MiB are waiting; what the kernel and the queue hold is far less.
    expect(taken).toBeLessThan(total / 2);

    let characters = textIn(first.done === true ? [] : first.value).length;
    for (let next = await iterator.next(); next.done !== true; next = await iterator.next()) characters += textIn(next.value).length;
    expect(characters).toBe(total * piece.length);
  });
});

describe("a stream that is over", () => {
  it("is not read on, and closed when the server does not stop", async () => {
    const { server, settings } = await serve(
      start(hello, async (answer) => {
        await answer.chunk(openaiStream(["more"])[1] ?? "");
      }),
    );
    expect(textIn(await ask(openai, settings))).toBe("Hello there");
    await server.requests[0]?.closed;
  });
});

function portOf(server: Server): number {
  const address = server.address();
  if (typeof address !== "object" || address === null) throw new Error("the server does not listen");
  return address.port;
}
