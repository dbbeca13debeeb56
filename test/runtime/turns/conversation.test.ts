import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { ChatMessage } from "../../../src/contract/model.ts";
import { Conversation } from "../../../src/runtime/turns/conversation.ts";
import { messageId } from "../../../src/store/messages.ts";
import type { History } from "../../../src/store/store.ts";

const user = (content: string): ChatMessage => ({ role: "user", content });
const system = (content: string): ChatMessage => ({ role: "system", content });
const calls = (...ids: string[]): ChatMessage => ({ role: "assistant", content: "", toolCalls: ids.map((id) => ({ id, name: "get_x", arguments: {} })) });
const said = (content: string): ChatMessage => ({ role: "assistant", content });
const result = (toolCallId: string, content = toolCallId): ChatMessage => ({ role: "tool", toolCallId, content });

function historyOf(turns: readonly (readonly ChatMessage[])[], more: Partial<History> = {}): History {
  const messages = turns.flatMap((turn, index) =>
    turn.map((message, position) => ({ turnId: `t${index}`, messageId: messageId(`t${index}`, position), message })),
  );
  return { summary: undefined, summarized: 0, system: undefined, messages, ...more };
}

const roles = (messages: readonly ChatMessage[]) => messages.map(({ role, toolCallId }) => toolCallId ?? role);

describe("where a conversation may be cut", () => {
  const history = historyOf([
    [user("1"), said("one")],
    [user("2"), calls("a", "b"), result("a"), result("b"), said("two")],
    [user("3"), said("three")],
  ]);

  it("is between turns, with as many kept as asked for beside the current one", () => {
    const conversation = new Conversation("now", history, [user("4")]);
    expect(conversation.cutsBetweenTurns(0)).toEqual([2, 7, 9]);
    expect(conversation.cutsBetweenTurns(1)).toEqual([2, 7]);
    expect(conversation.cutsBetweenTurns(2)).toEqual([2]);
    expect(conversation.cutsBetweenTurns(9)).toEqual([]);
  });

  it("is in front of what the model said, within turns", () => {
    const conversation = new Conversation("now", history, [user("4")]);
    conversation.add(calls("c"), result("c"));
    expect(conversation.cutsBetweenSteps()).toEqual([1, 3, 6, 8, 10]);
  });

  it("is not between a call of the host and its answer in the next turn, though a system message comes with it", () => {
    const waiting = historyOf([
      [user("1"), said("one")],
      [user("2"), calls("a")],
    ]);
    const conversation = new Conversation("now", waiting, [system("Be brief"), result("a")]);
    expect(conversation.cutsBetweenTurns(0)).toEqual([2]);
  });

  it("is the end where no turn is added, but for calls that wait for the host", () => {
    expect(new Conversation("", history, []).cutOfAll(0)).toBe(9);
    expect(new Conversation("", history, []).cutOfAll(1)).toBe(7);
    expect(new Conversation("", history, []).cutOfAll(9)).toBe(0);
    const waiting = historyOf([
      [user("1"), said("one")],
      [user("2"), calls("a", "b"), result("a")],
    ]);
    expect(new Conversation("", waiting, []).cutOfAll(0)).toBe(3);
    expect(new Conversation("", historyOf([[calls("a")]]), []).cutOfAll(0)).toBe(0);
  });
});

describe("a summary", () => {
  it("takes the place of what is in front of the cut, and names where that ends in the store", () => {
    const conversation = new Conversation(
      "now",
      historyOf([
        [system("Old"), user("1"), said("one")],
        [user("2"), said("two")],
      ]),
      [user("3")],
    );
    conversation.add(calls("c"), result("c"));
    expect(conversation.head(5)).toEqual({
      summary: undefined,
      messages: [system("Old"), user("1"), said("one"), user("2"), said("two")],
      through: "t1-1",
      system: system("Old"),
      count: 5,
    });
    conversation.summarize(5, "one and two");
    const [first, second, ...rest] = conversation.messages();
    expect(first).toEqual(system("Old"));
    expect(second).toMatchObject({ role: "user", content: expect.stringContaining("one and two") });
    expect(rest).toEqual([user("3"), calls("c"), result("c")]);
    // The next one reaches into the turn itself.
    expect(conversation.head(1)).toMatchObject({ summary: "one and two", through: "now-0", count: 6, system: system("Old") });
  });

  it("leaves the system message to a turn that brings its own", () => {
    const before = historyOf([[user("2")]], { summary: "one", summarized: 3, system: system("Old") });
    expect(new Conversation("now", before, [system("New"), user("3")]).messages()[0]).toEqual(system("New"));
    expect(new Conversation("now", before, [user("3")]).messages()[0]).toEqual(system("Old"));
  });
});

/** One step of a turn: an answer with calls and their results, in any order, and maybe a message that was added. */
const step = fc.record({
  count: fc.integer({ min: 1, max: 4 }),
  order: fc.array(fc.nat(), { minLength: 4, maxLength: 4 }),
  unanswered: fc.nat({ max: 4 }),
  steered: fc.boolean(),
  system: fc.boolean(),
});
/** A turn, and whether its last calls are left to the host, which answers them with the next turn. */
const turn = fc.record({
  steps: fc.array(step, { maxLength: 4 }),
  ends: fc.constantFrom("answer", "host", "broken"),
  brings: fc.constantFrom("user", "system"),
});

/** A session as it comes about: results follow their calls, those of the host with the next turn. */
function sessionOf(turns: readonly (typeof turn extends fc.Arbitrary<infer T> ? T : never)[]): ChatMessage[][] {
  let count = 0;
  let waiting: string[] = [];
  return turns.map(({ steps, ends, brings }) => {
    const messages: ChatMessage[] = [
      ...(brings === "system" ? [system("s")] : []),
      ...waiting.map((id) => result(id)),
      ...(waiting.length > 0 ? [] : [user("u")]),
    ];
    waiting = [];
    for (const [index, each] of steps.entries()) {
      const ids = Array.from({ length: each.count }, () => `c${count++}`);
      const isLast = index === steps.length - 1;
      messages.push(calls(...ids));
      const sorted = ids.toSorted((a, b) => (each.order[ids.indexOf(a)] ?? 0) - (each.order[ids.indexOf(b)] ?? 0));
      const left = isLast && ends !== "answer" ? sorted.slice(0, Math.max(1, each.unanswered)) : [];
      for (const id of sorted) if (!left.includes(id)) messages.push(result(id));
      if (isLast && ends === "host") waiting = left;
      else if (each.steered) messages.push(user("steered"));
    }
    if (ends === "answer") messages.push(said("done"));
    return messages;
  });
}

/** Every result follows its call with nothing but other results between them, and every call has one. */
function expectWhole(messages: readonly ChatMessage[]): void {
  let open: string[] = [];
  for (const { role, toolCalls, toolCallId } of messages) {
    if (role === "tool") {
      expect(open).toContain(toolCallId);
      open = open.filter((id) => id !== toolCallId);
      continue;
    }
    expect(open).toEqual([]);
    open = (toolCalls ?? []).map(({ id }) => id);
  }
  expect(open).toEqual([]);
}

describe("whatever the history", () => {
  it("what a model is sent is whole before and after every cut, and no result that is there is told as missing", { timeout: 120_000 }, () => {
    fc.assert(
      fc.property(fc.array(turn, { minLength: 1, maxLength: 5 }), fc.nat({ max: 3 }), (turns, keep) => {
        const session = sessionOf(turns);
        const make = () => new Conversation("now", historyOf(session.slice(0, -1)), session.at(-1) ?? []);
        expectWhole(make().messages());
        const cuts = [...make().cutsBetweenTurns(keep), ...make().cutsBetweenSteps()];
        const ofAll = new Conversation("", historyOf(session), []).cutOfAll(keep);
        for (const cut of cuts) {
          const conversation = make();
          const tail = session.flat().slice(cut);
          conversation.summarize(cut, "summary");
          expectWhole(conversation.messages());
          // What is sent of the tail is the tail: the results that were given, none made up in the place of one.
          const given = roles(tail.filter(({ role }) => role === "tool")).toSorted();
          const sent = conversation.messages().filter(({ role, content }) => role === "tool" && !String(content).startsWith("No result"));
          expect(roles(sent).toSorted()).toEqual(given);
        }
        // The host's answers come with the turn after the cut.
        const waits = session.at(-1) ?? [];
        const answered = new Set(waits.flatMap(({ toolCallId }) => (toolCallId === undefined ? [] : [toolCallId])));
        const open = (waits.findLast(({ toolCalls }) => toolCalls !== undefined)?.toolCalls ?? []).filter(({ id }) => !answered.has(id)).map(({ id }) => id);
        if (turns.at(-1)?.ends !== "host") return;
        const next = new Conversation(
          "next",
          historyOf(session),
          open.map((id) => result(id)),
        );
        if (ofAll > 0) next.summarize(ofAll, "summary");
        expectWhole(next.messages());
      }),
      { numRuns: 300 },
    );
  });

  it("a result that comes when its call was given up spoils no later turn", () => {
    const session = [
      [user("1"), calls("a")],
      [user("never mind"), said("fine")],
      [result("a"), user("here it is")],
    ];
    const messages = new Conversation("now", historyOf(session), [user("4")]).messages();
    expectWhole(messages);
    expect(roles(messages)).toEqual(["user", "assistant", "a", "user", "assistant", "user", "user"]);
  });
});
