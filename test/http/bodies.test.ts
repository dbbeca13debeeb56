import { describe, expect, it, onTestFinished } from "vitest";
import { type HttpSidecar, spawnHttp } from "../support/http.ts";
import { configFile } from "../support/keys.ts";
import { openaiStream, startModelServer } from "../support/model-server.ts";
import { chunk, head, RawConnection } from "../support/raw.ts";

const MIB = 1_048_576;
const LAST_CHUNK = "0\r\n\r\n";

/** A completion whose body has exactly this many bytes. */
function bodyOf(bytes: number): string {
  const frame = JSON.stringify({ model: "echo:any", prompt: "x" });
  return frame.replace('"x"', `"${"x".repeat(bytes - frame.length + 1)}"`);
}

const jsonHead = ({ token }: Pick<HttpSidecar, "token">, path: string, headers: Record<string, string>) =>
  head("POST", path, { authorization: `Bearer ${token}`, "content-type": "application/json", ...headers });

/** Rejects when it takes longer. */
async function within(ms: number, what: Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not within ${ms} ms`)), ms);
  });
  await Promise.race([what, late]).finally(() => clearTimeout(timer));
}

/** Sends a body in chunks and its end; resolves with what came back. */
async function sendChunked(http: HttpSidecar, path: string, body: string): Promise<RawConnection> {
  const connection = new RawConnection(http.url);
  await connection.write(jsonHead(http, path, { "transfer-encoding": "chunked" }));
  for (let at = 0; at < body.length; at += 65_536) await connection.write(chunk(body.slice(at, at + 65_536)));
  await connection.write(LAST_CHUNK);
  await connection.until(/\r\n\r\n/);
  return connection;
}

describe("the body of a request", () => {
  it("may have 1,048,576 bytes, and not one more, announced or in chunks", async () => {
    const http = await spawnHttp();
    expect(Buffer.byteLength(bodyOf(MIB))).toBe(MIB);
    expect((await http.call("POST", "/v1/completions", { body: bodyOf(MIB) })).status).toBe(200);
    const tooLong = await http.call<{ error: object }>("POST", "/v1/completions", { body: bodyOf(MIB + 1) });
    expect(tooLong.status).toBe(413);
    expect(tooLong.body.error).toEqual({ code: "too_large", message: "The body is too large", request_id: tooLong.headers["x-request-id"] });

    expect((await sendChunked(http, "/v1/completions", bodyOf(MIB))).statuses).toEqual([200]);
    const cut = await sendChunked(http, "/v1/completions", bodyOf(MIB + 1));
    expect(cut.statuses).toEqual([413]);
    await cut.until(/"code":"too_large"/);
  });

  it("may be a frame of as many bytes, with the same end", async () => {
    const { call } = await spawnHttp();
    const frame = JSON.stringify({ jsonrpc: "2.0", id: 1, method: "system.ping" });
    expect(await call("POST", "/rpc", { body: frame.padEnd(MIB) })).toMatchObject({ status: 200, body: { result: { status: "ok" } } });
    expect((await call("POST", "/rpc", { body: frame.padEnd(MIB + 1) })).status).toBe(413);
  });

  it("may be longer where a flag or the configuration says so", async () => {
    const listeners = await Promise.all([
      spawnHttp({ args: ["--max-body-mb", "2"] }),
      spawnHttp({ args: await configFile({}, { limits: { max_body_bytes: 2 * MIB } }) }),
    ]);
    for (const { call } of listeners) {
      expect((await call("POST", "/v1/completions", { body: bodyOf(2 * MIB) })).status).toBe(200);
      expect((await call("POST", "/v1/completions", { body: bodyOf(2 * MIB + 1) })).status).toBe(413);
    }
  });

  it("is refused before it is sent, and the connection ends, when too much is announced", async () => {
    const http = await spawnHttp();
    const connection = new RawConnection(http.url);
    await connection.write(jsonHead(http, "/v1/completions", { "content-length": "10737418240" }));
    await connection.closed;
    expect(connection.statuses).toEqual([413]);
    expect(connection.text).toMatch(/^connection: close\r$/im);
  });

  it.each([
    ["with a key", true, 413],
    ["without one", false, 401],
  ])("that never ends is cut off, %s", async (_, hasKey, status) => {
    const http = await spawnHttp();
    const connection = new RawConnection(http.url);
    await connection.write(
      hasKey ? jsonHead(http, "/v1/completions", { "transfer-encoding": "chunked" }) : head("POST", "/rpc", { "transfer-encoding": "chunked" }),
    );
    const part = chunk("x".repeat(65_536));
    while (!connection.socket.destroyed) {
      await connection.write(part);
      // A client on the same two processors must not keep the listener from its work.
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
    await connection.closed;
    expect((await http.call("GET", "/v1/info")).status).toBe(200);
    await http.sidecar.until(() => http.sidecar.stderr.includes(`"status":${status}`), "the line of the request");
  });

  it("that is cut short by the client is forgotten", async () => {
    const http = await spawnHttp({ args: [...(await configFile({}, { limits: { max_concurrent_requests: 1 } })), "--rate-limit", "0"] });
    const connection = new RawConnection(http.url);
    await connection.write(`${jsonHead(http, "/v1/completions", { "content-length": "1000" })}{"prompt":`);
    await expect.poll(async () => (await http.call("GET", "/v1/info")).status, { timeout: 15_000 }).toBe(503);
    connection.socket.destroy();
    await expect.poll(async () => (await http.call("GET", "/v1/info")).status, { timeout: 15_000 }).toBe(200);
  });
});

describe("a client that is slow", { timeout: 60_000 }, () => {
  it("is cut off while it sends its head, or nothing at all", async () => {
    const { url } = await spawnHttp();
    const silent = new RawConnection(url);
    const slow = new RawConnection(url);
    await slow.write("GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow:");
    const drip = setInterval(() => void slow.write("x"), 500);
    await Promise.all([slow.closed, silent.closed]).finally(() => clearInterval(drip));
    expect(slow.statuses).toEqual([408]);
    expect(slow.text).toContain('"code":"timeout"');
  });

  it("is cut off when its head has not come in the time that the configuration gives it", async () => {
    const { url } = await spawnHttp({ args: await configFile({}, { head_timeout_seconds: 0.5, receive_timeout_seconds: 600 }) });
    const connection = new RawConnection(url);
    await connection.write("GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n");
    // The default is 10 seconds, and late heads are looked for once a second.
    await within(8_000, connection.closed);
    expect(connection.statuses).toEqual([408]);
  });

  it("is cut off when its request has not come as a whole in the time for that, though it never stops sending", async () => {
    const http = await spawnHttp({ args: await configFile({}, { receive_timeout_seconds: 2 }) });
    const connection = new RawConnection(http.url);
    await connection.write(jsonHead(http, "/v1/completions", { "content-length": "100000" }));
    const drip = setInterval(() => void connection.write(" "), 100);
    onTestFinished(() => clearInterval(drip));
    // The default is a minute.
    await within(30_000, connection.closed);
    expect(connection.statuses).toEqual([408]);
    expect(connection.text).toContain('"code":"timeout"');
    expect((await http.call("GET", "/v1/info")).status).toBe(200);
  });

  it("keeps its connection while it goes on to ask, and loses it when it has not for a while", async () => {
    const { url } = await spawnHttp({ args: await configFile({}, { keep_alive_seconds: 4 }) });
    const connection = new RawConnection(url);
    for (let asked = 1; asked <= 4; asked++) {
      await connection.write(head("GET", "/health"));
      await connection.until(new RegExp(`(?:\\{"status":"ok"\\}[^]*){${asked}}`));
    }
    // The default is half a minute.
    await within(20_000, connection.closed);
    expect(connection.statuses).toEqual([200, 200, 200, 200]);
  });

  it("is cut off when its body stops", async () => {
    const http = await spawnHttp();
    const connection = new RawConnection(http.url);
    await connection.write(`${jsonHead(http, "/v1/completions", { "content-length": "1000" })}{"prompt":`);
    await connection.closed;
    expect(connection.statuses).toEqual([504]);
    expect(connection.text).toContain('"code":"timeout"');
  });

  it("is cut off when its body has not come in the time that a request may take", async () => {
    const http = await spawnHttp({ args: await configFile({}, { request_timeout_seconds: 1 }) });
    const connection = new RawConnection(http.url);
    await connection.write(jsonHead(http, "/v1/completions", { "content-length": "100000" }));
    const drip = setInterval(() => void connection.write(" "), 200);
    await connection.closed.finally(() => clearInterval(drip));
    expect(connection.statuses).toEqual([504]);
  });

  it("is cut off when it does not take its answer in that time, and gives its place back", { timeout: 120_000 }, async () => {
    // More than what the kernel keeps for a client that does not read.
    const parts = Array.from({ length: 192 }, () => "x".repeat(MIB / 8));
    const model = await startModelServer((_request, answer) => answer.sse(openaiStream(parts)));
    onTestFinished(() => model.close());
    // The whole answer has to be made in that time, on a slow machine as well.
    const api = { request_timeout_seconds: 15, limits: { max_concurrent_requests: 1 } };
    const more = { model: "openai:m", providers: { openai: { baseUrl: `${model.url}/v1`, apiKey: "any-key-will-do" } } };
    const http = await spawnHttp({ args: [...(await configFile({}, api, more)), "--rate-limit", "0"] });
    const connection = new RawConnection(http.url);
    const body = JSON.stringify({ prompt: "Go" });
    await connection.write(jsonHead(http, "/v1/completions", { "content-length": String(body.length) }) + body);
    connection.socket.pause();
    await expect.poll(async () => (await http.call("GET", "/v1/info")).status, { timeout: 15_000 }).toBe(503);
    await expect.poll(async () => (await http.call("GET", "/v1/info")).status, { timeout: 60_000 }).toBe(200);
    connection.socket.resume();
    await connection.closed;
    expect(connection.statuses).toEqual([200]);
    expect(connection.text.length).toBeLessThan(24 * MIB);
  });

  it("is told how long it may keep a connection that it does not use", async () => {
    const { url } = await spawnHttp();
    const connection = new RawConnection(url);
    await connection.write(head("GET", "/health"));
    await connection.until(/\r\n\r\n/);
    expect(connection.text).toMatch(/^keep-alive: timeout=30\r$/im);
    expect(connection.socket.destroyed).toBe(false);
  });
});
