import { setImmediate as turnOfLoop } from "node:timers/promises";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Budget } from "../../../src/contract/model.ts";
import { call, memoryStore, running, setup, type Setup, usageOf } from "./setup.ts";

/** A call that a turn of the test makes. */
interface PlannedCall {
  promptTokens: number;
  maxTokens: number | undefined;
  /** Of what the answer may have. */
  share: number;
  end: "usage" | "estimate" | "aborted" | "closed";
  tools: number;
}

interface PlannedTurn {
  session: number | undefined;
  budget: Budget | undefined;
  calls: PlannedCall[];
}

const plannedCall = fc.record<PlannedCall>({
  promptTokens: fc.integer({ min: 0, max: 400 }),
  maxTokens: fc.option(fc.integer({ min: 1, max: 600 }), { nil: undefined }),
  share: fc.double({ min: 0, max: 1, noNaN: true }),
  end: fc.constantFrom("usage", "usage", "usage", "estimate", "aborted", "closed"),
  tools: fc.nat(2),
});

const limit = (max: number) => fc.option(fc.integer({ min: 0, max }), { nil: undefined, freq: 2 });

const budget = fc
  .record({ maxTokens: limit(3000), maxSteps: limit(12), maxToolCalls: limit(12), millionths: limit(3000) })
  .map(({ millionths, ...rest }): Budget => {
    const all = { ...rest, maxCostUsd: millionths === undefined ? undefined : millionths / 1_000_000 };
    return Object.fromEntries(Object.entries(all).filter(([, max]) => max !== undefined));
  });

const plannedTurn = fc.record<PlannedTurn>({
  session: fc.option(fc.integer({ min: 1, max: 3 }), { nil: undefined }),
  budget: fc.option(budget, { nil: undefined }),
  calls: fc.array(plannedCall, { minLength: 1, maxLength: 4 }),
});

/** Counts by itself what every scope has used and promised, and compares that with the limits after every step. */
class Witness {
  readonly #limits: Setup["limits"];
  readonly #scopes = new Map<string, { limits: Budget; tokens: number; promised: number; steps: number; toolCalls: number }>();

  constructor(limits: Setup["limits"]) {
    this.#limits = limits;
  }

  of(turn: number, { session, budget: own }: PlannedTurn) {
    const scope = (key: string, limits: Budget) => {
      const known = this.#scopes.get(key) ?? { limits, tokens: 0, promised: 0, steps: 0, toolCalls: 0 };
      this.#scopes.set(key, known);
      return known;
    };
    return [
      scope(`turn ${turn}`, own ?? {}),
      ...(session === undefined ? [] : [scope(`s${session}`, this.#limits.session)]),
      scope("process", this.#limits.process),
    ];
  }

  get(key: string) {
    return this.#scopes.get(key) ?? { tokens: 0, promised: 0, steps: 0, toolCalls: 0 };
  }

  check(): void {
    for (const { limits, tokens, promised, steps, toolCalls } of this.#scopes.values()) {
      expect(tokens + promised).toBeLessThanOrEqual(limits.maxTokens ?? Number.POSITIVE_INFINITY);
      expect(Math.round(tokens + promised)).toBeLessThanOrEqual(Math.round((limits.maxCostUsd ?? Number.POSITIVE_INFINITY) * 1_000_000));
      expect(steps).toBeLessThanOrEqual(limits.maxSteps ?? Number.POSITIVE_INFINITY);
      expect(toolCalls).toBeLessThanOrEqual(limits.maxToolCalls ?? Number.POSITIVE_INFINITY);
    }
  }
}

async function pause(length: number): Promise<void> {
  if (length > 6) await turnOfLoop();
  for (let turn = 0; turn < length; turn++) await Promise.resolve();
}

/** Plays one turn: every call takes at most what was reserved for it. Gives whether a budget has ended it. */
async function play(turn: number, plan: PlannedTurn, { open }: Setup, witness: Witness, nextPause: () => Promise<void>): Promise<boolean> {
  await nextPause();
  const scopes = witness.of(turn, plan);
  const account = await open({
    ...(plan.session === undefined ? {} : { sessionId: `s${plan.session}` }),
    ...(plan.budget === undefined ? {} : { budget: plan.budget }),
  });
  try {
    for (const { promptTokens, maxTokens, share, end, tools } of plan.calls) {
      const stop = new AbortController();
      if (end === "aborted") void nextPause().then(() => stop.abort());
      const room = await account.reserveCall({ promptTokens, maxTokens }, stop.signal);
      if (room === "aborted") continue;
      if ("failure" in room) return room.failure.kind === "budget_exhausted";
      const promised = room.maxTokens ?? 0;
      for (const scope of scopes) {
        scope.promised += promised;
        scope.steps++;
      }
      witness.check();
      await nextPause();
      if (end === "closed") account.close();
      const answered = Math.floor(share * promised);
      const taken = usageOf(Math.floor(answered / 2), Math.ceil(answered / 2));
      for (const scope of scopes) {
        scope.promised -= promised;
        scope.tokens += answered;
      }
      if (account.settleCall(end === "estimate" ? undefined : taken, taken) !== undefined) throw new Error("A limit was passed");
      witness.check();
      if (end === "closed") return false;
      for (let tool = 0; tool < tools; tool++) {
        if (account.takeToolCall() !== undefined) return true;
        for (const scope of scopes) scope.toolCalls++;
        witness.check();
      }
      await nextPause();
    }
    return false;
  } finally {
    account.close();
  }
}

describe("turns that run side by side", () => {
  it("never pass a limit of any scope, all come to an end, and the store has the sum of what they took", async () => {
    let exhausted = 0;
    let completed = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.array(plannedTurn, { minLength: 1, maxLength: 20 }),
        fc.record({ session: budget, process: budget }),
        fc.infiniteStream(fc.nat(8)),
        async (plans, limits, pauses) => {
          const nextPause = () => pause(pauses.next().value ?? 0);
          const store = await memoryStore(["s1", "s2", "s3"]);
          const made = await setup(limits, {
            store,
            spend: async (amounts) => {
              const spent = store.spend(amounts);
              await nextPause();
              return spent;
            },
          });
          const witness = new Witness(made.limits);
          const ended = await Promise.all(plans.map((plan, turn) => play(turn, plan, made, witness, nextPause)));
          await made.budgets.flush();
          exhausted += ended.filter(Boolean).length;
          completed += ended.filter((isExhausted) => !isExhausted).length;
          for (const key of ["process", "s1", "s2", "s3"]) {
            const { tokens, steps, toolCalls } = witness.get(key);
            const spent = await store.spent(key === "process" ? { kind: "process" } : { kind: "session", sessionId: key });
            expect(spent).toMatchObject({ tokens, steps, toolCalls });
            expect(spent.costUsd * 1_000_000).toBeCloseTo(tokens, 3);
          }
        },
      ),
      { numRuns: 150 },
    );
    // The schedules are of both kinds.
    expect(exhausted).toBeGreaterThan(100);
    expect(completed).toBeGreaterThan(100);
  }, 120_000);

  it("share two limits, fifty of them in five sessions, without a deadlock and down to the last token", async () => {
    const { open, budgets, store } = await setup({ session: { maxTokens: 10_000 }, process: { maxTokens: 40_000 } });
    const turn = async (index: number): Promise<number> => {
      const account = await open({ sessionId: `s${(index % 5) + 1}` });
      let calls = 0;
      while ((await call(account, 50, 50)) === undefined) {
        calls++;
        await turnOfLoop();
      }
      account.close();
      return calls;
    };
    const calls = await Promise.all(Array.from({ length: 50 }, (_, index) => turn(index)));
    expect(calls.reduce((sum, each) => sum + each, 0)).toBe(400);
    await budgets.flush();
    expect(await store.spent({ kind: "process" })).toMatchObject({ tokens: 40_000, steps: 400 });
  });

  it("begin nothing more once a call has taken more than was reserved for it", async () => {
    const { open } = await setup({ session: { maxTokens: 5000 } });
    const [a, b] = await Promise.all([open({ sessionId: "s1" }), open({ sessionId: "s1" })]);
    const room = await a.reserveCall({ promptTokens: 100, maxTokens: 100 }, running);
    expect(room).toEqual({ maxTokens: 100 });
    expect(a.settleCall(usageOf(4000, 1001), { promptTokens: 0, completionTokens: 0 })).toMatchObject({ used: 5001 });
    expect(a.takeToolCall()).toMatchObject({ limit: "maxTokens", scope: "session" });
    expect(b.takeToolCall()).toMatchObject({ limit: "maxTokens", scope: "session" });
    expect(await call(b, 1, 1)).toMatchObject({ message: "The budget of the session is exhausted: maxTokens is 5000 and 5001 were used (1 over)" });
  });
});
