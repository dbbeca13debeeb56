import { describe, expect, it } from "vitest";
import { bench, fake, startRecord, until } from "./support.ts";

describe("a call", () => {
  it("ends at its deadline, however much progress is reported, and the server is told", async () => {
    const { failure, call } = bench({ a: fake() });
    expect(await failure("mcp__a__progress", {}, { timeoutMs: 300 })).toMatchObject({
      kind: "timeout",
      message: 'MCP server "a" did not answer within 300 ms',
    });
    const told = JSON.parse((await call("mcp__a__cancelled")).text ?? "") as unknown[];
    expect(told).toEqual([expect.objectContaining({ requestId: expect.any(Number) })]);
  });

  it.each([
    ["of the server, where it is shorter", { timeoutMs: 200 }, 5000, "200"],
    ["of the call, where that is shorter", { timeoutMs: 5000 }, 250, "250"],
    ["of all servers, where the server has none", {}, 5000, "300"],
  ])("keeps the deadline %s", async (_, more, timeoutMs, expected) => {
    const { failure } = bench({ a: fake({}, more) }, { timeoutMs: 300 });
    expect((await failure("mcp__a__hang", {}, { timeoutMs })).message).toContain(`within ${expected} ms`);
  });

  it("that is cancelled ends at once, and the server is told", async () => {
    const { failure, call } = bench({ a: fake() });
    await call("mcp__a__echo");
    const controller = new AbortController();
    const hanging = failure("mcp__a__hang", {}, { signal: controller.signal });
    await call("mcp__a__echo");
    controller.abort();
    expect(await hanging).toMatchObject({ kind: "cancelled" });
    await until(async () => (JSON.parse((await call("mcp__a__cancelled")).text ?? "[]") as unknown[]).length === 1, "the server to be told");
  });

  it("gives an error result and a JSON-RPC error as failures in the server's words", async () => {
    const { failure } = bench({ a: fake() });
    expect(await failure("mcp__a__fail")).toMatchObject({ kind: "tool_failed", message: "no such luck" });
    expect(await failure("mcp__a__refuse")).toMatchObject({ kind: "invalid_params", message: "no, not with these" });
  });

  it("fails when the answer is no result of a tool", async () => {
    const { failure } = bench({ a: fake() });
    expect(await failure("mcp__a__bare")).toMatchObject({ kind: "tool_failed", message: expect.stringContaining("form that MCP asks for") });
  });

  it("keeps pictures and structured data up to 1 MiB", async () => {
    const { call } = bench({ a: fake() });
    expect(await call("mcp__a__image", { bytes: 1000 })).toEqual({
      text: "see",
      structured: { a: 1 },
      content: [{ type: "image", mimeType: "image/png", data: "A".repeat(1000) }],
    });
    const large = await call("mcp__a__image", { bytes: 1024 * 1024 });
    expect(large).toEqual({ text: "see", structured: { a: 1 }, notes: [expect.stringMatching(/^image of \d+ bytes left out/)] });
  });
});

describe("a server that does not read", () => {
  it("fails the call at its deadline, holds no more than 16 MiB of ours, and is replaced", async () => {
    const { record, pids } = startRecord();
    const { call, failure } = bench({ a: fake({ record }) });
    await call("mcp__a__stopReading");
    const text = "x".repeat(6 * 1024 * 1024);
    const failures = await Promise.all(Array.from({ length: 40 }, () => failure("mcp__a__echo", { text }, { timeoutMs: 400 })));
    const kinds = failures.map(({ kind, message }) => `${kind}: ${message}`);
    expect(new Set(kinds)).toEqual(
      new Set(['timeout: MCP server "a" did not answer within 400 ms', 'unavailable: MCP server "a": it does not read what it is sent']),
    );
    // Of 240 MiB, 12 were taken; the others were refused at once.
    expect(kinds.filter((kind) => kind.startsWith("timeout"))).toHaveLength(2);
    await until(async () => (await call("mcp__a__echo", { n: 1 }).catch(() => undefined))?.text === '{"n":1}', "a server that reads");
    expect(pids()).toHaveLength(2);
  }, 240_000);

  it("and floods us with requests is given up", async () => {
    const { failure, log } = bench({ a: fake() }, { timeoutMs: 500 });
    expect(await failure("mcp__a__floodPing")).toMatchObject({ kind: "timeout" });
    await until(() => log.some(({ msg }) => msg === "MCP server cannot be used"), "it to be given up");
  }, 60_000);

  it("or answers nothing from the start does not delay others", async () => {
    const { call } = bench({ a: fake({ deaf: true }), b: fake() });
    expect(await call("mcp__b__echo")).toEqual({ text: "{}" });
  });
});

describe("what a server prints", () => {
  it("is ignored where it is no message: greetings, broken JSON, answers to nothing, deep nests", async () => {
    const { call, names } = bench({ a: fake({ greeting: "Server running on stdio\n" }) });
    expect(await names()).toContain("mcp__a__garbage");
    expect(await call("mcp__a__garbage")).toEqual({ text: "after garbage" });
    expect(await call("mcp__a__echo")).toEqual({ text: "{}" });
  });

  it("fails the call at once when a line is longer than 16 MiB, and goes on", async () => {
    const { record, pids } = startRecord();
    const { call, failure } = bench({ a: fake({ record }) });
    expect(await failure("mcp__a__giant")).toMatchObject({ kind: "unavailable", message: expect.stringContaining("longer than 16777216 bytes") });
    expect(await call("mcp__a__echo")).toEqual({ text: "{}" });
    expect(pids()).toHaveLength(1);
  });

  it("reaches the log at DEBUG when it stands on stderr, without secrets", async () => {
    const secret = "sk-mcp-canary-0123456789abcdef";
    const quiet = bench({ a: fake({ stderr: `ready with ${secret}` }) });
    const { names, log } = bench({ a: fake({ stderr: `ready with ${secret}` }) }, { level: "DEBUG" });
    await Promise.all([names(), quiet.names()]);
    await until(() => log.some(({ line }) => line === "ready with ********"), "the line");
    expect(JSON.stringify(log)).not.toContain(secret);
    await until(() => quiet.log.length > 0, "the other log");
    expect(quiet.log.map(({ msg }) => msg)).toEqual(["MCP server is ready"]);
  });
});

it.each(["sampling/createMessage", "elicitation/create", "roots/list", "tools/list"])(
  "a server that asks for %s is answered that there is no such method",
  async (method) => {
    const { call } = bench({ a: fake() });
    expect(JSON.parse((await call("mcp__a__ask", { method })).text ?? "")).toMatchObject({ code: -32601 });
  },
);
