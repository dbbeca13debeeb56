import { describe, expect, it, onTestFinished } from "vitest";
import { defaults } from "../../../src/contract/defaults.ts";
import { createMetrics } from "../../../src/listeners/http/metrics/metrics.ts";
import { startApp } from "../../runtime/app.ts";
import { hangingTurn, scriptedConfig } from "../../support/script.ts";
import { Exposition } from "./exposition.ts";

const scripted = { provider: "scripted", model: "a-model" };
const go = [{ role: "user" as const, content: "Go" }];

/** An app with the `scripted` provider and metrics connected to it, without any listener. */
async function start(turns: readonly unknown[], more = "") {
  const [, file = ""] = scriptedConfig(turns, more).args;
  const { app, host } = await startApp({ file });
  const metrics = createMetrics({ sources: { levels: () => app.levels } });
  app.meter.connect(metrics.meter);
  onTestFinished(() => metrics.close());
  return { ask: host, read: async () => new Exposition((await metrics.text()).body) };
}

const session = (sessionId: string) => ({ sessionId, userId: "u", chatId: "c", currentStage: "s", scenario: "x" });

describe("a turn", () => {
  it("moves the figures of its request, its model calls, its tools and the store", async () => {
    const asks = [
      { toolCall: { name: "get_time" } },
      { toolCall: { name: "get_lost" } },
      { toolCall: { name: "list_directory", arguments: { path: "." } } },
      { usage: { promptTokens: 10, completionTokens: 3 } },
      { finishReason: "tool_calls" },
    ];
    const says = [
      { usage: { promptTokens: 15, completionTokens: 0 } },
      { delta: "Late." },
      { usage: { promptTokens: 15, completionTokens: 4 } },
      { finishReason: "stop" },
    ];
    const more = "tools: { builtin: [get_time, list_directory], roots: [.] }\npolicy: { tools: { list_directory: deny } }\n";
    const { ask, read } = await start([{ events: asks }, { events: says }], more);
    await ask("agent.session.create", session("s1"));
    await ask("agent.chat.complete", { ...scripted, sessionId: "s1", messages: go, useTools: ["*"] });

    const text = await read();
    expect(text.value("steerable_sidecar_requests_total", { method: "agent.chat.complete", outcome: "ok" })).toBe(1);
    expect(text.value("steerable_sidecar_request_duration_seconds_count", { method: "agent.chat.complete" })).toBe(1);
    const model = { provider: "scripted", model: "a-model" };
    // What a server counts while it speaks is counted once, as it was at the end.
    expect(text.value("steerable_sidecar_tokens_total", { ...model, kind: "prompt" })).toBe(25);
    expect(text.value("steerable_sidecar_tokens_total", { ...model, kind: "completion" })).toBe(7);
    expect(text.value("steerable_sidecar_time_to_first_token_seconds_count", model)).toBe(2);
    const calls = text.samples("steerable_sidecar_tool_calls_total").map(({ labels: { tool, outcome }, value }) => `${tool} ${outcome} ${value}`);
    expect(calls.toSorted()).toEqual(["get_time ok 1", "list_directory policy_denied 1", "unknown invalid_params 1"]);
    expect(text.value("steerable_sidecar_tool_duration_seconds_count", { tool: "get_time" })).toBe(1);
    for (const operation of ["upsertSession", "beginTurn", "history", "endTurn"])
      expect(text.value("steerable_sidecar_store_duration_seconds_count", { operation, outcome: "ok" }), operation).toBe(1);
    expect(text.value("crp_sidecar_active_sessions")).toBe(1);
    expect(text.value("steerable_sidecar_streams_live")).toBe(0);
  });

  it("counts the tokens of every try, and the first token of those that have spoken", async () => {
    const failure = { error: { kind: "upstream_failed", message: "busy", retryAfterMs: 1 } };
    const { ask, read } = await start([{ events: [{ usage: { promptTokens: 10, completionTokens: 0 } }, failure] }]);
    await expect(ask("agent.chat.complete", { ...scripted, messages: go })).rejects.toThrow("busy");
    const text = await read();
    const tried = text.value("steerable_sidecar_tokens_total", { provider: "scripted", model: "a-model", kind: "prompt" });
    expect(tried).toBe(10 * defaults.provider.retry.attempts);
    expect(text.samples("steerable_sidecar_time_to_first_token_seconds")).toEqual([]);
    expect(text.value("steerable_sidecar_requests_total", { method: "agent.chat.complete", outcome: "turn_failed" })).toBe(1);
  });

  it("is seen while it runs, and while it waits for the one before it", async () => {
    const { ask, read } = await start([hangingTurn]);
    await ask("agent.session.create", session("s1"));
    await ask("agent.chat.stream", { ...scripted, sessionId: "s1", streamId: "one", messages: go });
    await ask("agent.chat.stream", { ...scripted, sessionId: "s1", streamId: "two", messages: go });
    const levels = async () => {
      const text = await read();
      return [text.value("steerable_sidecar_streams_live"), text.value("steerable_sidecar_queue_depth")];
    };
    const become = (wanted: number[]) => expect.poll(levels, { timeout: 20_000 }).toEqual(wanted);
    await become([2, 1]);
    await ask("agent.chat.cancel", { streamId: "one" });
    await become([1, 0]);
    await ask("agent.chat.cancel", { streamId: "two" });
    await become([0, 0]);
  });

  it("that cannot be begun counts under the name of its error", async () => {
    const { ask, read } = await start([]);
    await expect(ask("agent.chat.stream", { ...scripted, sessionId: "nobody", messages: go })).rejects.toThrow("No such session");
    await expect(ask("agent.chat.stream", { ...scripted, idleTimeoutMs: -1, messages: go })).rejects.toThrow();
    const text = await read();
    expect(text.value("steerable_sidecar_requests_total", { method: "agent.chat.stream", outcome: "session_not_found" })).toBe(1);
    expect(text.value("steerable_sidecar_requests_total", { method: "agent.chat.stream", outcome: "invalid_params" })).toBe(1);
  });
});

describe("a tool that a host runs itself", () => {
  it("is counted as those of a model are", async () => {
    const { ask, read } = await start([], "tools: { builtin: [get_time, list_directory], roots: [.] }\npolicy: { tools: { list_directory: deny } }\n");
    await ask("tool.invoke", { name: "get_time", arguments: {} });
    await ask("tool.invoke", { name: "get_time", arguments: { timeZone: 7, nonsense: [] } });
    await ask("tool.invoke", { name: "get_lost", arguments: {} });
    await expect(ask("tool.invoke", { name: "list_directory", arguments: { path: "." } })).rejects.toThrow("policy");
    const calls = (await read()).samples("steerable_sidecar_tool_calls_total").map(({ labels: { tool, outcome }, value }) => `${tool} ${outcome} ${value}`);
    expect(calls.toSorted()).toEqual(["get_time invalid_params 1", "get_time ok 1", "list_directory policy_denied 1", "unknown invalid_params 1"]);
  });
});
