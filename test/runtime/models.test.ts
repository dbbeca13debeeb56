import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { HOST } from "../../src/contract/caller.ts";
import { Config } from "../../src/contract/config.ts";
import { WireError } from "../../src/errors.ts";
import { providers } from "../../src/registry.ts";
import { Models, type SessionModel } from "../../src/runtime/models.ts";
import { startModel } from "../support/agent.ts";
import type { ModelServer } from "../support/model-server.ts";
import { startApp, user } from "./app.ts";

const alice = user("alice");
const request = { messages: [], tools: undefined };

const modelsOf = (config: Record<string, unknown> = {}, env: NodeJS.ProcessEnv = {}) => {
  const parsed = Config.parse(config);
  return new Models(providers, () => parsed, env);
};

/** Whom a call would ask: `provider`, `model` and `baseUrl`, with one word where that is all there is to say. */
function chosen(models: Models, params: Record<string, unknown>, session: SessionModel = {}): string {
  const { provider, model, baseUrl } = models.choose(params, session);
  return [provider, model, baseUrl].filter((part) => part !== undefined).join(" ");
}

/** A turn at that server. */
const at = ({ url }: ModelServer, more: { apiKey?: string } = {}) => ({
  provider: "openai",
  model: "m",
  baseUrl: `${url}/v1`,
  messages: [{ role: "user" as const, content: "Go" }],
  ...more,
});

function refusal(attempt: () => unknown): WireError {
  try {
    attempt();
  } catch (error) {
    if (error instanceof WireError) return error;
    throw error;
  }
  throw new Error("it was not refused");
}

describe("which model a call asks", () => {
  const config = { model: "ollama:qwen3:4b", providers: { openai: { model: "gpt-4o-mini", baseUrl: "http://gateway.test/v1" } } };

  it("is what the params say, else the session, else the configuration", () => {
    const models = modelsOf(config);
    const session = { provider: "anthropic", model: "claude-x", baseUrl: "http://session.test" };
    expect(chosen(models, { provider: "openai", model: "o3", baseUrl: "http://params.test" }, session)).toBe("openai o3 http://params.test");
    expect(chosen(models, {}, session)).toBe("anthropic claude-x http://session.test");
    expect(chosen(models, {}, { provider: "anthropic", model: "claude-x" })).toBe("anthropic claude-x https://api.anthropic.com");
    expect(chosen(models, {})).toBe("ollama qwen3:4b http://gateway.test/v1");
    expect(chosen(models, { provider: "openai" })).toBe("openai gpt-4o-mini http://gateway.test/v1");
    expect(chosen(models, {}, { provider: "openai" })).toBe("openai gpt-4o-mini http://gateway.test/v1");
  });

  it("takes single things from the call, and the rest from the session", () => {
    const models = modelsOf(config);
    const session = { provider: "anthropic", model: "claude-x", baseUrl: "http://session.test" };
    expect(chosen(models, { model: "claude-y" }, session)).toBe("anthropic claude-y http://session.test");
    expect(chosen(models, { baseUrl: "http://params.test" }, session)).toBe("anthropic claude-x http://params.test");
    expect(chosen(models, { provider: " Claude " }, session)).toBe("anthropic claude-x http://session.test");
  });

  it("takes nothing of the session where the call names another provider", () => {
    const models = modelsOf({});
    const session = { provider: "ollama", model: "qwen3:4b", baseUrl: "http://session.test", temperature: 2, maxTokens: 7 };
    expect(chosen(models, { provider: "openai", model: "o3" }, session)).toBe("openai o3 https://api.openai.com/v1");
    const call = models.resolve({ provider: "openai", model: "o3", apiKey: "k" }, request, HOST, session);
    expect(call.request).toMatchObject({ temperature: undefined, maxTokens: undefined });
    expect(models.resolve({}, request, HOST, session).request).toMatchObject({ model: "qwen3:4b", temperature: 2, maxTokens: 7 });
    // The other way round, and where the session has left the provider to the configuration.
    expect(refusal(() => models.resolve({ provider: "ollama" }, request, HOST, { ...session, provider: "openai" })).message).toMatch(/needs a model/);
    expect(chosen(modelsOf({ model: "openai:o3" }), { provider: "claude" }, { model: "gpt-4o", baseUrl: "http://session.test" })).toBe(
      "anthropic https://api.anthropic.com",
    );
    expect(chosen(modelsOf({ model: "openai:o3" }), {}, { model: "gpt-4o", baseUrl: "http://session.test" })).toBe("openai gpt-4o http://session.test");
  });

  it("may be named together with its provider, at the first colon and only where there is such a provider", () => {
    const models = modelsOf(config);
    expect(chosen(models, { model: "claude:claude-x" }, { provider: "openai", model: "o3" })).toBe("anthropic claude-x https://api.anthropic.com");
    expect(chosen(models, { model: "OLLAMA:qwen3:4b" })).toBe("ollama qwen3:4b http://gateway.test/v1");
    expect(chosen(models, { model: "qwen3:8b" })).toBe("ollama qwen3:8b http://gateway.test/v1");
    expect(chosen(models, { provider: "ollama", model: "openai:gpt-4o" })).toBe("ollama openai:gpt-4o http://gateway.test/v1");
  });

  it("has to have a provider: the error says the three ways to name one", () => {
    const error = refusal(() => modelsOf().choose({ model: "gpt-4o" }));
    expect(error).toMatchObject({ errorName: "invalid_params", data: { path: "provider" } });
    expect(error.message).toMatch(/in the call.*agent\.session\.configure.*model in the configuration/);
    expect(refusal(() => modelsOf({ model: "nobody:x" }).choose({}))).toMatchObject({ errorName: "invalid_params", data: { path: "provider" } });
  });
});

describe("the list of models", () => {
  it("holds what the configuration names, sorted and each once", () => {
    const providersConfigured = { openai: { model: "gpt-4o" }, anthropic: { model: "claude-x" } };
    expect(modelsOf({ model: "openai:gpt-4o", providers: providersConfigured }).list()).toEqual([
      { id: "anthropic:claude-x", provider: "anthropic", model: "claude-x" },
      { id: "openai:gpt-4o", provider: "openai", model: "gpt-4o" },
    ]);
    expect(modelsOf({ model: "ollama:qwen3:4b" }).list()).toEqual([{ id: "ollama:qwen3:4b", provider: "ollama", model: "qwen3:4b" }]);
    expect(modelsOf({ model: "echo:any" }).list()).toEqual([{ id: "echo:any", provider: "echo", model: "any" }]);
  });

  it("leaves out providers that do not exist, and those that no model is named for", () => {
    expect(modelsOf({ model: "nobody:x" }).list()).toEqual([]);
    expect(modelsOf().list()).toEqual([]);
  });
});

describe("a key", () => {
  it("of the operator never leaves for a server that a caller without admin has named, and one of a session only for the server it was given for", () => {
    const home = "https://gateway.test/v1";
    const urls = fc.constantFrom(
      undefined,
      home,
      "https://gateway.test/other",
      "https://gateway.test:8443/v1",
      "http://gateway.test/v1",
      "https://evil.test/v1",
    );
    const names = fc.constantFrom("openai", "openai_compat", "ollama", "anthropic", "claude", "echo");
    const sessions = fc.record({
      provider: fc.option(names, { nil: undefined }),
      model: fc.constantFrom(undefined, "m"),
      baseUrl: urls,
      apiKey: fc.option(
        fc.record({
          value: fc.constant("key-of-session"),
          server: fc.record({
            provider: fc.constantFrom("openai", "ollama", "anthropic"),
            origin: fc.constantFrom("https://gateway.test", "https://evil.test"),
          }),
        }),
        { nil: undefined },
      ),
    });
    const seen = new Set<string>();
    const property = fc.property(
      fc.record({ provider: fc.option(names, { nil: undefined }), baseUrl: urls, inConfig: fc.boolean() }),
      sessions,
      fc.constantFrom(HOST, alice),
      ({ provider, baseUrl, inConfig }, session, caller) => {
        const key = inConfig ? { apiKey: "key-of-config" } : {};
        const providers = { openai: { model: "m", baseUrl: home, ...key }, anthropic: { model: "m", baseUrl: home, ...key } };
        const config = {
          model: "openai:m",
          providers,
          allowedBaseUrls: ["https://gateway.test:8443", "http://gateway.test", "https://evil.test/v1"],
        };
        const models = modelsOf(config, { OPENAI_API_KEY: "key-of-env", ANTHROPIC_API_KEY: "key-of-env" });
        const { settings } = models.resolve(
          { ...(provider === undefined ? {} : { provider }), ...(baseUrl === undefined ? {} : { baseUrl }) },
          request,
          caller,
          session,
        );
        const origin = settings.baseUrl === undefined ? undefined : new URL(settings.baseUrl).origin;
        if (settings.apiKey === "key-of-session") {
          seen.add("session");
          expect(origin).toBe(session.apiKey?.server.origin);
          expect(models.choose({ provider }, session).provider).toBe(session.apiKey?.server.provider);
        } else if (settings.apiKey !== undefined && origin !== "https://gateway.test") {
          seen.add("elsewhere");
          expect(caller).toBe(HOST);
          expect(baseUrl).toBeDefined();
        } else if (settings.apiKey !== undefined) seen.add("home");
      },
    );
    fc.assert(property, { numRuns: 3000 });
    // All three were met.
    expect([...seen].toSorted()).toEqual(["elsewhere", "home", "session"]);
  });

  it("of the environment never reaches a server of the own machine that only an alias stands for", () => {
    const models = modelsOf({}, { OPENAI_API_KEY: "key-of-env" });
    expect(models.resolve({ provider: "ollama", model: "m" }, request, HOST).settings.apiKey).toBeUndefined();
    expect(models.resolve({ provider: "ollama", model: "m", baseUrl: "http://127.0.0.1:11434/other" }, request, HOST).settings.apiKey).toBeUndefined();
    expect(models.resolve({ provider: "openai", model: "m" }, request, alice).settings.apiKey).toBe("key-of-env");
  });

  it("is sent, or not, as that says: seen by a real server", async () => {
    const server = await startModel(["Hi"]);
    const { as, host } = await startApp({ env: { OPENAI_API_KEY: "sk-operator-key" }, config: { allowedBaseUrls: [server.url] } });
    const sent = () => server.requests.at(-1)?.headers["authorization"];
    const hers = as(alice);

    await host("agent.chat.complete", at(server));
    expect(sent()).toBe("Bearer sk-operator-key");
    await hers("agent.chat.complete", at(server));
    expect(sent()).toBeUndefined();
    await hers("agent.chat.complete", at(server, { apiKey: "sk-alice-key" }));
    expect(sent()).toBe("Bearer sk-alice-key");

    const { sessionId } = await hers("agent.session.create", { provider: "openai", model: "m", baseUrl: `${server.url}/v1` });
    const say = { sessionId, messages: [{ role: "user" as const, content: "Go" }] };
    await hers("agent.chat.complete", say);
    expect(sent()).toBeUndefined();
    // Whoever may do everything is not made to send it there either.
    await host("agent.chat.complete", say);
    expect(sent()).toBeUndefined();
    await hers("agent.session.configure", { sessionId, apiKey: "sk-alice-key" });
    await hers("agent.chat.complete", say);
    expect(sent()).toBe("Bearer sk-alice-key");
    await host("agent.session.compress", { sessionId, keepTurns: 0 });
    expect(sent()).toBe("Bearer sk-alice-key");
    expect(server.requests).toHaveLength(7);
  });

  it("of the operator goes to the configured server, also when a caller without admin names that", async () => {
    const server = await startModel(["Hi"]);
    const { as } = await startApp({ config: { providers: { openai: { apiKey: "sk-operator-key", baseUrl: `${server.url}/v1` } } } });
    await as(alice)("agent.chat.complete", at(server));
    expect(server.requests[0]?.headers["authorization"]).toBe("Bearer sk-operator-key");
  });
});

describe("a caller without admin", () => {
  it("cannot have a server asked that nobody has configured, by a call or by a session", async () => {
    const [known, other] = [await startModel(["Hi"]), await startModel(["Hi"])];
    const config = { providers: { openai: { apiKey: "any-key-will-do", baseUrl: `${known.url}/v1` } }, allowedBaseUrls: ["https://elsewhere.test"] };
    const { as, host } = await startApp({ config });
    const hers = as(alice);
    const forbidden = { errorName: "forbidden", data: { path: "baseUrl" } };
    await expect(hers("agent.chat.complete", at(other))).rejects.toMatchObject(forbidden);
    const { sessionId } = await hers("agent.session.create", { provider: "openai", model: "m", baseUrl: `${other.url}/v1` });
    const say = { sessionId, messages: [{ role: "user" as const, content: "Go" }] };
    await expect(hers("agent.chat.complete", say)).rejects.toMatchObject(forbidden);
    await expect(hers("agent.session.compress", { sessionId, keepTurns: 0 })).rejects.toMatchObject(forbidden);
    expect(other.requests).toHaveLength(0);
    await hers("agent.session.configure", { sessionId, baseUrl: null });
    await hers("agent.chat.complete", say);
    await host("agent.chat.complete", at(other, { apiKey: "any-key-will-do" }));
    expect([known.requests.length, other.requests.length]).toEqual([1, 1]);
  });
});

describe("the key of a session", () => {
  it("does not follow the session to another server, and comes back with it", async () => {
    const [first, second] = [await startModel(["Hi"]), await startModel(["Hi"])];
    const { host } = await startApp();
    const { sessionId } = await host("agent.session.create", { provider: "openai", model: "m", baseUrl: `${first.url}/v1` });
    await host("agent.session.configure", { sessionId, apiKey: "sk-first-key" });
    const say = async () => void (await host("agent.chat.complete", { sessionId, messages: [{ role: "user", content: "Go" }] }));
    await host("agent.session.configure", { sessionId, baseUrl: `${second.url}/v1` });
    await say();
    expect(second.requests[0]?.headers["authorization"]).toBeUndefined();
    await host("agent.session.create", { sessionId, baseUrl: `${first.url}/v1` });
    await say();
    expect(first.requests[0]?.headers["authorization"]).toBe("Bearer sk-first-key");
    await host("agent.session.configure", { sessionId, apiKey: null });
    await say();
    expect(first.requests[1]?.headers["authorization"]).toBeUndefined();
  });

  it("is forgotten with it: one that is made anew, or forked from it, has none", async () => {
    const server = await startModel(["Hi"]);
    const { host, logged } = await startApp();
    const made = { sessionId: "s1", provider: "openai", model: "m", baseUrl: `${server.url}/v1` };
    await host("agent.session.create", made);
    const session = await host("agent.session.configure", { sessionId: "s1", apiKey: "sk-the-key-1", temperature: 0.5, maxTokens: 9 });
    expect(JSON.stringify(session)).not.toContain("sk-the-key-1");
    const say = (sessionId: string) => host("agent.chat.complete", { sessionId, messages: [{ role: "user", content: "Go" }] });
    await say("s1");
    expect(server.requests[0]).toMatchObject({ headers: { authorization: "Bearer sk-the-key-1" }, json: { temperature: 0.5, max_tokens: 9 } });
    const fork = await host("agent.session.fork", { sessionId: "s1" });
    expect(fork).toMatchObject({ provider: "openai", model: "m", baseUrl: made.baseUrl });
    await say(fork.sessionId);
    await host("agent.session.delete", { sessionId: "s1" });
    await host("agent.session.create", made);
    await say("s1");
    for (const { headers, json } of server.requests.slice(1)) {
      expect(headers["authorization"]).toBeUndefined();
      expect(json).not.toHaveProperty("temperature");
    }
    expect(logged.join("")).not.toContain("sk-the-key-1");
  });

  it("needs a provider that it is for", async () => {
    const { host } = await startApp();
    const { sessionId } = await host("agent.session.create", {});
    await expect(host("agent.session.configure", { sessionId, apiKey: "sk-the-key-1" })).rejects.toMatchObject({ data: { path: "provider" } });
  });
});

describe("what a caller may not do without admin", () => {
  it("is to have a file of this machine played", async () => {
    const { as, host } = await startApp();
    const turn = { provider: "scripted", messages: [{ role: "user" as const, content: "Go" }], providerOptions: { script: "/nowhere/script.json" } };
    await expect(as(alice)("agent.chat.complete", turn)).rejects.toMatchObject({ errorName: "forbidden" });
    await expect(host("agent.chat.complete", turn)).rejects.toMatchObject({ errorName: "turn_failed" });
  });

  it("is to configure, empty or estimate a session of somebody else", async () => {
    const { as } = await startApp();
    const { sessionId } = await as(user("bob"))("agent.session.create", { provider: "echo" });
    const messages = [{ role: "user" as const, content: "Go" }];
    const hers = as(alice);
    for (const attempt of [
      hers("agent.session.configure", { sessionId, provider: "openai" }),
      hers("agent.session.empty", { sessionId }),
      hers("agent.chat.estimate", { sessionId, messages }),
    ])
      await expect(attempt).rejects.toMatchObject({ errorName: "session_not_found" });
  });
});

describe("who somebody is", () => {
  it("is told with what they may do", async () => {
    const { as, host } = await startApp();
    expect(await host("system.identity")).toEqual({ subject: "local", scopes: ["read", "write", "admin"] });
    expect(await as(alice)("system.identity")).toEqual({ subject: "alice", scopes: ["read", "write"] });
  });
});
