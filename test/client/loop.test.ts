import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { ApprovalAnswer, ApprovalRequest, HostTool, HostToolCall, Sidecar, SpawnOptions, StreamChunk } from "../../src/client/index.ts";
import { deferred } from "./fake-host.ts";
import { next, real, signal, temporaryFolder } from "./sidecars.ts";

/** These play scripts on the real sidecar: what a host sees of a turn with tools. */

const callOf = (name: string, args: object = {}, id = "call_1") => ({ events: [{ delta: "Let me see. " }, { toolCall: { id, name, arguments: args } }] });
const answered = { events: [{ delta: "Done." }] };
const user = (content: string) => ({ provider: "scripted", messages: [{ role: "user" as const, content }] });

async function scriptedHost(turns: unknown[], options: SpawnOptions = {}, config = ""): Promise<Sidecar> {
  const folder = temporaryFolder();
  writeFileSync(join(folder, "script.json"), JSON.stringify({ turns }));
  writeFileSync(join(folder, "config.yaml"), `providers: { scripted: { script: script.json } }\n${config}`);
  return real({ config: join(folder, "config.yaml"), restart: { baseDelayMs: 10 }, ...options });
}

const lookup = (run: HostTool["run"], more: Partial<HostTool> = {}): HostTool => ({
  name: "lookup",
  description: "Looks something up.",
  mode: "read",
  run,
  ...more,
});
const go = { ...user("go"), useTools: ["lookup"] };

/** What a tool runs that never settles, and the signal that it was given. */
function hanging() {
  const given = deferred<AbortSignal>();
  const never = (_args: unknown, call: HostToolCall) => {
    given.resolve(call.signal);
    return new Promise(() => {});
  };
  return { never, given };
}

describe("a turn with a tool of the host", () => {
  it("runs it, and gives call, result and answer in order", async () => {
    const sidecar = await scriptedHost([callOf("lookup", { word: "sidecar" }), answered]);
    const calls: [unknown, HostToolCall][] = [];
    const parameters = { type: "object", properties: { word: { type: "string" } }, required: ["word"] };
    await sidecar.tools.register(
      lookup(
        (args, from) => {
          calls.push([args, from]);
          return { meaning: "a car beside" };
        },
        { parameters },
      ),
    );
    const { sessionId } = await sidecar.sessions.create();
    const stream = sidecar.stream({ ...go, sessionId });
    const chunks: StreamChunk[] = [];
    for await (const chunk of stream) chunks.push(chunk);
    expect(chunks.map(({ seq }) => seq)).toEqual(chunks.map((_, index) => index));
    expect(chunks.flatMap(({ delta, toolCall, toolResult }) => [delta, toolCall?.id, toolResult?.id].filter((part) => part !== undefined))).toEqual([
      "Let me see. ",
      "call_1",
      "call_1",
      "Done.",
    ]);
    const streamId = await stream.streamId;
    expect(calls).toEqual([[{ word: "sidecar" }, { callId: "call_1", streamId, sessionId, timeoutMs: 60_000, signal: expect.any(AbortSignal) }]]);
    const { text, toolCalls, ok, finishReason } = await stream.result();
    expect({ text, ok, finishReason }).toEqual({ text: "Let me see. Done.", ok: true, finishReason: "stop" });
    expect(toolCalls).toMatchObject([
      { id: "call_1", name: "lookup", arguments: { word: "sidecar" }, result: { success: true, data: { meaning: "a car beside" } } },
    ]);
  });

  it("comes to the same when it is answered once", async () => {
    const sidecar = await scriptedHost([callOf("lookup"), answered]);
    await sidecar.tools.register(lookup(() => "found"));
    const { message, toolCalls, turns } = await sidecar.complete(go);
    expect({ message, turns }).toEqual({ message: { role: "assistant", content: "Done." }, turns: 2 });
    expect(toolCalls).toMatchObject([{ id: "call_1", result: { success: true, data: { value: "found" } } }]);
    const streamed = await sidecar.stream(go).result();
    const plain = (calls: typeof toolCalls) => calls.map(({ result, ...call }) => ({ ...call, success: result?.success, value: result?.data?.["value"] }));
    expect(plain(streamed.toolCalls)).toEqual(plain(toolCalls));
  });

  it("goes on when the tool throws: the model is told", async () => {
    const sidecar = await scriptedHost([callOf("lookup"), answered]);
    await sidecar.tools.register(lookup(() => Promise.reject(new Error("the window is closed"))));
    const { toolCalls, message } = await sidecar.complete(go);
    expect(toolCalls).toMatchObject([{ result: { success: false, kind: "tool_failed", error: "the window is closed" } }]);
    expect(message.content).toBe("Done.");
  });

  it("goes on when the tool never settles: its signal is aborted", async () => {
    const sidecar = await scriptedHost([callOf("lookup"), answered]);
    const { never, given } = hanging();
    await sidecar.tools.register(lookup(never, { timeoutMs: 2_000 }));
    const { toolCalls } = await sidecar.complete(go);
    expect(toolCalls).toMatchObject([{ result: { success: false, kind: "timeout" } }]);
    expect((await given.promise).aborted).toBe(true);
  });

  it.each(["stream", "complete"] as const)("that is cancelled by the host (%s) cancels the tool", async (how) => {
    const sidecar = await scriptedHost([callOf("lookup"), answered]);
    const { never, given } = hanging();
    await sidecar.tools.register(lookup(never));
    const controller = new AbortController();
    const options = { signal: controller.signal };
    const turn = how === "stream" ? sidecar.stream(go, options).done : sidecar.complete(go, options).catch((error: unknown) => error);
    const aborted = await given.promise;
    controller.abort();
    expect(await turn).toMatchObject(how === "stream" ? { ok: false, cancelled: true } : { kind: "cancelled" });
    await expect.poll(() => aborted.aborted).toBe(true);
    expect(aborted.reason).toMatchObject({ kind: "cancelled" });
  });

  it("works again after the sidecar was killed, and the call that was running is aborted", async () => {
    const sidecar = await scriptedHost([callOf("lookup"), answered]);
    const given = deferred<AbortSignal>();
    let runs = 0;
    const slowAtFirst = (_args: unknown, call: HostToolCall) => {
      given.resolve(call.signal);
      return ++runs === 1 ? new Promise(() => {}) : "found";
    };
    await sidecar.tools.register(lookup(slowAtFirst));
    const cut = sidecar.complete(go).catch((error: unknown) => error);
    const aborted = await given.promise;
    signal(sidecar.pid!, "SIGKILL");
    expect(await cut).toMatchObject({ kind: "transport_closed" });
    expect(aborted.reason).toMatchObject({ kind: "transport_closed" });
    const { toolCalls } = await sidecar.complete(go);
    expect(toolCalls).toMatchObject([{ result: { success: true } }]);
  });
});

describe("the tools of a host", () => {
  it("are listed, run by the host itself, and gone when they are taken back", async () => {
    const sidecar = await scriptedHost([]);
    const registration = await sidecar.tools.register(lookup(({ word }) => ({ success: true, message: `${String(word)}!` })));
    expect((await sidecar.tools.list()).map((tool) => tool.function)).toMatchObject([{ name: "lookup", description: "Looks something up." }]);
    expect(await sidecar.tools.invoke({ name: "lookup", arguments: { word: "hi" } })).toMatchObject({ success: true, message: "hi!" });
    await registration.unregister();
    expect(await sidecar.tools.list()).toEqual([]);
  });

  it("cannot take the name of a tool of the sidecar", async () => {
    const sidecar = await scriptedHost([], {}, "tools: { builtin: [get_time] }");
    await expect(sidecar.tools.register({ name: "get_time", run: () => "never" })).rejects.toMatchObject({ kind: "invalid_params" });
    expect(await sidecar.tools.invoke({ name: "get_time" })).toMatchObject({ success: true, data: { iso: expect.any(String) } });
  });
});

describe("the approval of a call", () => {
  const ask = `policy: { modes: { read: ask } }`;

  it("is asked for, and lets the call run", async () => {
    const asked: ApprovalRequest[] = [];
    const onApproval = (request: ApprovalRequest): ApprovalAnswer => {
      asked.push(request);
      return "allow";
    };
    const sidecar = await scriptedHost([callOf("lookup", { word: "x" }), answered], { onApproval }, ask);
    await sidecar.tools.register(lookup(() => "found"));
    const { toolCalls, streamId } = await sidecar.complete(go);
    expect(toolCalls).toMatchObject([{ result: { success: true } }]);
    expect(asked).toMatchObject([{ streamId, call: { id: "call_1", name: "lookup", arguments: { word: "x" } }, mode: "read", timeoutMs: 60_000 }]);
  });

  it.each<[string, SpawnOptions["onApproval"], unknown]>([
    ["the host says no", () => ({ decision: "deny", reason: "not today" }), expect.stringContaining("not today")],
    ["the handler throws", () => Promise.reject(new Error("the window is gone")), expect.any(String)],
    ["nobody can be asked", undefined, expect.any(String)],
  ])("is denied when %s, and the turn goes on", async (_why, onApproval, error) => {
    const sidecar = await scriptedHost([callOf("lookup"), answered], { onApproval }, ask);
    let runs = 0;
    await sidecar.tools.register(lookup(() => ++runs));
    const { toolCalls, message } = await sidecar.complete(go);
    expect(toolCalls).toMatchObject([{ result: { success: false, kind: "policy_denied", error } }]);
    expect(message.content).toBe("Done.");
    expect(runs).toBe(0);
  });

  it("that was given for good is listed, and can be taken back", async () => {
    let asked = 0;
    const onApproval = (): ApprovalAnswer => {
      asked++;
      return "allow_always";
    };
    const sidecar = await scriptedHost([callOf("lookup"), answered], { onApproval }, ask);
    await sidecar.tools.register(lookup(() => "found"));
    for (let turn = 0; turn < 2; turn++) await sidecar.complete(go);
    expect(asked).toBe(1);
    expect(await sidecar.tools.grants()).toMatchObject([{ tool: "lookup", createdAt: expect.any(String) }]);
    await sidecar.tools.revoke({ tool: "lookup" });
    expect(await sidecar.tools.grants()).toEqual([]);
    await sidecar.complete(go);
    expect(asked).toBe(2);
  });
});

describe("a running turn", () => {
  it("takes what the host adds, and its status is told", async () => {
    const phases: string[] = [];
    const sidecar = await scriptedHost([callOf("lookup"), answered], { onStatus: ({ phase }) => phases.push(phase) });
    const [started, finish] = [deferred<void>(), deferred<string>()];
    await sidecar.tools.register(
      lookup(() => {
        started.resolve();
        return finish.promise;
      }),
    );
    const { sessionId } = await sidecar.sessions.create();
    const stream = sidecar.stream({ ...go, sessionId });
    await started.promise;
    await stream.steer("in French, please");
    finish.resolve("found");
    expect(await stream.text()).toBe("Let me see. Done.");
    const { messages } = await sidecar.sessions.get(sessionId);
    expect(messages.map(({ role }) => role)).toEqual(["user", "assistant", "tool", "user", "assistant"]);
    expect(messages[3]?.content).toBe("in French, please");
    expect(phases).toEqual(expect.arrayContaining(["awaiting_first_token", "tool"]));
    await expect(stream.steer("too late")).rejects.toMatchObject({ data: { code: "stream_not_found" } });
  });

  it("that is asked for twice with one key is one turn, to both", async () => {
    const sidecar = await scriptedHost([callOf("lookup"), answered]);
    const [started, finish] = [deferred<void>(), deferred<string>()];
    let runs = 0;
    await sidecar.tools.register(
      lookup(() => {
        runs++;
        started.resolve();
        return finish.promise;
      }),
    );
    const keyed = { ...go, idempotencyKey: "key-1" };
    const one = sidecar.stream(keyed);
    await started.promise;
    const two = sidecar.stream(keyed);
    expect(await two.streamId).toBe(await one.streamId);
    finish.resolve("found");
    const results = await Promise.all([one.result(), two.result()]);
    expect(results[1]).toEqual(results[0]);
    expect(results[0]).toMatchObject({ text: "Let me see. Done.", toolCalls: [{ result: { success: true } }] });
    expect(await sidecar.stream(keyed).result()).toMatchObject({ text: "Let me see. Done.", toolCalls: [{ result: { success: true } }] });
    expect(runs).toBe(1);
  });

  it("that fails when it is answered once says why", async () => {
    const failing = { events: [{ delta: "par" }, { error: { kind: "upstream_rejected", message: "Model is gone", status: 404 } }] };
    const sidecar = await scriptedHost([failing]);
    await expect(sidecar.complete(user("go"))).rejects.toMatchObject({
      kind: "turn_failed",
      data: { failure: { kind: "upstream_rejected" }, message: { role: "assistant", content: "par" }, traceId: expect.any(String) },
    });
  });
});

describe("what goes on in the sidecar", () => {
  it("can be forked: a session with its turns", async () => {
    const sidecar = await scriptedHost([answered]);
    const { sessionId } = await sidecar.sessions.create();
    await sidecar.complete({ ...user("go"), sessionId });
    const fork = await sidecar.sessions.fork(sessionId, { newSessionId: "sess_copy" });
    expect(fork.sessionId).toBe("sess_copy");
    expect((await sidecar.sessions.get("sess_copy")).messages.map(({ content }) => content)).toEqual(["go", "Done."]);
  });

  it("can be compressed: a session with nothing in it stays as it is", async () => {
    const sidecar = await scriptedHost([answered]);
    const { sessionId } = await sidecar.sessions.create();
    const compressed = await sidecar.sessions.compress(sessionId, { provider: "scripted" });
    expect(compressed).toMatchObject({ summary: "", summarizedMessages: 0 });
  });

  it("is counted against budgets, which can be set back", async () => {
    const sidecar = await scriptedHost([callOf("lookup"), answered], {}, "budgets: { process: { maxSteps: 100 } }");
    await sidecar.tools.register(lookup(() => "found"));
    const { sessionId } = await sidecar.sessions.create();
    await sidecar.complete({ ...go, sessionId });
    const { process: whole, session } = await sidecar.budget.get({ sessionId });
    expect(session?.used).toMatchObject({ steps: 2, toolCalls: 1 });
    expect(whole).toMatchObject({ used: { steps: 2, toolCalls: 1 }, limits: { maxSteps: 100 } });
    expect(await sidecar.budget.reset({ sessionId })).toBeNull();
    expect((await sidecar.budget.get({ sessionId })).session?.used).toMatchObject({ steps: 0, toolCalls: 0 });
    expect((await sidecar.budget.get()).session).toBeUndefined();
  });

  it("shows its children, of which there are none at first", async () => {
    const sidecar = await scriptedHost([]);
    expect((await sidecar.children()).children).toEqual([]);
  });
});

describe("a host that goes away", () => {
  it("stops its tools with its sidecar", async () => {
    const sidecar = await scriptedHost([callOf("lookup"), answered]);
    const { never, given } = hanging();
    await sidecar.tools.register(lookup(never));
    const stream = sidecar.stream(go);
    const aborted = await given.promise;
    const exited = next(sidecar, "exit");
    expect((await sidecar.stop()).how).toBe("shutdown");
    await exited;
    expect(aborted.aborted).toBe(true);
    expect(await stream.done).toMatchObject({ ok: false, cancelled: true });
  });
});
