import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";
import { createInterface } from "node:readline";
import { describe, expect, it, onTestFinished } from "vitest";
import { startHttpServer } from "./http-server.ts";
import { bench, published, until } from "./support.ts";

const token = "tok-canary-77aa88bb99cc";

describe("a server over streamable HTTP", () => {
  it("is sent the headers with every request, and told when it is over", async () => {
    const server = await startHttpServer();
    const { names, call, sources } = bench({ h: { url: server.url, headers: { Authorization: `Bearer ${token}`, "X-Team": "red" } } });
    expect(server.seen).toEqual([]);
    expect(await names()).toContain("mcp__h__echo");
    expect(await call("mcp__h__echo", { n: 1 })).toEqual({ text: '{"n":1}' });
    expect(await call("mcp__h__stream", { n: 2 })).toEqual({ text: '{"n":2}' });
    expect(server.sessions.size).toBe(1);
    await until(() => server.seen.some(({ method }) => method === "GET"), "the stream");
    await sources.close();
    await until(() => server.sessions.size === 0, "the end of the session");
    expect(new Set(server.seen.map(({ method }) => method))).toEqual(new Set(["POST", "GET", "DELETE"]));
    for (const { headers } of server.seen) expect(headers).toMatchObject({ authorization: `Bearer ${token}`, "x-team": "red" });
  });

  it("is asked again when it says that its list has changed", async () => {
    const server = await startHttpServer();
    const { names, changes } = bench({ h: { url: server.url } });
    await names();
    await until(() => server.seen.some(({ method }) => method === "GET"), "the stream");
    server.tools.push("more");
    server.notify("notifications/tools/list_changed");
    await until(() => changes() === 1, "the change");
    expect(await names()).toContain("mcp__h__more");
  });

  it.each([404, 400])("that has forgotten the session (%s) is given a new one, and the call", async (unknownSession) => {
    const server = await startHttpServer({ unknownSession });
    const { call } = bench({ h: { url: server.url } });
    await call("mcp__h__echo");
    server.sessions.clear();
    expect(await call("mcp__h__echo", { n: 3 })).toEqual({ text: '{"n":3}' });
    expect(server.calls).toEqual(["echo", "echo"]);
  });

  it("that ends the answer before its end fails the call at once, and is not called again", async () => {
    const server = await startHttpServer();
    const { failure } = bench({ h: { url: server.url } });
    expect(await failure("mcp__h__cut")).toMatchObject({ kind: "unavailable", message: 'MCP server "h": the connection ended before the answer' });
    expect(server.calls).toEqual(["cut"]);
  });

  it("that does not answer is left at the deadline", async () => {
    const server = await startHttpServer();
    const { failure, call } = bench({ h: { url: server.url } });
    expect(await failure("mcp__h__hang", {}, { timeoutMs: 300 })).toMatchObject({ kind: "timeout" });
    expect(await call("mcp__h__echo")).toEqual({ text: "{}" });
  });

  it.each(["giant", "giantStream"])("that answers with more than 16 MiB fails the call: %s", async (tool) => {
    const server = await startHttpServer();
    const { failure } = bench({ h: { url: server.url } });
    expect(await failure(`mcp__h__${tool}`)).toMatchObject({ kind: "unavailable" });
  });

  it("that is gone fails calls, and is found again when it is back", async () => {
    const server = await startHttpServer({ port: await freePort() });
    const made = bench({ h: { url: server.url } });
    await made.call("mcp__h__echo");
    const tool = await made.sources.find("mcp__h__echo");
    const run = () => tool?.run({}, { signal: new AbortController().signal, callId: "c", timeoutMs: 20_000 });
    await server.stop();
    await expect(run()).rejects.toMatchObject({ kind: "unavailable", message: /^MCP server "h": it cannot be reached \(\w+\)$/ });
    expect(await made.names()).toEqual([]);
    await startHttpServer({ port: Number(new URL(server.url).port) });
    made.ahead += 1001;
    expect(await run()).toEqual({ text: "{}" });
    // It went, and it came back.
    expect(made.changes()).toBe(2);
    expect(await made.names()).toContain("mcp__h__echo");
  });

  it.each([
    [401, "http", 'it refused the credentials in "headers" (HTTP status 401)'],
    [500, "http", "it answered with HTTP status 500"],
    [403, "sse", 'it refused the credentials in "headers" (HTTP status 403)'],
  ] as const)("that answers %s (%s) is named in the log, without what was sent", async (status, type, reason) => {
    const server = await startHttpServer({ status });
    const { names, log } = bench({ h: { type, url: `${server.url}?key=${token}`, headers: { Authorization: `Bearer ${token}` } } }, { level: "DEBUG" });
    expect(await names()).toEqual([]);
    await until(() => log.some(({ level }) => level === "WARNING"), "the log");
    expect(log.find(({ level }) => level === "WARNING")).toMatchObject({ server: "h", reason });
    expect(JSON.stringify(log)).not.toContain(token);
  });
});

describe("@modelcontextprotocol/server-everything over HTTP", () => {
  it.each([
    ["http", "streamableHttp", "/mcp"],
    ["sse", "sse", "/sse"],
  ] as const)(
    "serves %s",
    async (type, mode, path) => {
      const port = await freePort();
      const child = spawn(process.execPath, [published("@modelcontextprotocol/server-everything"), mode], {
        env: { ...process.env, PORT: String(port) },
        stdio: ["ignore", "ignore", "pipe"],
      });
      onTestFinished(async () => {
        const exited = once(child, "exit");
        if (child.kill("SIGKILL")) await exited;
      });
      for await (const line of createInterface({ input: child.stderr })) if (line.includes(`port ${port}`)) break;
      child.stderr.resume();

      const made = bench({ e: { type, url: `http://127.0.0.1:${port}${path}` } });
      expect(await made.names()).toContain("mcp__e__echo");
      expect(await made.call("mcp__e__echo", { message: "hi" })).toEqual({ text: "Echo: hi" });
      const waiting = made.failure("mcp__e__trigger-long-running-operation", { duration: 30, steps: 3 });
      await made.call("mcp__e__echo", { message: "again" });
      child.kill("SIGKILL");
      expect(await waiting).toMatchObject({ kind: "unavailable" });
      await made.call("mcp__e__echo", { message: "too late" }).catch(() => undefined);
      expect(await made.names()).toEqual([]);
    },
    120_000,
  );
});

/** A port that was free a moment ago, and not one of those that a system gives away by itself: it stays free for the next moment too. */
async function freePort(): Promise<number> {
  for (;;) {
    const port = 10_000 + Math.floor(Math.random() * 20_000);
    const server = createServer();
    const isFree = await new Promise<boolean>((resolve) => {
      server.once("error", () => resolve(false));
      server.listen(port, "127.0.0.1", () => resolve(true));
    });
    if (!isFree) continue;
    await new Promise((resolve) => server.close(resolve));
    return port;
  }
}
