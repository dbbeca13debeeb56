import { describe, expect, it } from "vitest";
import { call, prices, running, setup, settled, usageOf } from "./setup.ts";

const nothing = { promptTokens: 0, completionTokens: 0 };

describe("a limit", () => {
  it("is exhausted when more than it is used, and exactly used up is fine", async () => {
    const { open } = await setup({ turn: { maxTokens: 100 } });
    const exact = await open();
    expect(await call(exact, 50, 50)).toBeUndefined();
    expect(await call(exact, 1, 1)).toMatchObject({
      kind: "budget_exhausted",
      scope: "turn",
      limit: "maxTokens",
      max: 100,
      used: 100,
      message: "The budget of the turn is exhausted: maxTokens is 100, 100 were used, and a further call needs at least 1 (1 over)",
    });
    expect(exact.steps).toBe(1);
    const over = await open();
    expect(await call(over, 50, 90)).toMatchObject({
      message: "The budget of the turn is exhausted: maxTokens is 100 and 140 were used (40 over)",
      used: 140,
    });
  });

  it("of steps and of tool calls counts exactly, and says which one was too many", async () => {
    const { open } = await setup({ turn: { maxSteps: 3, maxToolCalls: 1 } });
    const account = await open();
    for (let step = 0; step < 3; step++) expect(await call(account, 1, 1)).toBeUndefined();
    expect(await call(account, 1, 1)).toMatchObject({
      limit: "maxSteps",
      message: "The budget of the turn is exhausted: maxSteps is 3 and a 4th was needed (1 over)",
    });
    expect(account.takeToolCall()).toBeUndefined();
    expect(account.takeToolCall()).toMatchObject({
      limit: "maxToolCalls",
      message: "The budget of the turn is exhausted: maxToolCalls is 1 and a 2nd was needed (1 over)",
    });
  });

  it("names the number in words that are right", async () => {
    const ordinals = new Map([
      [0, "a 1st"],
      [2, "a 3rd"],
      [7, "an 8th"],
      [10, "an 11th"],
      [11, "a 12th"],
      [21, "a 22nd"],
      [110, "a 111th"],
    ]);
    for (const [maxToolCalls, words] of ordinals) {
      const { open } = await setup({ turn: { maxToolCalls } });
      const account = await open();
      for (let taken = 0; taken < maxToolCalls; taken++) account.takeToolCall();
      expect(account.takeToolCall()?.message).toContain(`${words} was needed`);
    }
  });

  it("of zero lets nothing begin", async () => {
    for (const limit of ["maxTokens", "maxSteps", "maxCostUsd", "maxWallMs"] as const) {
      const { open } = await setup({ session: { [limit]: 0 } }, { now: () => 0 });
      expect(await call(await open({ sessionId: "s1" }), 1, 1), limit).toMatchObject({ scope: "session", limit, used: 0 });
    }
  });

  it("of money is not passed by the noise of fractions, and is told in plain digits", async () => {
    const { open } = await setup({ turn: { maxCostUsd: 0.3 } });
    const account = await open();
    for (let third = 0; third < 3; third++) expect(await call(account, 100_000, 0)).toBeUndefined();
    expect(account.costUsd).toBe(0.3);
    expect(await call(account, 0, 1)).toMatchObject({
      message: "The budget of the turn is exhausted: maxCostUsd is 0.3, 0.3 were used, and a further call needs at least 0.000002 (0.000002 over)",
    });
  });

  it("of the turn is the host's where it has said one, else the configured one", async () => {
    const { open } = await setup({ turn: { maxSteps: 1, maxToolCalls: 1 } });
    const account = await open({ budget: { maxSteps: 2 } });
    expect(await call(account, 1, 1)).toBeUndefined();
    expect(await call(account, 1, 1)).toBeUndefined();
    expect(await call(account, 1, 1)).toMatchObject({ max: 2 });
    expect(account.takeToolCall()).toBeUndefined();
    expect(account.takeToolCall()).toMatchObject({ max: 1 });
  });

  it("of a session holds for its turns together, that of the process for all", async () => {
    const { open } = await setup({ session: { maxToolCalls: 2 }, process: { maxToolCalls: 3 } });
    const [a, b, c, alone] = await Promise.all([open({ sessionId: "s1" }), open({ sessionId: "s1" }), open({ sessionId: "s2" }), open()]);
    expect([a.takeToolCall(), b.takeToolCall()]).toEqual([undefined, undefined]);
    expect(a.takeToolCall()).toMatchObject({ scope: "session" });
    expect(c.takeToolCall()).toBeUndefined();
    expect(alone.takeToolCall()).toMatchObject({ scope: "process", used: 3 });
  });

  it("that is made lower holds at once, and one that is lifted no longer", async () => {
    const { open, limits, budgets } = await setup({ process: { maxTokens: 1000 } });
    const account = await open();
    expect(await call(account, 100, 100, 100)).toBeUndefined();
    limits.process = { maxTokens: 150 };
    budgets.limitsChanged();
    expect(await call(account, 1, 1)).toMatchObject({ max: 150, used: 200 });
    limits.process = {};
    budgets.limitsChanged();
    expect(await call(account, 1, 1)).toBeUndefined();
  });
});

describe("a reservation", () => {
  it("bounds the answer where a limit of tokens or money is in force, and leaves it as it is otherwise", async () => {
    const reserve = async (limits: object, maxTokens: number | undefined, promptTokens = 100) =>
      (await (await setup({ turn: limits })).open()).reserveCall({ promptTokens, maxTokens }, running);
    expect(await reserve({}, undefined)).toEqual({ maxTokens: undefined });
    expect(await reserve({ maxSteps: 9 }, 77)).toEqual({ maxTokens: 77 });
    expect(await reserve({ maxTokens: 1_000_000 }, undefined)).toEqual({ maxTokens: 8_192 });
    expect(await reserve({ maxTokens: 1_000_000 }, 20_000)).toEqual({ maxTokens: 20_000 });
    expect(await reserve({ maxTokens: 1_000 }, undefined)).toEqual({ maxTokens: 900 });
    expect(await reserve({ maxTokens: 1_000 }, 50)).toEqual({ maxTokens: 50 });
    expect(await reserve({ maxCostUsd: 0.001 }, undefined)).toEqual({ maxTokens: 900 });
    // The prompt is an estimate, so it is no reason to refuse the call.
    expect(await reserve({ maxTokens: 50 }, undefined)).toEqual({ maxTokens: 1 });
    expect(await reserve({ maxCostUsd: 0.00005 }, undefined)).toEqual({ maxTokens: 1 });
  });

  it("is waited for in the order of asking while those of others leave no room", async () => {
    const { open } = await setup({ process: { maxTokens: 1000 } });
    const [a, b, c] = await Promise.all([open(), open(), open()]);
    const order: string[] = [];
    await a.reserveCall({ promptTokens: 100, maxTokens: 700 }, running);
    const second = b.reserveCall({ promptTokens: 100, maxTokens: 500 }, running).then((room) => [order.push("b"), room]);
    // It would fit, but was later.
    const third = c.reserveCall({ promptTokens: 10, maxTokens: 10 }, running).then((room) => [order.push("c"), room]);
    await settled();
    expect(order).toEqual([]);
    expect(a.settleCall(usageOf(100, 100), nothing)).toBeUndefined();
    expect(await second).toEqual([1, { maxTokens: 500 }]);
    expect(await third).toEqual([2, { maxTokens: 10 }]);
  });

  it("that waits for its session does not stand in the way of other sessions", async () => {
    const { open } = await setup({ session: { maxTokens: 1000 }, process: { maxTokens: 10_000 } });
    const [a, b, other] = await Promise.all([open({ sessionId: "s1" }), open({ sessionId: "s1" }), open({ sessionId: "s2" })]);
    await a.reserveCall({ promptTokens: 100, maxTokens: 900 }, running);
    let waits = true;
    const second = b.reserveCall({ promptTokens: 100, maxTokens: 500 }, running).finally(() => {
      waits = false;
    });
    expect(await other.reserveCall({ promptTokens: 100, maxTokens: 500 }, running)).toEqual({ maxTokens: 500 });
    await settled();
    expect(waits).toBe(true);
    a.settleCall(usageOf(1, 1), nothing);
    expect(await second).toEqual({ maxTokens: 500 });
  });

  it("is not made for more than could ever be had, so that nobody waits for ever", async () => {
    const { open } = await setup({ process: { maxTokens: 1000 } });
    const [a, b] = await Promise.all([open(), open()]);
    await a.reserveCall({ promptTokens: 10, maxTokens: undefined }, running);
    const second = b.reserveCall({ promptTokens: 10, maxTokens: 50_000 }, running);
    a.settleCall(usageOf(10, 590), nothing);
    expect(await second).toEqual({ maxTokens: 390 });
  });

  it("that waits ends with the failure when the limit is used up meanwhile", async () => {
    const { open } = await setup({ process: { maxTokens: 1000 } });
    const [a, b, c] = await Promise.all([open(), open(), open()]);
    await a.reserveCall({ promptTokens: 10, maxTokens: undefined }, running);
    const waiting = [b, c].map((account) => account.reserveCall({ promptTokens: 10, maxTokens: undefined }, running));
    expect(a.settleCall(usageOf(10, 1000), nothing)).toMatchObject({ used: 1010 });
    for (const room of await Promise.all(waiting)) expect(room).toMatchObject({ failure: { scope: "process", used: 1010 } });
  });

  it("that waits ends at once when it is aborted, or its turn closed, and those behind it move up", async () => {
    const { open } = await setup({ process: { maxTokens: 1000 } });
    const [a, b, c, d] = await Promise.all([open(), open(), open(), open()]);
    await a.reserveCall({ promptTokens: 0, maxTokens: 500 }, running);
    const stop = new AbortController();
    const second = b.reserveCall({ promptTokens: 0, maxTokens: 600 }, stop.signal);
    const third = c.reserveCall({ promptTokens: 0, maxTokens: 600 }, running);
    const fourth = d.reserveCall({ promptTokens: 0, maxTokens: 500 }, running);
    stop.abort();
    expect(await second).toBe("aborted");
    c.close();
    expect(await third).toBe("aborted");
    expect(await fourth).toEqual({ maxTokens: 500 });
    expect([b.steps, c.steps, d.steps]).toEqual([0, 0, 1]);
  });

  it("moves up when the limit is raised or what was used is reset", async () => {
    const { open, limits, budgets } = await setup({ process: { maxTokens: 1000 } });
    const [a, b, c] = await Promise.all([open(), open(), open()]);
    expect(await call(a, 100, 100)).toBeUndefined();
    await a.reserveCall({ promptTokens: 0, maxTokens: 500 }, running);
    const second = b.reserveCall({ promptTokens: 0, maxTokens: 500 }, running);
    await settled();
    await budgets.reset(undefined);
    expect(await second).toEqual({ maxTokens: 500 });
    const third = c.reserveCall({ promptTokens: 0, maxTokens: 500 }, running);
    limits.process = { maxTokens: 1500 };
    budgets.limitsChanged();
    expect(await third).toEqual({ maxTokens: 500 });
  });

  it("is one at a time in a turn", async () => {
    const account = await (await setup()).open();
    await account.reserveCall({ promptTokens: 1, maxTokens: 1 }, running);
    await expect(account.reserveCall({ promptTokens: 1, maxTokens: 1 }, running)).rejects.toThrow("not settled");
  });
});

describe("the end of a call", () => {
  it("counts the estimate where the server told nothing, and reports only what was told", async () => {
    const { open, budgets } = await setup();
    const account = await open({ sessionId: "s1" });
    await account.reserveCall({ promptTokens: 10, maxTokens: undefined }, running);
    account.settleCall(undefined, { promptTokens: 12, completionTokens: 30 });
    expect([account.usage, account.costUsd, account.steps]).toEqual([undefined, undefined, 1]);
    await call(account, 1000, 500);
    await call(account, 1000, 500);
    expect([account.usage, account.costUsd, account.steps]).toEqual([usageOf(2000, 1000), 0.003, 3]);
    const used = { tokens: 3042, steps: 3, toolCalls: 0, costUsd: 0.003042 };
    expect(await budgets.state("s1")).toMatchObject({ process: { used }, session: { used } });
  });

  it("reports no cost for a model whose price is not known", async () => {
    const account = await (await setup()).open({ model: "unheard-of" });
    await call(account, 10, 10);
    expect([account.usage, account.costUsd]).toEqual([usageOf(10, 10), undefined]);
  });

  it("still counts when the turn was closed just before, and its room is given to nobody meanwhile", async () => {
    const { open, budgets } = await setup({ process: { maxTokens: 1000 } });
    const [a, b] = await Promise.all([open(), open()]);
    await a.reserveCall({ promptTokens: 100, maxTokens: undefined }, running);
    const second = b.reserveCall({ promptTokens: 100, maxTokens: undefined }, running);
    a.close();
    await settled();
    expect(a.settleCall(usageOf(100, 300), nothing)).toBeUndefined();
    expect(await second).toEqual({ maxTokens: 500 });
    b.settleCall(usageOf(100, 0), nothing);
    expect((await budgets.state(undefined)).process.used).toMatchObject({ tokens: 500, steps: 2 });
  });

  it("comes by itself when nobody tells it after the turn was closed", async () => {
    const { open, budgets } = await setup({ process: { maxTokens: 1000 } });
    const [a, b] = await Promise.all([open(), open()]);
    await a.reserveCall({ promptTokens: 100, maxTokens: undefined }, running);
    const second = b.reserveCall({ promptTokens: 100, maxTokens: undefined }, running);
    a.close();
    expect(await second).toEqual({ maxTokens: 900 });
    b.settleCall(usageOf(1, 1), nothing);
    b.close();
    expect((await budgets.state(undefined)).process.used).toMatchObject({ tokens: 2, steps: 1 });
  });
});

describe("a limit of money without a price", () => {
  it("is refused when the turn is opened, wherever the limit comes from", async () => {
    const own = await setup();
    await expect(own.open({ model: "unheard-of", budget: { maxCostUsd: 1 } })).rejects.toMatchObject({
      errorName: "invalid_params",
      data: { path: "budget.maxCostUsd", code: "price_unknown" },
      message: 'maxCostUsd of the turn cannot be kept, because the price of "unheard-of" is not known: add it to prices in the configuration',
    });
    const shared = await setup({ process: { maxCostUsd: 1 } });
    await expect(shared.open({ model: "unheard-of" })).rejects.toMatchObject({ data: { path: "model", code: "price_unknown" } });
    const unnamed = { sessionId: undefined, budget: undefined, provider: "openai", model: undefined };
    await expect(shared.budgets.open({ ...unnamed, prices })).rejects.toThrow('"openai"');
    const free = { openai: { inputPerMTok: 0, outputPerMTok: 0 } };
    const account = await shared.budgets.open({ ...unnamed, prices: free });
    expect(await call(account, 10, 10)).toBeUndefined();
    expect(account.costUsd).toBe(0);
  });

  it("that comes while the turn runs ends it at its next call", async () => {
    const { open, limits, budgets } = await setup();
    const account = await open({ model: "unheard-of" });
    expect(await call(account, 1, 1)).toBeUndefined();
    limits.session = { maxCostUsd: 1 };
    limits.process = { maxCostUsd: 1 };
    budgets.limitsChanged();
    expect(await call(account, 1, 1)).toMatchObject({ kind: "invalid_params", message: expect.stringContaining("of the process") });
  });
});
