import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { at, descriptor, messagesOf, startModel, stepOf, story } from "../support/agent.ts";
import { NO_ANSWER, startSidecar, temporaryFolder, type TestSidecar } from "../support/sidecar.ts";

type Params = Record<string, unknown>;

/** A host with a tool `order_pizza` (mode `other`, so the policy asks) that answers approvals as it is told. */
async function withApprovals(approve: ((params: Params) => unknown) | undefined, options: { args?: string[]; policy?: string; folder?: string } = {}) {
  const folder = options.folder ?? temporaryFolder();
  writeFileSync(join(folder, "config.yaml"), `storagePath: ./sidecar.db\n${options.policy ?? ""}`);
  const sidecar = await startSidecar({ args: ["--config", join(folder, "config.yaml")] });
  const ran: Params[] = [];
  sidecar.onRequest((method, params) => {
    if (method === "approval.request" && approve !== undefined) return approve(params);
    if (method !== "tool.invoke") return NO_ANSWER;
    ran.push(params);
    return "done";
  });
  if (approve !== undefined) await sidecar.call("system.initialize", { clientInfo: { name: "test" }, capabilities: { approvals: true } });
  await sidecar.call("tool.register", { tools: ["order_pizza", "get_menu", "delete_order"].map((name) => descriptor(name)) });
  return { sidecar, ran, folder };
}

/** Plays one turn in which the model calls the tool; what the model was told of it. */
async function turn(sidecar: TestSidecar, name = "order_pizza", args: object = {}, more: Params = {}) {
  const model = await startModel((request) => (stepOf(request) % 2 === 0 ? [{ id: "c1", name, arguments: args }] : "ok"));
  const streamId = await sidecar.stream(at(model, { useTools: ["*"], ...more }));
  await sidecar.terminal(streamId);
  const content = messagesOf(model.requests.at(-1)!).findLast(({ role }) => role === "tool")?.content as string;
  return { streamId, story: story(sidecar, streamId), content, traceId: (await sidecar.terminal(streamId)).params?.["traceId"] };
}

describe("the policy", () => {
  it("lets readers run, and asks about what it knows nothing of", async () => {
    const { sidecar, ran } = await withApprovals(() => ({ decision: "allow" }));
    expect((await turn(sidecar, "get_menu")).story).toContain("result get_menu ok");
    expect(sidecar.requests("approval.request")).toHaveLength(0);
    const asked = await turn(sidecar, "order_pizza", { size: "L" });
    expect(asked.story).toContain("result order_pizza ok");
    expect(sidecar.requests("approval.request")).toMatchObject([
      {
        params: {
          streamId: asked.streamId,
          call: { id: "c1", name: "order_pizza", arguments: { size: "L" } },
          mode: "other",
          reason: 'policy.modes.other is "ask"',
          timeoutMs: 60_000,
        },
      },
    ]);
    expect(ran).toHaveLength(2);
  });

  it("denies where nobody can be asked, and tells the model and the trace", async () => {
    const { sidecar, ran } = await withApprovals(undefined);
    const denied = await turn(sidecar);
    expect(denied.story).toEqual(["call order_pizza", "result order_pizza policy_denied", "text ok", "finish stop", "done"]);
    expect(JSON.parse(denied.content)).toMatchObject({ success: false, kind: "policy_denied", error: expect.stringContaining("nobody can be asked") });
    expect(ran).toEqual([]);
    const { events } = await sidecar.call<{ events: object[] }>("trace.fetch", { traceId: denied.traceId });
    expect(events).toContainEqual(expect.objectContaining({ kind: "policy", name: "policy.denied", status: "warning" }));
  });

  it.each([
    ["no answer in time", 50, () => NO_ANSWER, "nobody answered within 50 ms"],
    ["an error", 60_000, () => Promise.reject(new Error("dialog closed")), "dialog closed"],
    ["an answer that fits nothing", 60_000, () => ({ decision: "maybe" }), "does not fit"],
    ["a denial with a reason", 60_000, () => ({ decision: "deny", reason: "too expensive" }), "Denied: too expensive"],
  ])("denies on %s", async (_, approvalTimeoutMs, approve, told) => {
    const { sidecar, ran } = await withApprovals(approve, { policy: `policy: { approvalTimeoutMs: ${approvalTimeoutMs} }\n` });
    const denied = await turn(sidecar);
    expect(denied.story).toContain("result order_pizza policy_denied");
    expect(denied.content).toContain(told);
    expect(ran).toEqual([]);
  });

  it("puts a rule for a tool before the rule for its mode, and a name before a pattern", async () => {
    const { sidecar } = await withApprovals(() => ({ decision: "allow" }), {
      policy: 'policy: { modes: { read: deny }, tools: { "order_*": deny, order_pizza: allow, "*": ask } }\n',
    });
    expect((await turn(sidecar, "order_pizza")).story).toContain("result order_pizza ok");
    expect(sidecar.requests("approval.request")).toHaveLength(0);
    expect((await turn(sidecar, "get_menu")).story).toContain("result get_menu ok");
    expect(sidecar.requests("approval.request")).toHaveLength(1);
    await sidecar.call("config.set", { policy: { tools: { "*": "deny" } } });
    expect((await turn(sidecar, "get_menu")).story).toContain("result get_menu policy_denied");
    expect((await sidecar.request("tool.invoke", { name: "get_menu" })).error).toMatchObject({ code: -32002, data: { tool: "get_menu", mode: "read" } });
  });

  it("holds a direct call of a destructive tool back without consent", async () => {
    const { sidecar, ran } = await withApprovals(undefined);
    const { error } = await sidecar.request("tool.invoke", { name: "delete_order" });
    expect(error).toMatchObject({ code: -32002, kind: "policy_denied", data: { tool: "delete_order", mode: "destructive" } });
    expect(ran).toEqual([]);
    expect(await sidecar.call("tool.invoke", { name: "delete_order", consentGranted: true })).toMatchObject({ success: true });
    expect(await sidecar.call("tool.invoke", { name: "order_pizza" })).toMatchObject({ success: true });
  });
});

describe("an approval", () => {
  it("allow_session holds in its session only", async () => {
    const { sidecar } = await withApprovals(() => ({ decision: "allow_session" }));
    const [one, two] = await Promise.all([sidecar.call("agent.session.create"), sidecar.call("agent.session.create")]);
    for (const sessionId of [one, one, two, two].map(({ sessionId: id }) => id)) await turn(sidecar, "order_pizza", {}, { sessionId });
    expect(sidecar.requests("approval.request").map(({ params }) => params?.["sessionId"])).toEqual([one["sessionId"], two["sessionId"]]);
    // Outside a session it holds for the turn.
    await turn(sidecar);
    await turn(sidecar);
    expect(sidecar.requests("approval.request")).toHaveLength(4);
  });

  it("allow_always holds after a restart, until it is revoked", async () => {
    const first = await withApprovals(() => ({ decision: "allow_always" }));
    await turn(first.sidecar);
    expect(await first.sidecar.call("tool.grants")).toEqual([{ tool: "order_pizza", createdAt: expect.any(String) }]);
    first.sidecar.child.kill("SIGKILL");
    await first.sidecar.exit;

    const { sidecar } = await withApprovals(() => ({ decision: "deny" }), { folder: first.folder });
    expect((await turn(sidecar)).story).toContain("result order_pizza ok");
    expect(sidecar.requests("approval.request")).toHaveLength(0);
    await sidecar.call("tool.revoke", { tool: "order_pizza" });
    expect(await sidecar.call("tool.grants")).toEqual([]);
    expect((await turn(sidecar)).story).toContain("result order_pizza policy_denied");
  });

  it("of a destructive call covers exactly that call", async () => {
    const { sidecar } = await withApprovals(() => ({ decision: "allow_always" }));
    await turn(sidecar, "delete_order", { id: 1 });
    await turn(sidecar, "delete_order", { id: 1 });
    expect(sidecar.requests("approval.request")).toHaveLength(1);
    await turn(sidecar, "delete_order", { id: 2 });
    expect(sidecar.requests("approval.request")).toHaveLength(2);
    expect(await sidecar.call("tool.grants")).toMatchObject([{ tool: "delete_order", call: '{"id":1}' }, { call: '{"id":2}' }]);
  });

  it("that nobody has answered yet is taken back when the turn is cancelled", async () => {
    const { sidecar, ran } = await withApprovals(() => NO_ANSWER);
    const model = await startModel([[{ id: "c1", name: "order_pizza" }], "never"]);
    const streamId = await sidecar.stream(at(model, { useTools: ["*"] }));
    const asked = await sidecar.frame(({ method }) => method === "approval.request", "the question");
    await sidecar.call("agent.chat.cancel", { streamId });
    expect((await sidecar.terminal(streamId)).params).toMatchObject({ cancelled: true });
    expect(await sidecar.notification("$/cancelRequest")).toMatchObject({ params: { id: asked.id } });
    expect(ran).toEqual([]);
  });
});

describe("an answer to approval.request", () => {
  it("is no leave when the rules were changed to deny while somebody thought about it", async () => {
    const { sidecar, ran } = await withApprovals(async () => {
      await sidecar.call("config.set", { policy: { tools: { order_pizza: "deny" } } });
      return { decision: "allow" };
    });
    const denied = await turn(sidecar);
    expect(denied.content).toContain('policy.tools.order_pizza is \\"deny\\"');
    expect(ran).toEqual([]);
  });

  it("may give a long reason, of which the model is told the beginning", async () => {
    const { sidecar } = await withApprovals(() => ({ decision: "deny", reason: `because ${"x".repeat(5_000)}` }));
    const { content } = await turn(sidecar);
    expect(content).toContain("Denied: because xxx");
    expect(content.length).toBeLessThan(2_300);
  });
});

describe("system.initialize", () => {
  it("is optional, can be repeated, and answers with what holds", async () => {
    const sidecar = await startSidecar();
    expect(await sidecar.call("system.initialize", { clientInfo: { name: "a", version: "1" } })).toMatchObject({
      name: "steerable-sidecar",
      protocolVersion: "0.1.0",
      capabilities: { hostTools: false, approvals: false, status: false },
    });
    const announced = { hostTools: true, approvals: true, status: true };
    expect(await sidecar.call("system.initialize", { clientInfo: { name: "a" }, capabilities: announced })).toMatchObject({ capabilities: announced });
    expect((await sidecar.request("system.initialize", {})).error).toMatchObject({ code: -32602 });
  });
});
