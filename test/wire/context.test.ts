import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { at, descriptor, messagesOf, type SentMessage, startModel, stepOf } from "../support/agent.ts";
import type { SeenRequest } from "../support/model-server.ts";
import { startSidecar, temporaryFolder, type TestSidecar } from "../support/sidecar.ts";
import { until } from "../support/until.ts";

const config = (folder: string, more = "") => {
  writeFileSync(join(folder, "config.yaml"), `storagePath: ./sidecar.db\n${more}\n`);
  return { args: ["--config", join(folder, "config.yaml")] };
};

const asksForSummary = (request: SeenRequest) => String(messagesOf(request)[0]?.content).includes("write the summary");

async function turn(sidecar: TestSidecar, params: Record<string, unknown>) {
  const streamId = await sidecar.stream(params);
  const terminal = await sidecar.terminal(streamId);
  expect(terminal.params).toMatchObject({ ok: true });
  return streamId;
}

const say = (content: string) => ({ messages: [{ role: "user", content }] });
const texts = (messages: readonly SentMessage[]) => messages.map(({ role, content }) => `${role}: ${String(content)}`);

/** Every result has its call in front of it, and every call its result. */
function expectWhole(messages: readonly SentMessage[]): void {
  let open: string[] = [];
  for (const { role, tool_calls: calls, tool_call_id: id } of messages) {
    if (role === "tool") {
      expect(open).toContain(id);
      open = open.filter((each) => each !== id);
    } else {
      expect(open).toEqual([]);
      open = (calls ?? []).map((call) => call.id);
    }
  }
  expect(open).toEqual([]);
}

describe("agent.session.compress", () => {
  it("has the model summarize what is older, keeps the originals, and sends the summary from then on, also after a restart", async () => {
    const folder = temporaryFolder();
    const model = await startModel((request) => (asksForSummary(request) ? "They spoke of one and two." : `answer ${messagesOf(request).length}`));
    const first = await startSidecar(config(folder));
    const { sessionId } = await first.call("agent.session.create");
    await turn(
      first,
      at(model, {
        sessionId,
        messages: [
          { role: "system", content: "Be brief" },
          { role: "user", content: "one" },
        ],
      }),
    );
    for (const word of [`two ${"and more ".repeat(50)}`, "three", "four"]) await turn(first, at(model, { sessionId, ...say(word) }));
    const before = await first.call("agent.session.get", { sessionId });

    const { messages: _, ...how } = at(model);
    const result = await first.call("agent.session.compress", { ...how, sessionId, instructions: "Mind the numbers." });
    expect(result).toMatchObject({
      summary: "They spoke of one and two.",
      summarizedMessages: 5,
      traceId: expect.stringMatching(/^tr_/),
      usage: { totalTokens: 15 },
    });
    expect(result["tokensAfter"]).toBeLessThan(result["tokensBefore"] as number);
    const asked = messagesOf(model.requests.at(-1)!);
    expect(asked.map(({ role }) => role)).toEqual(["system", "user"]);
    expect(asked[0]?.content).toContain("Mind the numbers.");
    expect(asked[1]?.content).toContain("one");
    expect(asked[1]?.content).not.toContain("three");
    expect(await first.call("agent.session.get", { sessionId })).toMatchObject({ messages: before["messages"] });
    first.child.kill("SIGKILL");
    await first.exit;

    const second = await startSidecar(config(folder));
    await turn(second, at(model, { sessionId, ...say("five") }));
    expect(texts(messagesOf(model.requests.at(-1)!))).toEqual([
      "system: Be brief",
      expect.stringMatching(/^user: .*\n\nThey spoke of one and two\.$/s),
      "user: three",
      "assistant: answer 6",
      "user: four",
      "assistant: answer 8",
      "user: five",
    ]);
    // Again: the summary before is part of what is summarized.
    const again = await second.call("agent.session.compress", { ...how, sessionId, keepTurns: 0 });
    expect(again).toMatchObject({ summarizedMessages: 11 });
    expect(messagesOf(model.requests.at(-1)!)[1]?.content).toContain("They spoke of one and two.");
  });

  it("has nothing to do in a short session, and says what is wrong with others", async () => {
    const model = await startModel((request, answer) =>
      asksForSummary(request) ? answer.respond(400, { error: { message: "no" } }).then(() => undefined) : "ok",
    );
    const sidecar = await startSidecar();
    const { sessionId } = await sidecar.call("agent.session.create");
    const { messages: _, ...how } = at(model);
    expect(await sidecar.call("agent.session.compress", { ...how, sessionId })).toMatchObject({ summary: "", summarizedMessages: 0 });
    for (const word of ["one", "two", "three"]) await turn(sidecar, at(model, { sessionId, ...say(word) }));
    const { error } = await sidecar.request("agent.session.compress", { ...how, sessionId });
    expect(error).toMatchObject({ kind: "turn_failed", data: { failure: { kind: "upstream_rejected", status: 400 }, traceId: expect.anything() } });
    expect((await sidecar.request("agent.session.compress", { ...how, sessionId: "nobody" })).error).toMatchObject({ data: { code: "session_not_found" } });
    // What failed has changed nothing.
    await turn(sidecar, at(model, { sessionId, ...say("four") }));
    expect(messagesOf(model.requests.at(-1)!)).toHaveLength(7);
  });

  it("waits for the turn before it, and the turn after it waits for the summary", async () => {
    let open: () => void = () => undefined;
    const opened = new Promise<void>((resolve) => {
      open = resolve;
    });
    const model = await startModel(async (request) => {
      if (asksForSummary(request)) return "Summary.";
      if (messagesOf(request).at(-1)?.content === "slow") await opened;
      return "ok";
    });
    const sidecar = await startSidecar();
    const { sessionId } = await sidecar.call("agent.session.create");
    const { messages: _, ...how } = at(model);
    await turn(sidecar, at(model, { sessionId, ...say("one") }));
    await sidecar.stream(at(model, { sessionId, ...say("slow") }));
    const compressing = sidecar.call("agent.session.compress", { ...how, sessionId, keepTurns: 0 });
    const after = sidecar.stream(at(model, { sessionId, ...say("after") }));
    await until(() => model.requests.length >= 2, "the slow turn");
    open();
    expect(await compressing).toMatchObject({ summarizedMessages: 4 });
    await sidecar.terminal(await after);
    expect(texts(messagesOf(model.requests.at(-1)!))).toEqual([expect.stringContaining("Summary."), "user: after"]);
  });
});

describe("automatic compaction", () => {
  const windows = "compaction: { share: 0.5, keepTurns: 1, windows: { test-model: 2000 } }";
  const long = "word ".repeat(500);

  it("happens when the history passes its share of the window, and never tears a call from its result", async () => {
    const model = await startModel((request) => {
      if (asksForSummary(request)) return "Short.";
      return messagesOf(request).at(-1)?.role === "user" ? [{ id: `c${model.requests.length}`, name: "get_page" }] : "read";
    });
    const sidecar = await startSidecar(config(temporaryFolder(), windows));
    sidecar.onRequest(() => long);
    await sidecar.call("tool.register", { tools: [descriptor("get_page")] });
    const { sessionId } = await sidecar.call("agent.session.create");
    for (const word of ["one", "two", "three", "four"]) await turn(sidecar, at(model, { sessionId, useTools: ["*"], ...say(word) }));
    const summaries = model.requests.filter(asksForSummary);
    expect(summaries.length).toBeGreaterThan(0);
    for (const request of model.requests) expectWhole(messagesOf(request));
    const last = messagesOf(model.requests.at(-1)!);
    expect(texts(last).join("\n")).toContain("Short.");
    expect(texts(last)).toContain("user: four");
    const { messages } = await sidecar.call<{ messages: unknown[] }>("agent.session.get", { sessionId });
    expect(messages).toHaveLength(16);
  });

  it("reaches into a turn that grows too long by itself, also outside a session", async () => {
    const model = await startModel((request) => {
      if (asksForSummary(request)) return "Pages were read.";
      return model.requests.filter((each) => !asksForSummary(each)).length > 6
        ? "done"
        : [{ id: `c${model.requests.length}`, name: "get_page", arguments: { n: model.requests.length } }];
    });
    const sidecar = await startSidecar(config(temporaryFolder(), windows));
    sidecar.onRequest(() => long);
    await sidecar.call("tool.register", { tools: [descriptor("get_page")] });
    await turn(sidecar, at(model, { useTools: ["*"], ...say("read all") }));
    expect(model.requests.filter(asksForSummary).length).toBeGreaterThan(0);
    for (const request of model.requests) expectWhole(messagesOf(request));
    expect(texts(messagesOf(model.requests.at(-1)!)).join("\n")).toContain("Pages were read.");
    // What was asked is still there, word for word.
    for (const request of model.requests.filter((each) => !asksForSummary(each))) expect(texts(messagesOf(request))).toContain("user: read all");
  });

  it("that fails leaves the turn as it is", async () => {
    const model = await startModel((request, answer) => (asksForSummary(request) ? answer.respond(500, "no").then(() => undefined) : "ok"));
    const sidecar = await startSidecar(config(temporaryFolder(), windows));
    await sidecar.call("config.set", { providers: { openai: { retry: { attempts: 1 } } } });
    const { sessionId } = await sidecar.call("agent.session.create");
    for (const word of ["one", "two", "three"]) await turn(sidecar, at(model, { sessionId, ...say(`${word} ${long}`) }));
    expect(messagesOf(model.requests.at(-1)!)).toHaveLength(5);
  });
});

describe("agent.session.fork", () => {
  it("copies a session up to a turn, and both go on by themselves", async () => {
    const model = await startModel((request) => `answer ${stepOf(request)}`);
    const sidecar = await startSidecar();
    const { sessionId } = await sidecar.call("agent.session.create", { chatId: "chat-1", scenario: "test" });
    const turns: string[] = [];
    for (const word of ["one", "two", "three"]) turns.push(await turn(sidecar, at(model, { sessionId, ...say(word) })));
    const fork = await sidecar.call("agent.session.fork", { sessionId, throughTurnId: turns[1], newSessionId: "copy" });
    expect(fork).toMatchObject({ sessionId: "copy", chatId: "chat-1", scenario: "test", isActive: true });
    await turn(sidecar, at(model, { sessionId: "copy", ...say("other") }));
    expect(texts(messagesOf(model.requests.at(-1)!))).toEqual(["user: one", "assistant: answer 0", "user: two", "assistant: answer 1", "user: other"]);
    await turn(sidecar, at(model, { sessionId, ...say("four") }));
    expect(messagesOf(model.requests.at(-1)!)).toHaveLength(7);
    const whole = await sidecar.call("agent.session.fork", { sessionId, chatId: "chat-2" });
    expect(whole).toMatchObject({ chatId: "chat-2", sessionId: expect.stringMatching(/^sess_/) });
    expect(await sidecar.call<{ messages: unknown[] }>("agent.session.get", { sessionId: whole["sessionId"] })).toMatchObject({ messages: { length: 8 } });
    expect((await sidecar.request("agent.session.fork", { sessionId: "nobody" })).error).toMatchObject({ data: { code: "session_not_found" } });
    expect((await sidecar.request("agent.session.fork", { sessionId, throughTurnId: "nobody" })).error).toMatchObject({ data: { code: "turn_not_found" } });
    expect((await sidecar.request("agent.session.fork", { sessionId, newSessionId: "copy" })).error).toMatchObject({ code: -32602 });
  });
});
