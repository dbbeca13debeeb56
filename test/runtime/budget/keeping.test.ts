import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { setImmediate as turnOfLoop } from "node:timers/promises";
import { afterEach, describe, expect, it, onTestFinished, vi } from "vitest";
import { fail } from "../../../src/errors.ts";
import { createLog } from "../../../src/log.ts";
import { openSqliteStore } from "../../../src/store/sqlite.ts";
import type { Store } from "../../../src/store/store.ts";
import { call, memoryStore, running, setup, settled, usageOf } from "./setup.ts";

const nothing = { promptTokens: 0, completionTokens: 0 };
const full = () => fail("storage", { reason: "disk_full" }, "The disk that holds the session store is full");

afterEach(() => {
  vi.useRealTimers();
});

/** A store that can be told to fail, and counts what it is asked. */
async function moody() {
  const inner = await memoryStore(["s1"]);
  const mood = { fails: false, spends: 0, reads: 0 };
  const spend: Store["spend"] = async (amounts) => {
    mood.spends++;
    if (mood.fails) throw full();
    return inner.spend(amounts);
  };
  const spent: Store["spent"] = async (scope) => {
    mood.reads++;
    if (mood.fails) throw full();
    return inner.spent(scope);
  };
  return { mood, inner, replaced: { store: inner, spend, spent } };
}

describe("what was used", () => {
  it("outlives the process, and what it was taken from", async () => {
    const first = await setup({ session: { maxTokens: 1000 } });
    const account = await first.open({ sessionId: "s1" });
    await call(account, 300, 300);
    account.takeToolCall();
    account.close();
    await first.budgets.flush();
    const second = await setup({ session: { maxTokens: 1000 } }, { store: first.store });
    const next = await second.open({ sessionId: "s1" });
    expect(await next.reserveCall({ promptTokens: 100, maxTokens: undefined }, running)).toEqual({ maxTokens: 300 });
    next.settleCall(usageOf(100, 301), nothing);
    expect(await call(next, 1, 1)).toMatchObject({ scope: "session", used: 1001 });
    expect((await second.budgets.state("s1")).session?.used).toMatchObject({ tokens: 1001, steps: 2, toolCalls: 1 });
  });

  it("holds the reservation of a call before that begins, so a crash counts it so", async () => {
    const { open, store } = await setup({ process: { maxTokens: 100_000 } });
    const account = await open({ sessionId: "s1" });
    await account.reserveCall({ promptTokens: 1000, maxTokens: 500 }, running);
    // Nothing more is done: the process is gone.
    expect(await store.spent({ kind: "process" })).toMatchObject({ tokens: 1500, steps: 1, costUsd: 0.0015 });
    expect(await store.spent({ kind: "session", sessionId: "s1" })).toMatchObject({ tokens: 1500, steps: 1 });
  });

  it("is in the database file when the process is gone in the middle of a call", async () => {
    const folder = mkdtempSync(path.join(tmpdir(), "sidecar-budget-"));
    onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
    const file = { path: path.join(folder, "sessions.db"), keepTraces: 10, now: Date.now };
    const before = await openSqliteStore(file);
    const first = await setup({ process: { maxTokens: 1000 } }, { store: before });
    const account = await first.open();
    await call(account, 100, 100);
    await account.reserveCall({ promptTokens: 100, maxTokens: 400 }, running);
    before.closeSync();
    const after = await openSqliteStore(file);
    onTestFinished(() => after.close());
    const second = await setup({ process: { maxTokens: 1000 } }, { store: after });
    expect((await second.budgets.state(undefined)).process.used).toMatchObject({ tokens: 700, steps: 2, costUsd: 0.0007 });
    expect(await (await second.open()).reserveCall({ promptTokens: 100, maxTokens: undefined }, running)).toEqual({ maxTokens: 200 });
  });

  it("by other processes is seen when a scope has no live turn here", async () => {
    const store = await memoryStore(["s1"]);
    const [one, other] = [await setup({ session: { maxSteps: 3 } }, { store }), await setup({ session: { maxSteps: 3 } }, { store })];
    for (const { open, budgets } of [one, other, one]) {
      const account = await open({ sessionId: "s1" });
      expect(await call(account, 1, 1)).toBeUndefined();
      account.close();
      await budgets.flush();
    }
    expect(await call(await other.open({ sessionId: "s1" }), 1, 1)).toMatchObject({ limit: "maxSteps", used: 3 });
  });

  it("is read once for all turns that are live, however many are opened at a time", async () => {
    const { mood, replaced } = await moody();
    const { open } = await setup({ session: { maxSteps: 100 } }, replaced);
    const accounts = await Promise.all(Array.from({ length: 20 }, () => open({ sessionId: "s1" })));
    accounts.push(await open({ sessionId: "s1" }));
    for (const account of accounts) account.close();
    expect(mood.reads).toBe(1);
  });

  it("before a limit was set counts under it, and so does what comes in while the store is asked", async () => {
    const inner = await memoryStore();
    let finish = (): void => undefined;
    const gate = new Promise<void>((resolve) => {
      finish = resolve;
    });
    const spent: Store["spent"] = async (scope) => {
      const answer = await inner.spent(scope);
      await gate;
      return answer;
    };
    const { open, limits } = await setup({}, { store: inner, spent });
    const earlier = await open();
    await call(earlier, 300, 300);
    earlier.close();
    const [a, b] = await Promise.all([open(), open()]);
    await a.reserveCall({ promptTokens: 100, maxTokens: 100 }, running);
    limits.process = { maxTokens: 1000 };
    const waits = b.reserveCall({ promptTokens: 100, maxTokens: undefined }, running);
    await turnOfLoop();
    expect(a.settleCall(usageOf(25, 25), nothing)).toBeUndefined();
    finish();
    expect(await waits).toEqual({ maxTokens: 250 });
  });

  it("without any limit is gathered: calls cost no write of their own", async () => {
    vi.useFakeTimers();
    const { mood, inner, replaced } = await moody();
    const { open } = await setup({ turn: { maxSteps: 100, maxTokens: 100_000 } }, replaced);
    const account = await open({ sessionId: "s1" });
    for (let step = 0; step < 50; step++) expect(await call(account, 10, 10)).toBeUndefined();
    await settled();
    expect(mood).toMatchObject({ spends: 0, reads: 0 });
    await vi.advanceTimersByTimeAsync(1000);
    expect(mood).toMatchObject({ spends: 1, reads: 0 });
    expect(await inner.spent({ kind: "process" })).toMatchObject({ tokens: 1000, steps: 50 });
    account.close();
  });

  it("is complete when it is asked for, and when everything was flushed", async () => {
    const { open, budgets, store } = await setup();
    const account = await open({ sessionId: "s1" });
    await call(account, 10, 10);
    expect((await budgets.state("s1")).session).toMatchObject({ used: { tokens: 20, steps: 1 }, limits: {} });
    await call(account, 10, 10);
    await account.reserveCall({ promptTokens: 10, maxTokens: 10 }, running);
    expect((await budgets.state(undefined)).process.used).toMatchObject({ tokens: 60, steps: 3 });
    expect(Object.keys(await budgets.state(undefined))).toEqual(["process"]);
    account.close();
    const flushed = budgets.flush();
    await turnOfLoop();
    account.settleCall(usageOf(1, 1), nothing);
    await flushed;
    expect(await store.spent({ kind: "process" })).toMatchObject({ tokens: 42, steps: 3 });
  });

  it("of nothing opens no store", async () => {
    const { budgets, open } = await setup({}, { spend: () => Promise.reject(new Error("nobody asked for this")) });
    (await open()).close();
    await budgets.flush();
  });

  it("is given by the session or the process, with limits as they are now", async () => {
    const { budgets, limits } = await setup({ session: { maxSteps: 5 } });
    limits.process = { maxCostUsd: 2 };
    const used = { tokens: 0, steps: 0, toolCalls: 0, costUsd: 0, wallMs: 0 };
    expect(await budgets.state("s1")).toEqual({ process: { used, limits: { maxCostUsd: 2 } }, session: { used, limits: { maxSteps: 5 } } });
    await expect(budgets.state("nobody")).rejects.toMatchObject({ errorName: "session_not_found" });
  });
});

describe("a reset", () => {
  it("takes back what was used, but not what is running", async () => {
    const { open, budgets, store } = await setup({ session: { maxTokens: 1000 }, process: { maxTokens: 5000 } });
    const [a, b] = await Promise.all([open({ sessionId: "s1" }), open({ sessionId: "s1" })]);
    await call(a, 300, 300);
    await b.reserveCall({ promptTokens: 100, maxTokens: 200 }, running);
    await budgets.reset("s1");
    expect((await budgets.state("s1")).session?.used).toMatchObject({ tokens: 300, steps: 1, costUsd: 0.0003 });
    expect((await budgets.state("s1")).process.used).toMatchObject({ tokens: 900, steps: 2 });
    b.settleCall(usageOf(100, 100), nothing);
    await budgets.flush();
    expect(await store.spent({ kind: "session", sessionId: "s1" })).toMatchObject({ tokens: 200, steps: 1, costUsd: expect.closeTo(0.0002, 10) });
    expect(await a.reserveCall({ promptTokens: 100, maxTokens: undefined }, running)).toEqual({ maxTokens: 700 });
  });

  it("of a scope without live turns, and of a session that is not there", async () => {
    const { open, budgets } = await setup();
    const account = await open();
    await call(account, 1, 1);
    account.close();
    await budgets.reset(undefined);
    expect((await budgets.state(undefined)).process.used).toMatchObject({ tokens: 0, steps: 0 });
    await expect(budgets.reset("nobody")).rejects.toMatchObject({ errorName: "session_not_found" });
  });

  it("that fails changes nothing", async () => {
    const { open, budgets, store } = await setup({ process: { maxTokens: 1000 } }, { resetSpending: () => Promise.reject(full()) });
    const [a, b] = await Promise.all([open(), open()]);
    await call(a, 100, 100);
    await b.reserveCall({ promptTokens: 100, maxTokens: 100 }, running);
    await expect(budgets.reset(undefined)).rejects.toMatchObject({ errorName: "storage" });
    b.settleCall(usageOf(10, 10), nothing);
    await budgets.flush();
    expect(await store.spent({ kind: "process" })).toMatchObject({ tokens: 220, steps: 2 });
    expect(await a.reserveCall({ promptTokens: 0, maxTokens: undefined }, running)).toEqual({ maxTokens: 780 });
  });
});

describe("a store that fails", () => {
  it("ends a turn whose budget depends on it, and counts later what it could not take", async () => {
    const { mood, inner, replaced } = await moody();
    const { open, budgets } = await setup({ process: { maxTokens: 1000 } }, replaced);
    const account = await open();
    mood.fails = true;
    const storage = {
      kind: "storage",
      message: "What was used of the budgets could not be read or stored: The disk that holds the session store is full",
    };
    expect(await call(account, 10, 10)).toEqual(storage);
    await expect(budgets.state(undefined)).rejects.toMatchObject({ errorName: "storage" });
    expect(account.takeToolCall()).toBeUndefined();
    expect(account.steps).toBe(0);
    mood.fails = false;
    expect(await call(account, 10, 10)).toBeUndefined();
    account.close();
    await budgets.flush();
    expect(await inner.spent({ kind: "process" })).toMatchObject({ tokens: 20, steps: 1, toolCalls: 1 });
  });

  it("refuses turns whose budget it cannot tell, and takes them again when it can", async () => {
    const { mood, replaced } = await moody();
    const { open, limits, budgets } = await setup({ session: { maxTokens: 1000 } }, replaced);
    const outside = await open();
    mood.fails = true;
    await expect(open({ sessionId: "s1" })).rejects.toMatchObject({ errorName: "storage" });
    await expect(open({ sessionId: "nobody" })).rejects.toMatchObject({ errorName: "storage" });
    limits.process = { maxTokens: 1000 };
    budgets.limitsChanged();
    expect(await call(outside, 1, 1)).toMatchObject({ kind: "storage" });
    mood.fails = false;
    expect(await call(outside, 1, 1)).toBeUndefined();
    expect(await call(await open({ sessionId: "s1" }), 1, 1)).toBeUndefined();
    await expect(open({ sessionId: "nobody" })).rejects.toMatchObject({ errorName: "session_not_found" });
  });

  it("is only a warning, told once, where no limit depends on it", async () => {
    vi.useFakeTimers();
    const lines: string[] = [];
    const log = createLog({ level: "WARNING", write: (line) => lines.push(line) });
    const { mood, inner, replaced } = await moody();
    const { open } = await setup({}, { ...replaced, log });
    mood.fails = true;
    const account = await open({ sessionId: "s1" });
    for (let step = 0; step < 3; step++) {
      expect(await call(account, 10, 10)).toBeUndefined();
      await vi.advanceTimersByTimeAsync(10_000);
    }
    expect(mood.spends).toBeGreaterThan(3);
    mood.fails = false;
    await vi.advanceTimersByTimeAsync(10_000);
    expect(await inner.spent({ kind: "session", sessionId: "s1" })).toMatchObject({ tokens: 60, steps: 3 });
    account.close();
    vi.useRealTimers();
    await log.flush();
    expect(lines.filter((line) => line.includes("could not be stored yet"))).toHaveLength(1);
  });

  it("gives the room back that a call was refused for", async () => {
    const { mood, replaced } = await moody();
    const { open } = await setup({ process: { maxTokens: 1000 } }, replaced);
    const [a, b] = await Promise.all([open(), open()]);
    mood.fails = true;
    expect(await call(a, 100, 100)).toMatchObject({ kind: "storage" });
    mood.fails = false;
    expect(await b.reserveCall({ promptTokens: 100, maxTokens: undefined }, running)).toEqual({ maxTokens: 900 });
  });

  it("does not hold a call that is stopped while its reservation is being stored", async () => {
    const inner = await memoryStore();
    let finish = (): void => undefined;
    const gate = new Promise<void>((resolve) => {
      finish = resolve;
    });
    const spend: Store["spend"] = async (amounts) => {
      await gate;
      return inner.spend(amounts);
    };
    const { open, budgets } = await setup({ process: { maxTokens: 1000 } }, { store: inner, spend });
    const [a, b] = await Promise.all([open(), open()]);
    const stop = new AbortController();
    const first = a.reserveCall({ promptTokens: 100, maxTokens: undefined }, stop.signal);
    const second = b.reserveCall({ promptTokens: 100, maxTokens: 100 }, running);
    await settled();
    stop.abort();
    a.close();
    finish();
    expect(await first).toBe("aborted");
    expect(await second).toEqual({ maxTokens: 100 });
    b.settleCall(usageOf(1, 1), nothing);
    b.close();
    await budgets.flush();
    expect(await inner.spent({ kind: "process" })).toMatchObject({ tokens: 2, steps: 1 });
  });
});
