import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { at, descriptor, startModel, stepOf, story } from "../support/agent.ts";
import { startSidecar, temporaryFolder, type TestSidecar } from "../support/sidecar.ts";

const config = (folder: string, more: string) => {
  writeFileSync(join(folder, "config.yaml"), `storagePath: ./sidecar.db\n${more}\n`);
  return { args: ["--config", join(folder, "config.yaml")] };
};

/** Plays a turn; its terminal. */
async function turn(sidecar: TestSidecar, params: Record<string, unknown>) {
  const streamId = await sidecar.stream(params);
  return { streamId, ...(await sidecar.terminal(streamId)) };
}

/** Each answer counts as 100 tokens. */
const hundred = { prompt_tokens: 60, completion_tokens: 40, total_tokens: 100 };

describe("a budget", () => {
  it("is exhausted when more than it was used, not when it is used up", async () => {
    const model = await startModel(["Hi"], hundred);
    const sidecar = await startSidecar();
    expect((await turn(sidecar, at(model, { budget: { maxTokens: 100 } }))).params).toMatchObject({ ok: true });
    const over = await turn(sidecar, at(model, { budget: { maxTokens: 99 } }));
    expect(over).toMatchObject({ method: "stream.error", params: { kind: "budget_exhausted", retryable: false } });
    expect(over.params?.["message"]).toMatch(/turn.*maxTokens.*99.*100.*1 over/);
    expect(sidecar.text(over.streamId)).toBe("Hi");
    const trace = await sidecar.call<{ trace: object; events: object[] }>("trace.fetch", { traceId: over.params?.["traceId"] });
    expect(trace.trace).toMatchObject({ status: "budget_exhausted", hadError: true });
    expect(trace.events).toContainEqual(expect.objectContaining({ kind: "budget" }));
    expect((await sidecar.request("agent.chat.complete", at(model, { budget: { maxTokens: 99 } }))).error).toMatchObject({
      code: -32001,
      kind: "budget_exhausted",
      data: { failure: { kind: "budget_exhausted" }, message: { content: "Hi" } },
    });
  });

  it("counts model calls and tool calls, and runs none beyond them", async () => {
    const model = await startModel((request) => [{ id: `c${stepOf(request)}`, name: "get_a", arguments: { n: stepOf(request) } }]);
    const sidecar = await startSidecar();
    sidecar.onRequest(() => "A");
    await sidecar.call("tool.register", { tools: [descriptor("get_a")] });
    const steps = await turn(sidecar, at(model, { useTools: ["*"], budget: { maxSteps: 3 } }));
    expect(steps.params).toMatchObject({ kind: "budget_exhausted", message: expect.stringMatching(/maxSteps/) });
    expect(model.requests).toHaveLength(3);
    const calls = await turn(sidecar, at(model, { useTools: ["*"], budget: { maxToolCalls: 2 } }));
    expect(calls.params).toMatchObject({ kind: "budget_exhausted", message: expect.stringMatching(/maxToolCalls/) });
    expect(story(sidecar, calls.streamId).filter((line) => line === "result get_a ok")).toHaveLength(2);
  });

  it("of wall time ends a turn whose model says nothing", async () => {
    const model = await startModel(() => undefined);
    const sidecar = await startSidecar();
    const late = await turn(sidecar, at(model, { budget: { maxWallMs: 100 } }));
    expect(late.params).toMatchObject({ kind: "budget_exhausted", message: expect.stringMatching(/maxWallMs/) });
    await model.requests[0]?.closed;
  });

  it("that is shared is never passed by fifty turns at once", async () => {
    const model = await startModel(["Hi"], hundred);
    const sidecar = await startSidecar(config(temporaryFolder(), "budgets: { process: { maxTokens: 1050 } }"));
    const turns = await Promise.all(Array.from({ length: 50 }, () => turn(sidecar, at(model, { maxTokens: 40 }))));
    const done = turns.filter(({ method }) => method === "stream.done");
    const refused = turns.filter(({ method }) => method === "stream.error");
    expect(refused.every(({ params }) => params?.["kind"] === "budget_exhausted")).toBe(true);
    const { process: state } = await sidecar.call<{ process: { used: { tokens: number } } }>("agent.budget.get");
    expect(state.used.tokens).toBe(model.requests.length * 100);
    // The server reports more than its clamped call may have said in the end; beyond that one call nothing is begun.
    expect(done.length).toBeGreaterThanOrEqual(10);
    expect(done.length).toBeLessThanOrEqual(10);
    expect(model.requests.length).toBeLessThanOrEqual(11);
  });

  it("of a session is kept across a kill, and can be reset", async () => {
    const folder = temporaryFolder();
    const model = await startModel(["Hi"], hundred);
    const first = await startSidecar(config(folder, "budgets: { session: { maxTokens: 150 } }"));
    const { sessionId } = await first.call("agent.session.create");
    expect((await turn(first, at(model, { sessionId }))).params).toMatchObject({ ok: true });
    first.child.kill("SIGKILL");
    await first.exit;

    const second = await startSidecar(config(folder, "budgets: { session: { maxTokens: 150 } }"));
    expect(await second.call("agent.budget.get", { sessionId })).toMatchObject({ session: { used: { tokens: 100, steps: 1 }, limits: { maxTokens: 150 } } });
    expect((await turn(second, at(model, { sessionId }))).params).toMatchObject({
      kind: "budget_exhausted",
      message: expect.stringMatching(/session.*50 over/),
    });
    expect((await turn(second, at(model, { sessionId }))).params).toMatchObject({ kind: "budget_exhausted" });
    expect(model.requests).toHaveLength(2);
    await second.call("agent.budget.reset", { sessionId });
    expect((await turn(second, at(model, { sessionId }))).params).toMatchObject({ ok: true });
    expect((await second.request("agent.budget.get", { sessionId: "nobody" })).error).toMatchObject({ data: { code: "session_not_found" } });
  });

  it("of cost needs a price, and cost is told only where there is one", async () => {
    const model = await startModel(["Hi"], { prompt_tokens: 1_000_000, completion_tokens: 500_000, total_tokens: 1_500_000 });
    const sidecar = await startSidecar(config(temporaryFolder(), "prices: { test-model: { inputPerMTok: 1, outputPerMTok: 4 } }"));
    expect((await turn(sidecar, at(model))).params).toMatchObject({ ok: true, costUsd: 3 });
    expect((await turn(sidecar, at(model, { budget: { maxCostUsd: 2.5 } }))).params).toMatchObject({
      kind: "budget_exhausted",
      message: expect.stringMatching(/maxCostUsd/),
    });
    const { error } = await sidecar.request("agent.chat.stream", at(model, { model: "nobody-knows", budget: { maxCostUsd: 1 } }));
    expect(error).toMatchObject({ code: -32602, data: { code: "price_unknown" } });
    expect((await turn(sidecar, at(model, { model: "nobody-knows" }))).params).not.toHaveProperty("costUsd");
    await sidecar.call("config.set", { budgets: { turn: { maxCostUsd: 1 } } });
    expect((await turn(sidecar, { provider: "echo", messages: [{ role: "user", content: "free" }] })).params).toMatchObject({ ok: true });
  });
});
