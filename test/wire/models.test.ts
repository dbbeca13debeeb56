import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { at, messagesOf, startModel } from "../support/agent.ts";
import { startSidecar, temporaryFolder, type TestSidecar } from "../support/sidecar.ts";

const go = [{ role: "user", content: "Go" }];

interface Message {
  role: string;
  content: string;
}

/** Something to wait for. */
function gate() {
  let open: () => void = () => undefined;
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { opened, open };
}

async function transcript(sidecar: TestSidecar, sessionId: string): Promise<string[]> {
  const { messages } = await sidecar.call<{ messages: Message[] }>("agent.session.get", { sessionId });
  return messages.map((message) => `${message.role}: ${message.content}`);
}

describe("a session with a model of its own", () => {
  it("asks it in turns that name none, and keeps it over a restart; its key is in memory only", async () => {
    const server = await startModel(["Hi"]);
    const folder = temporaryFolder();
    const args = ["--storage-path", join(folder, "sidecar.db"), "--log-level", "DEBUG"];
    const first = await startSidecar({ args });
    const baseUrl = `${server.url}/v1`;
    await first.call("agent.session.create", { sessionId: "s1", alias: "my work", model: "openai:m1" });
    const configured = await first.call("agent.session.configure", { sessionId: "s1", baseUrl, apiKey: "sk-session-secret-1", temperature: 0.25 });
    expect(configured).toMatchObject({ alias: "my work", provider: "openai", model: "m1", baseUrl });
    const message = await first.call<{ message: Message }>("agent.chat.complete", { sessionId: "s1", messages: go });
    expect(message).toMatchObject({ message: { content: "Hi" } });
    expect(server.requests[0]).toMatchObject({ headers: { authorization: "Bearer sk-session-secret-1" }, json: { model: "m1", temperature: 0.25 } });
    await first.call("agent.session.compress", { sessionId: "s1", keepTurns: 0 });
    expect(server.requests).toHaveLength(2);
    await first.call("system.shutdown");
    await first.exit;
    const kept = readdirSync(folder).map((file) => readFileSync(join(folder, file), "latin1"));
    expect([...kept, first.stderr, first.lines.join("\n")].filter((text) => text.includes("sk-session-secret-1"))).toEqual([]);

    const second = await startSidecar({ args });
    await second.terminal(await second.stream({ sessionId: "s1", messages: go }));
    const { headers, json } = server.requests[2] ?? { headers: {}, json: undefined };
    expect(json).toMatchObject({ model: "m1" });
    expect(json).not.toHaveProperty("temperature");
    expect(headers).not.toHaveProperty("authorization");
  });

  it("lets it be changed, and taken away; another provider takes away what belonged to the one before", async () => {
    const sidecar = await startSidecar();
    const create = (more: Record<string, unknown>) => sidecar.call("agent.session.create", { sessionId: "s1", ...more });
    const configure = (more: Record<string, unknown>) => sidecar.call("agent.session.configure", { sessionId: "s1", ...more });
    await create({ provider: " Ollama", model: "qwen3:4b", baseUrl: "http://127.0.0.1:1/v1", alias: "a" });
    expect(await configure({ model: "qwen3:8b" })).toMatchObject({ provider: "ollama", model: "qwen3:8b", baseUrl: "http://127.0.0.1:1/v1", alias: "a" });
    const other = await configure({ provider: "claude" });
    expect(other).toMatchObject({ provider: "anthropic", alias: "a" });
    expect(other).not.toHaveProperty("model");
    expect(other).not.toHaveProperty("baseUrl");
    expect(await create({ model: "openai:gpt-4o" })).toMatchObject({ provider: "openai", model: "gpt-4o" });
    const bare = await create({ provider: null, alias: null });
    for (const field of ["provider", "model", "baseUrl", "alias"]) expect(bare).not.toHaveProperty(field);
    const refused = await sidecar.request("agent.chat.complete", { sessionId: "s1", messages: go });
    expect(refused.error).toMatchObject({ code: -32602, data: { path: "provider" } });
  });

  it("refuses a provider that does not exist, an address with a password or a key, and changes once it is closed", async () => {
    const sidecar = await startSidecar();
    await sidecar.call("agent.session.create", { sessionId: "s1", provider: "echo" });
    const refusal = async (params: Record<string, unknown>) => (await sidecar.request("agent.session.configure", { sessionId: "s1", ...params })).error;
    expect(await refusal({ provider: "nobody" })).toMatchObject({ code: -32602, data: { path: "provider" } });
    expect(await refusal({ model: "nobody:x", provider: "nobody" })).toMatchObject({ code: -32602 });
    for (const baseUrl of [
      "https://me:secret@gateway.test",
      "https://gateway.test/?api_key=secret",
      "https://gateway.test/?key=secret",
      "ftp://gateway.test",
    ]) {
      const error = await refusal({ baseUrl });
      expect(error).toMatchObject({ code: -32602, data: { issues: [{ path: "baseUrl" }] } });
      expect(JSON.stringify(error)).not.toContain("secret@");
    }
    expect(await refusal({ baseUrl: "https://gateway.test/?api-version=1" })).toBeUndefined();
    await sidecar.call("agent.session.close", { sessionId: "s1" });
    expect(await refusal({ model: "x" })).toMatchObject({ data: { code: "session_closed" } });
    expect(await refusal({ sessionId: "s2" })).toMatchObject({ data: { code: "session_not_found" } });
  });

  it("is not needed where the configuration names a model", async () => {
    const server = await startModel(["Hi"]);
    const sidecar = await startSidecar({
      env: { STEERABLE_MODEL: "ollama:qwen3:4b", STEERABLE_PROVIDERS_OPENAI_BASE_URL: `${server.url}/v1`, OPENAI_API_KEY: "sk-environment-key" },
    });
    await sidecar.call("agent.chat.complete", { messages: go });
    await sidecar.call("agent.chat.complete", { messages: go, model: "openai:gpt-4o" });
    expect(server.requests.map(({ json }) => json)).toMatchObject([{ model: "qwen3:4b" }, { model: "gpt-4o" }]);
    expect(await sidecar.call("agent.model.list")).toEqual({ models: [{ id: "ollama:qwen3:4b", provider: "ollama", model: "qwen3:4b" }] });
  });
});

describe("emptying a session", () => {
  it("takes its messages, waits for the turn that is running, and leaves those that come later", async () => {
    const running = gate();
    const server = await startModel(async () => {
      if (server.requests.length === 1) await running.opened;
      return "Hi";
    });
    const sidecar = await startSidecar();
    await sidecar.call("agent.session.create", { sessionId: "s1", alias: "kept", provider: "openai", model: "m", baseUrl: `${server.url}/v1` });
    const before = await sidecar.stream({ sessionId: "s1", messages: [{ role: "user", content: "before" }] });
    await server.nextRequest();
    const emptied = sidecar.call("agent.session.empty", { sessionId: "s1" });
    const after = sidecar.call("agent.chat.complete", { sessionId: "s1", messages: [{ role: "user", content: "after" }] });
    expect(await transcript(sidecar, "s1")).toEqual(["user: before"]);
    running.open();
    expect(await emptied).toMatchObject({ sessionId: "s1", alias: "kept", provider: "openai" });
    expect(await sidecar.terminal(before)).toMatchObject({ method: "stream.done" });
    await after;
    expect(await transcript(sidecar, "s1")).toEqual(["user: after", "assistant: Hi"]);
    expect(server.requests.slice(1).map((request) => messagesOf(request))).toEqual([[{ role: "user", content: "after" }]]);
  });

  it("can be cancelled while it waits: then nothing is deleted, and the session goes on", async () => {
    const running = gate();
    const server = await startModel(async () => {
      if (server.requests.length === 1) await running.opened;
      return "Hi";
    });
    const sidecar = await startSidecar();
    await sidecar.call("agent.session.create", { sessionId: "s1" });
    const before = await sidecar.stream({ sessionId: "s1", ...at(server) });
    await server.nextRequest();
    sidecar.send({ jsonrpc: "2.0", id: "empty", method: "agent.session.empty", params: { sessionId: "s1" } });
    sidecar.send({ jsonrpc: "2.0", method: "$/cancelRequest", params: { id: "empty" } });
    expect((await sidecar.reply("empty")).error).toMatchObject({ code: -32800 });
    const after = await sidecar.stream({ sessionId: "s1", ...at(server) });
    running.open();
    await sidecar.terminal(before);
    await sidecar.terminal(after);
    expect(await transcript(sidecar, "s1")).toEqual(["user: Go", "assistant: Hi", "user: Go", "assistant: Hi"]);
  });

  it("says at once when there is no such session, and may be done to one that is closed", async () => {
    const sidecar = await startSidecar();
    expect((await sidecar.request("agent.session.empty", { sessionId: "s1" })).error).toMatchObject({ data: { code: "session_not_found" } });
    await sidecar.call("agent.session.create", { sessionId: "s1", provider: "echo" });
    await sidecar.call("agent.chat.complete", { sessionId: "s1", messages: go });
    await sidecar.call("agent.session.close", { sessionId: "s1" });
    expect(await sidecar.call("agent.session.empty", { sessionId: "s1" })).toMatchObject({ isActive: false });
    expect(await transcript(sidecar, "s1")).toEqual([]);
  });
});

describe("an estimate", () => {
  interface Estimate {
    promptTokens: number;
  }

  it("asks nobody, needs no key, and knows prices", async () => {
    const sidecar = await startSidecar();
    const params = { provider: "openai", model: "gpt-4o-mini", messages: [{ role: "user", content: "x".repeat(400) }] };
    expect(await sidecar.call("agent.chat.estimate", params)).toEqual({ provider: "openai", model: "gpt-4o-mini", promptTokens: 104, costUsd: 0.0000156 });
    expect(await sidecar.call("agent.chat.estimate", { ...params, maxTokens: 1000 })).toMatchObject({ maxTokens: 1000, maxCostUsd: 0.0006156 });
    const unpriced = await sidecar.call("agent.chat.estimate", { ...params, model: "nobody-knows", maxTokens: 10 });
    expect(unpriced).toEqual({ provider: "openai", model: "nobody-knows", promptTokens: 104, maxTokens: 10 });
    expect(await sidecar.call("agent.chat.estimate", { provider: "echo", messages: go })).toEqual({ provider: "echo", promptTokens: 5, costUsd: 0 });
    expect((await sidecar.request("agent.chat.estimate", { provider: "openai", messages: go })).error).toMatchObject({ data: { path: "model" } });
  });

  it("counts tools and the history of the session, and learns from what the server has counted", async () => {
    const server = await startModel(["Hi"], { prompt_tokens: 500, completion_tokens: 5, total_tokens: 505 });
    const sidecar = await startSidecar();
    await sidecar.call("agent.session.create", { sessionId: "s1", provider: "openai", model: "m", baseUrl: `${server.url}/v1` });
    await sidecar.call("agent.session.configure", { sessionId: "s1", maxTokens: 77 });
    const estimate = (more: Record<string, unknown> = {}) => sidecar.call<Estimate>("agent.chat.estimate", { sessionId: "s1", messages: go, ...more });
    const alone = await estimate();
    expect(alone).toMatchObject({ provider: "openai", model: "m", maxTokens: 77 });
    const withTool = await estimate({ tools: [{ type: "function", function: { name: "get_it", description: "d".repeat(400) } }] });
    expect(withTool.promptTokens).toBeGreaterThan(alone.promptTokens + 100);
    await sidecar.call("agent.chat.complete", { sessionId: "s1", messages: [{ role: "user", content: "y".repeat(4000) }] });
    expect((await estimate()).promptTokens).toBeGreaterThan(alone.promptTokens + 1000);
    // What the server counts on top of a short prompt is known by now, and held against other sessions too.
    await sidecar.call("agent.chat.complete", { ...at(server, { model: "m" }) });
    expect(await sidecar.call<Estimate>("agent.chat.estimate", { provider: "openai", model: "m", messages: go })).toMatchObject({ promptTokens: 500 });
    expect(server.requests).toHaveLength(2);
  });
});

describe("readiness", () => {
  it("is there from the start, and gone while as many streams are open as there may be", async () => {
    const server = await startModel(() => new Promise<undefined>(() => undefined));
    const sidecar = await startSidecar({ env: { STEERABLE_LIMITS_STREAMS: "1" } });
    expect(await sidecar.call("system.readiness")).toEqual({ ready: true, checks: { store: { status: "ok" }, streams: { status: "ok" } } });
    const streamId = await sidecar.stream(at(server));
    expect(await sidecar.call("system.readiness")).toMatchObject({ ready: false, reason: "1 of 1 streams are open" });
    await sidecar.call("agent.chat.cancel", { streamId });
    await sidecar.terminal(streamId);
    expect(await sidecar.call("system.readiness")).toMatchObject({ ready: true });
  });
});
