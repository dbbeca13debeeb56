import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { scripted } from "../../src/providers/scripted.ts";
import { ask, failureIn, requestOf, settingsOf } from "./ask.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "scripted-"));
});
afterAll(() => rm(folder, { recursive: true }));

async function scriptOf(content: unknown): Promise<string> {
  const path = join(folder, `${Math.random().toString(36).slice(2)}.json`);
  await writeFile(path, typeof content === "string" ? content : JSON.stringify(content));
  return path;
}

describe("scripted", () => {
  it("plays the turn whose number is the count of assistant messages", async () => {
    const script = await scriptOf({
      turns: [
        {
          events: [
            { reasoningDelta: "hm" },
            { delta: "Hi" },
            { toolCall: { name: "x", arguments: { a: 1 } } },
            { usage: { promptTokens: 1, completionTokens: 2 } },
          ],
        },
        { events: [{ delta: "Bye" }, { finishReason: "length" }] },
      ],
    });
    expect(await ask(scripted, { script })).toEqual([
      { type: "reasoning", text: "hm" },
      { type: "text", text: "Hi" },
      { type: "toolCall", call: { id: "call_script_0_0", name: "x", arguments: { a: 1 } } },
      { type: "usage", usage: { promptTokens: 1, completionTokens: 2, totalTokens: 3 } },
      { type: "finish", reason: "tool_calls" },
    ]);
    const later = { messages: [...requestOf().messages, { role: "assistant" as const, content: "Hi" }, ...requestOf().messages] };
    expect(await ask(scripted, { script }, later)).toEqual([
      { type: "text", text: "Bye" },
      { type: "finish", reason: "length" },
    ]);
  });

  it("finishes with stop where nothing else is said, and prefers the script of the call", async () => {
    const script = await scriptOf({ turns: [{ events: [{ delta: "mine" }] }] });
    expect(await ask(scripted, { script: "/nowhere" }, { providerOptions: { script } })).toEqual([
      { type: "text", text: "mine" },
      { type: "finish", reason: "stop" },
    ]);
  });

  it("gives what came before a delay first, and ends quietly when it is cancelled in one", async () => {
    const script = await scriptOf({ turns: [{ events: [{ delta: "a" }, { delayMs: 60_000 }, { delta: "b" }] }] });
    const controller = new AbortController();
    const batches: unknown[] = [];
    for await (const batch of scripted.stream(requestOf(), settingsOf({ script, idleTimeoutMs: 120_000 }), controller.signal)) {
      batches.push(batch);
      controller.abort();
    }
    expect(batches).toEqual([[{ type: "text", text: "a" }]]);
  });

  it("plays errors, and silence past the idle timeout", async () => {
    const error = { kind: "rate_limited", message: "slow down", status: 429, retryAfterMs: 5 };
    expect(await ask(scripted, { script: await scriptOf({ turns: [{ events: [{ delta: "a" }, { error }] }] }) })).toEqual([
      { type: "text", text: "a" },
      { type: "failure", failure: error },
    ]);
    const silent = await scriptOf({ turns: [{ events: [{ delayMs: 6 }, { delayMs: 6 }, { delta: "late" }] }] });
    expect(await ask(scripted, { script: silent, idleTimeoutMs: 10 })).toMatchObject([{ type: "failure", failure: { kind: "timeout" } }]);
  });

  it.each([
    ["{", /not valid JSON/],
    [{ turns: [] }, /0 turns; turn 0/],
    [{ turns: "x" }, /at turns:/],
    [{ turns: [{ events: [{ delta: "a" }, { what: 1 }] }] }, /at turns\.0\.events\.1: expected one of delta/],
    [{ turns: [{ events: [{ delta: "a", delayMs: 1 }] }] }, /at turns\.0\.events\.0:/],
    [{ turns: [{ events: [{ error: { kind: "nonsense", message: "" } }] }] }, /at turns\.0\.events\.0/],
    [{ turns: [{ events: [{ finishReason: "stop" }, { delta: "a" }] }] }, /nothing may follow/],
  ])("says what is wrong with %j", async (content, message) => {
    const failure = failureIn(await ask(scripted, { script: await scriptOf(content) }));
    expect(failure.kind).toBe("invalid_params");
    expect(failure.message).toMatch(message);
  });

  it("says that there is no file without telling its path", async () => {
    const failure = failureIn(await ask(scripted, { script: join(folder, "missing.json") }));
    expect(failure).toEqual({ kind: "invalid_params", message: "The script cannot be read (ENOENT)" });
    expect(failureIn(await ask(scripted, {})).message).toMatch(/needs a file/);
  });
});
