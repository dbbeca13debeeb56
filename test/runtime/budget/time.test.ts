import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { BudgetFailure, TurnAccount } from "../../../src/runtime/budget/budgets.ts";
import { call, setup } from "./setup.ts";

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

function listen(account: TurnAccount): BudgetFailure[] {
  const heard: BudgetFailure[] = [];
  account.onExhausted((failure) => heard.push(failure));
  return heard;
}

describe("the time of a turn", () => {
  it("is up when more of it has passed than the limit says, and that is told once", async () => {
    const { open } = await setup({ turn: { maxWallMs: 1000 } });
    const account = await open();
    const heard = listen(account);
    account.begin();
    await vi.advanceTimersByTimeAsync(1000);
    expect(heard).toEqual([]);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(heard).toEqual([
      {
        kind: "budget_exhausted",
        message: "The budget of the turn is exhausted: maxWallMs is 1000 and 1001 were used (1 over)",
        scope: "turn",
        limit: "maxWallMs",
        max: 1000,
        used: 1001,
      },
    ]);
    account.close();
    expect(vi.getTimerCount()).toBeLessThanOrEqual(1);
  });

  it("counts from its beginning, not from its opening, and at the latest from its first call", async () => {
    const { open } = await setup({ turn: { maxWallMs: 1000 } });
    const [waits, begins] = await Promise.all([open(), open()]);
    const heard = [listen(waits), listen(begins)];
    await vi.advanceTimersByTimeAsync(5000);
    await call(begins, 1, 1);
    await vi.advanceTimersByTimeAsync(1001);
    expect(heard.map((each) => each.length)).toEqual([0, 1]);
  });

  it("is told to whoever listens too late", async () => {
    const { open } = await setup({ turn: { maxWallMs: 10 } });
    const account = await open();
    account.begin();
    await vi.advanceTimersByTimeAsync(11);
    expect(listen(account)).toHaveLength(1);
  });

  it("stands in the way of a call when nothing of it is left", async () => {
    const { open } = await setup({ turn: { maxWallMs: 10 } });
    const account = await open();
    account.begin();
    await vi.advanceTimersByTimeAsync(10);
    expect(await call(account, 1, 1)).toMatchObject({ limit: "maxWallMs", used: 10 });
  });

  it("ends no turn that was closed in time", async () => {
    const { open } = await setup({ turn: { maxWallMs: 1000 } });
    const account = await open();
    const heard = listen(account);
    account.begin();
    await vi.advanceTimersByTimeAsync(999);
    account.close();
    await vi.advanceTimersByTimeAsync(5000);
    expect(heard).toEqual([]);
  });
});

describe("the time that turns share", () => {
  it("passes as fast as there are turns running, and ends all of them", async () => {
    const { open } = await setup({ session: { maxWallMs: 1000 } });
    const [a, b, other] = await Promise.all([open({ sessionId: "s1" }), open({ sessionId: "s1" }), open({ sessionId: "s2" })]);
    const heard = [a, b, other].map(listen);
    a.begin();
    other.begin();
    await vi.advanceTimersByTimeAsync(400);
    b.begin();
    await vi.advanceTimersByTimeAsync(300);
    expect(heard.map((each) => each.length)).toEqual([0, 0, 0]);
    await vi.advanceTimersByTimeAsync(1);
    expect(heard.map((each) => each.length)).toEqual([1, 1, 0]);
    expect(heard[0]?.[0]).toMatchObject({ scope: "session", used: 1002 });
  });

  it("is used up by turns that are over, also those of an earlier run", async () => {
    const first = await setup({ process: { maxWallMs: 1000 } });
    const before = await first.open();
    before.begin();
    await vi.advanceTimersByTimeAsync(900);
    before.close();
    await first.budgets.flush();
    const second = await setup({ process: { maxWallMs: 1000 } }, { store: first.store });
    const after = await second.open();
    const heard = listen(after);
    after.begin();
    await vi.advanceTimersByTimeAsync(100);
    expect(heard).toEqual([]);
    await vi.advanceTimersByTimeAsync(1);
    expect(heard).toHaveLength(1);
  });

  it("is shown while it passes, and stays counted for live turns when it is reset", async () => {
    const { open, budgets } = await setup({ session: { maxWallMs: 1000 } });
    const [a, over] = await Promise.all([open({ sessionId: "s1" }), open({ sessionId: "s1" })]);
    a.begin();
    over.begin();
    await vi.advanceTimersByTimeAsync(200);
    over.close();
    expect((await budgets.state("s1")).session?.used.wallMs).toBe(400);
    await budgets.reset("s1");
    const { process, session } = await budgets.state("s1");
    expect([session?.used.wallMs, process.used.wallMs]).toEqual([200, 400]);
  });

  it("is watched from the moment that a limit is set, whatever was used before", async () => {
    const { open, budgets, limits } = await setup();
    const earlier = await open();
    earlier.begin();
    await vi.advanceTimersByTimeAsync(500);
    earlier.close();
    await budgets.flush();
    const account = await open();
    const heard = listen(account);
    account.begin();
    limits.process = { maxWallMs: 600 };
    budgets.limitsChanged();
    await vi.advanceTimersByTimeAsync(100);
    expect(heard).toEqual([]);
    await vi.advanceTimersByTimeAsync(1);
    expect(heard).toHaveLength(1);
  });

  it("may be longer than a timer can wait", async () => {
    const { open } = await setup({ process: { maxWallMs: 2_147_483_647 } });
    const account = await open();
    const heard = listen(account);
    account.begin();
    await vi.advanceTimersByTimeAsync(5000);
    expect(heard).toEqual([]);
    account.close();
  });
});
