import { describe, expect, it } from "vitest";
import type { ChatMessage } from "../../src/contract/model.ts";
import { conversation } from "../../src/runtime/turns/history.ts";

const user = (content: string): ChatMessage => ({ role: "user", content });
const system = (content: string): ChatMessage => ({ role: "system", content });
const asks = (...ids: string[]): ChatMessage => ({ role: "assistant", content: "", toolCalls: ids.map((id) => ({ id, name: "f", arguments: {} })) });
const result = (toolCallId: string, content = "42"): ChatMessage => ({ role: "tool", toolCallId, content });
const missing = (toolCallId: string) => ({ role: "tool", toolCallId, content: expect.stringContaining("not run") });

describe("the conversation that a model is sent", () => {
  it("is what the host sent when there is no history", () => {
    const messages = [user("a"), system("b"), user("c")];
    expect(conversation([], messages)).toEqual(messages);
  });

  it("has one system message in front: the new one, else the last one", () => {
    expect(conversation([system("old"), user("a")], [user("b")])).toEqual([system("old"), user("a"), user("b")]);
    expect(conversation([system("old"), user("a"), system("newer")], [user("b")])).toEqual([system("newer"), user("a"), user("b")]);
    expect(conversation([system("old"), user("a")], [system("new"), user("b")])).toEqual([system("new"), user("a"), user("b")]);
  });

  it("answers every call that nobody answered, where its answer belongs", () => {
    expect(conversation([user("a"), asks("c1", "c2")], [result("c1"), user("b")])).toEqual([
      user("a"),
      asks("c1", "c2"),
      result("c1"),
      missing("c2"),
      user("b"),
    ]);
    expect(conversation([user("a"), asks("c1")], [user("b")])).toEqual([user("a"), asks("c1"), missing("c1"), user("b")]);
    expect(conversation([], [user("a"), asks("c1")])).toEqual([user("a"), asks("c1"), missing("c1")]);
  });

  it("does not tear a call and its result apart when a system message comes with the result", () => {
    expect(conversation([user("a"), asks("c1")], [system("s"), result("c1")])).toEqual([system("s"), user("a"), asks("c1"), result("c1")]);
  });
});
