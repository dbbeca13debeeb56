import { describe, expect, it } from "vitest";
import { Config } from "../../src/contract/config.ts";
import { hostRequests, methods, notifications } from "../../src/contract/index.ts";
import { generated } from "./document.ts";
import { bundle, faults, newAjv } from "./validator.ts";

const entries = Object.values(methods);
const news = Object.values(notifications);
const asked = Object.values(hostRequests);

describe("the examples of the contract", () => {
  it.each(entries.map((entry) => [entry.name, entry] as const))("%s: params and result fit their own schemas, in zod and in JSON Schema", (name, entry) => {
    const { params, result }: { params?: unknown; result: unknown } = entry.example;
    expect(entry.params.safeParse(params)).toMatchObject({ success: true });
    expect(entry.result.safeParse(result)).toMatchObject({ success: true });
    // A request without params has none to validate.
    expect(params === undefined ? [] : faults(`${name}.params`, params)).toEqual([]);
    expect(faults(`${name}.result`, result)).toEqual([]);
  });

  it.each(news.map((entry) => [entry.name, entry] as const))("%s: params fit their own schema, in zod and in JSON Schema", (name, entry) => {
    expect(entry.params.safeParse(entry.example.params)).toMatchObject({ success: true });
    expect(faults(`${name}.params`, entry.example.params)).toEqual([]);
  });

  it.each(asked.map((entry) => [entry.name, entry] as const))(
    "%s of the host: params and result fit their own schemas, in zod and in JSON Schema",
    (name, entry) => {
      const { params, result } = entry.example;
      expect(entry.params.safeParse(params)).toMatchObject({ success: true });
      expect(entry.result.safeParse(result)).toMatchObject({ success: true });
      expect(faults(`host:${name}.params`, params)).toEqual([]);
      expect(faults(`host:${name}.result`, result)).toEqual([]);
    },
  );

  it("show no key that the schema does not know", () => {
    for (const { params, example } of asked) expect(params.parse(example.params)).toEqual(example.params);
    // Parsing leaves out what is unknown.
    for (const { result, example } of entries) expect(result.parse(example.result)).toEqual(example.result);
    for (const { params, example } of news) expect(params.parse(example.params)).toEqual(example.params);
  });
});

describe("the schema bundle", () => {
  it("refuses what the contract refuses", () => {
    expect(faults("agent.chat.stream.params", { provider: "echo", messages: [] })).not.toEqual([]);
    expect(faults("agent.chat.stream.params", { provider: "", messages: [{ role: "user", content: "hi" }] })).not.toEqual([]);
    expect(faults("agent.session.list.params", { limit: 0 })).not.toEqual([]);
    expect(faults("agent.session.resume.params", { sessionId: "no spaces" })).not.toEqual([]);
    expect(faults("system.ping.result", { ...methods["system.ping"].example.result, extra: 1 })).not.toEqual([]);
    expect(faults("stream.done.params", { streamId: "str_1", ok: true })).not.toEqual([]);
    expect(faults("host:approval.request.result", { decision: "perhaps" })).not.toEqual([]);
    expect(faults("tool.register.params", { tools: [{ type: "function", function: { name: "get_selection" }, mode: "harmless" }] })).not.toEqual([]);
  });

  it("describes params as they are sent, before the contract fills them in", () => {
    expect(faults("agent.session.create.params", null)).toEqual([]);
    expect(faults("tool.invoke.params", { name: "get_time" })).toEqual([]);
    expect(faults("tool.invoke.params", { name: "get_time", arguments: null })).toEqual([]);
    expect(faults("agent.chat.stream.params", { provider: "echo", messages: [{ role: "assistant", content: null, toolCalls: [] }] })).toEqual([]);
  });

  it("lets later versions add keys to results", () => {
    expect(faults("agent.session.get.result", { ...methods["agent.session.get"].example.result, later: true })).toEqual([]);
  });

  it("knows the frames around params and results", () => {
    const request = { jsonrpc: "2.0", id: "a", method: "system.ping" };
    expect(faults("MessageToSidecar", request)).toEqual([]);
    expect(faults("MessageToSidecar", [request, { jsonrpc: "2.0", method: "$/cancelRequest", params: { id: 1 } }])).toEqual([]);
    expect(faults("MessageToSidecar", { ...request, id: null })).not.toEqual([]);
    expect(faults("MessageToSidecar", { ...request, method: "system.pong" })).not.toEqual([]);
    expect(faults("MessageToSidecar", { jsonrpc: "2.0", id: 1, method: "$/cancelRequest", params: { id: 1 } })).not.toEqual([]);
    expect(faults("MessageToSidecar", { jsonrpc: "2.0", id: 1, method: "agent.session.resume" })).not.toEqual([]);
    expect(faults("MessageToHost", { jsonrpc: "2.0", id: 1, result: null })).toEqual([]);
    expect(faults("MessageToHost", { jsonrpc: "2.0", id: null, error: { code: -32700, message: "no", kind: "parse" } })).toEqual([]);
    expect(faults("MessageToHost", { jsonrpc: "2.0", id: 1 })).not.toEqual([]);
    expect(faults("MessageToHost", { jsonrpc: "2.0", id: 1, result: 1, error: { code: -32603, message: "no", kind: "internal" } })).not.toEqual([]);
    expect(faults("MessageToHost", { jsonrpc: "2.0", id: 1, error: { code: -1, message: "no", kind: "internal" } })).not.toEqual([]);
  });

  it("knows the frames of requests to the host", () => {
    const request = { jsonrpc: "2.0", id: "srv_1", method: "approval.request", params: hostRequests["approval.request"].example.params };
    expect(faults("MessageToHost", request)).toEqual([]);
    expect(faults("MessageToHost", { ...request, id: 1 })).not.toEqual([]);
    expect(faults("MessageToHost", { ...request, params: {} })).not.toEqual([]);
    expect(faults("MessageToHost", { ...request, method: "system.ping" })).not.toEqual([]);
    expect(faults("MessageToSidecar", request)).not.toEqual([]);
    expect(faults("MessageToHost", { jsonrpc: "2.0", method: "$/cancelRequest", params: { id: "srv_1" } })).toEqual([]);
    expect(faults("MessageToSidecar", { jsonrpc: "2.0", id: "srv_1", result: { decision: "allow" } })).toEqual([]);
    expect(faults("MessageToSidecar", { jsonrpc: "2.0", id: "srv_1", error: { code: -32601, message: "no" } })).toEqual([]);
    expect(faults("MessageToSidecar", { jsonrpc: "2.0", id: "srv_1" })).not.toEqual([]);
    expect(faults("MessageToSidecar", { jsonrpc: "2.0", id: 1, result: null })).not.toEqual([]);
    expect(faults("MessageToSidecar", { jsonrpc: "2.0", id: "srv_1", error: { message: "no" } })).not.toEqual([]);
  });

  it("keeps a method and a request to the host of the same name apart", () => {
    const facts = bundle["x-hostRequests"] as Record<string, { params: unknown; result: unknown }>;
    expect(Object.keys(facts)).toEqual(Object.keys(hostRequests));
    expect(facts["tool.invoke"]).toMatchObject({ params: { $ref: "#/$defs/host:tool.invoke.params" }, result: { $ref: "#/$defs/host:tool.invoke.result" } });
    expect(bundle.$defs["host:tool.invoke.params"]).not.toEqual(bundle.$defs["tool.invoke.params"]);
  });

  it("refers to a shape where an object has all of its fields and more", () => {
    expect(bundle.$defs["stream.chunk.params"]).toMatchObject({
      properties: { toolResult: { allOf: [{ $ref: "#/$defs/ToolResult" }], properties: { id: {}, name: {} }, required: ["id", "name"] } },
    });
    const chunk = { streamId: "str_1", seq: 0 };
    expect(faults("stream.chunk.params", { ...chunk, toolResult: { id: "call_1", name: "get_time", success: true, data: { iso: "…" } } })).toEqual([]);
    expect(faults("stream.chunk.params", { ...chunk, toolResult: { id: "call_1", name: "get_time" } })).not.toEqual([]);
    expect(faults("stream.chunk.params", { ...chunk, toolResult: { success: true } })).not.toEqual([]);
  });

  it("gives the shapes that several methods share a definition of their own, and refers to it", () => {
    for (const shape of [
      "AgentSession",
      "ToolCall",
      "Usage",
      "HarnessTrace",
      "TraceSpan",
      "TraceEvent",
      "ToolResult",
      "StoredMessage",
      "ChatMessage",
      "Health",
      "Budget",
      "Spending",
      "ToolMode",
      "ToolFailureKind",
      "ChildProcess",
      "Grant",
    ]) {
      expect(bundle.$defs).toHaveProperty([shape]);
    }
    expect(bundle.$defs["agent.session.create.result"]).toEqual({ $ref: "#/$defs/AgentSession" });
    expect(bundle.$defs["trace.event.params"]).toEqual({ $ref: "#/$defs/TraceEvent" });
  });

  it("holds every reference itself", () => {
    const targets = [...JSON.stringify(bundle).matchAll(/"\$ref":"([^"]+)"/g)].map(([, target]) => target!);
    expect(targets.length).toBeGreaterThan(50);
    expect(targets.filter((target) => !target.startsWith("#/$defs/") || !(target.slice("#/$defs/".length).replaceAll("~1", "/") in bundle.$defs))).toEqual([]);
  });

  it("names the errors of each method", () => {
    const facts = bundle["x-methods"] as Record<string, { errors: { name: string; code: number }[] }>;
    expect(Object.keys(facts)).toEqual(Object.keys(methods));
    expect(facts["tool.invoke"]!.errors).toContainEqual({ name: "policy_denied", code: -32002, kind: "policy_denied" });
  });
});

describe("the schema of the configuration file", () => {
  const validate = newAjv().compile(JSON.parse(generated.get("schema/config.schema.json")!));

  it("accepts an empty file and a full one", () => {
    expect(validate({})).toBe(true);
    expect(validate({ logLevel: "DEBUG", providers: { openai: { apiKey: "{{KEY}}" } }, tools: { builtin: ["get_time"] }, trace: { events: true } })).toBe(true);
    expect(validate(Config.parse({}))).toBe(true);
  });

  it("refuses unknown keys and values out of range", () => {
    expect(validate({ loglevel: "DEBUG" })).toBe(false);
    expect(validate({ limits: { depth: 0 } })).toBe(false);
  });
});
