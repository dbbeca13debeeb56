import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { echo } from "../../src/providers/echo.ts";
import { ask, requestOf, settingsOf, textIn } from "./ask.ts";

describe("echo", () => {
  it("answers with the last user message, then usage, then the finish", async () => {
    const events = await ask(
      echo,
      {},
      {
        messages: [
          { role: "system", content: "Be brief" },
          { role: "user", content: "first" },
          { role: "assistant", content: "first" },
          {
            role: "user",
            content: [
              { type: "text", text: "the quick " },
              { type: "image_url", image_url: { url: "https://x.example/a.png" } },
              { type: "text", text: "brown fox" },
            ],
          },
        ],
      },
    );
    expect(textIn(events)).toBe("the quick brown fox");
    expect(events.filter((event) => event.type === "text").length).toBeGreaterThan(2);
    expect(events.slice(-2)).toEqual([
      { type: "usage", usage: { promptTokens: 8, completionTokens: 4, totalTokens: 12 } },
      { type: "finish", reason: "stop" },
    ]);
  });

  it("finishes without text when there is nothing to repeat", async () => {
    const events = await ask(echo, {}, { messages: [{ role: "system", content: "x" }] });
    expect(events.map((event) => event.type)).toEqual(["usage", "finish"]);
  });

  it("repeats any text exactly, in deltas that hold whole characters", async () => {
    await fc.assert(
      fc.asyncProperty(fc.oneof(fc.string({ unit: "binary", maxLength: 400 }), fc.lorem({ maxCount: 200 })), async (text) => {
        const events = await ask(echo, {}, { messages: [{ role: "user", content: text }] });
        expect(textIn(events)).toBe(text);
        for (const event of events) if (event.type === "text") expect(event.text).not.toMatch(/\p{Surrogate}/u);
      }),
    );
  }, 120_000);

  it("lets the process go on between batches, and stops when it is cancelled", async () => {
    const controller = new AbortController();
    setImmediate(() => controller.abort());
    let deltas = 0;
    let last = "";
    const content = "word ".repeat(100_000);
    for await (const batch of echo.stream(requestOf({ messages: [{ role: "user", content }] }), settingsOf(), controller.signal)) {
      deltas += batch.length;
      last = batch.at(-1)?.type ?? "";
    }
    expect(deltas).toBeLessThan(1000);
    expect(last).toBe("text");
  });
});
