import { describe, expect, it } from "vitest";
import { LearnedScale } from "../../../src/runtime/budget/prompt-scale.ts";
import { running, setup, usageOf } from "./setup.ts";

describe("the scale of a model's prompts", () => {
  it("knows nothing until a server has counted", () => {
    const scale = new LearnedScale();
    expect([scale.isKnown, scale.least(100), scale.most(100)]).toEqual([false, 1, 100]);
  });

  it("expects no less than the least and no more than the most that was counted", () => {
    const scale = new LearnedScale();
    scale.observe(10, 60);
    expect([scale.isKnown, scale.least(10), scale.most(10), scale.most(20)]).toEqual([true, 60, 60, 70]);
    scale.observe(100, 120);
    expect(scale.least(10)).toBe(12);
    // What comes on top of a small prompt does not grow with a large one.
    expect(scale.most(100_000)).toBe(100_050);
    scale.observe(10_000, 13_000);
    expect(scale.most(100_000)).toBe(130_000);
  });
});

describe("calls of a model that nobody has measured", () => {
  const estimate = { promptTokens: 8, maxTokens: 40 };
  const settle = { promptTokens: 8, completionTokens: 40 };

  it("begin with one that runs alone, and then never pass a shared limit though the server counts more than was estimated", async () => {
    const { open, budgets } = await setup({ process: { maxTokens: 1050 } }, { scale: new LearnedScale() });
    let together = 0;
    const most: number[] = [];
    const outcomes = await Promise.all(
      Array.from({ length: 50 }, async () => {
        const account = await open();
        const room = await account.reserveCall(estimate, running);
        if (room === "aborted" || "failure" in room) return "refused";
        most.push(++together);
        await new Promise((resolve) => setImmediate(resolve));
        together--;
        account.settleCall(usageOf(60, 40), settle);
        account.close();
        return "done";
      }),
    );
    expect(outcomes.filter((each) => each === "done")).toHaveLength(10);
    expect((await budgets.state(undefined)).process.used.tokens).toBe(1000);
    expect(most[0]).toBe(1);
    expect(Math.max(...most)).toBeGreaterThan(5);
  });

  it("do not take all that is left should the process crash in the first one", async () => {
    const { open, store } = await setup({ process: { maxTokens: 100_000 } }, { scale: new LearnedScale() });
    const account = await open();
    await account.reserveCall(estimate, running);
    expect(await store.spent({ kind: "process" })).toMatchObject({ tokens: 48, steps: 1 });
  });

  it("do not wait for each other where nothing that is shared has a limit", async () => {
    const { open } = await setup({ turn: { maxTokens: 100 } }, { scale: new LearnedScale() });
    const rooms = await Promise.all([open(), open()].map(async (account) => (await account).reserveCall(estimate, running)));
    expect(rooms).toEqual([{ maxTokens: 40 }, { maxTokens: 40 }]);
  });
});
