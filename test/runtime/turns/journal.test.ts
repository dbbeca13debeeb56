import { describe, expect, it } from "vitest";
import { fail } from "../../../src/errors.ts";
import { createLog } from "../../../src/log.ts";
import { Endings } from "../../../src/runtime/turns/endings.ts";
import { Journal } from "../../../src/runtime/turns/journal.ts";
import { openMemoryStore } from "../../../src/store/memory.ts";
import type { MessageBody, Store, TurnEnd, TurnStep } from "../../../src/store/store.ts";

const said = (content: string): MessageBody => ({ role: "assistant", content });
const result = (toolCallId: string): MessageBody => ({ role: "tool", toolCallId, content: "r" });
const unknown = (toolCallId: string): MessageBody => ({ role: "tool", toolCallId, content: "?", outcomeUnknown: true });

/** A store with a running turn `t` in session `s`, whose steps and ends wait for `open`, and fail as often as told. */
async function makeStore() {
  const memory = await openMemoryStore({ path: ":memory:", keepTraces: 10, now: Date.now });
  const fields = { sessionId: "s", userId: "u", chatId: "c", currentStage: "plan", scenario: "x" };
  await memory.upsertSession(fields);
  const at = new Date(0).toISOString();
  const trace = { traceId: "tr", status: "running" as const, hadError: false, eventCount: 0, spanCount: 0, startedAtMs: 0, createdAt: at, updatedAt: at };
  await memory.beginTurn({ turnId: "t", traceId: "tr", sessionId: "s", messages: [{ role: "user", content: "Go" }], trace });
  const steps: TurnStep[] = [];
  const waiting: (() => void)[] = [];
  const control = { failures: 0, holds: false };
  const gate = async (): Promise<void> => {
    if (control.holds) await new Promise<void>((resolve) => waiting.push(resolve));
    if (control.failures > 0) {
      control.failures--;
      throw fail("storage", { reason: "disk_full" });
    }
  };
  const store: Store = {
    ...memory,
    saveStep: async (step) => {
      steps.push(structuredClone(step));
      await gate();
      return memory.saveStep(step);
    },
    endTurn: async (end) => {
      await gate();
      return memory.endTurn(end);
    },
  };
  const end: TurnEnd = {
    turnId: "t",
    sessionId: "s",
    answer: undefined,
    ending: { status: "cancelled", steps: 1 },
    trace: { trace: { ...trace, status: "cancelled" }, spans: [], events: [] },
  };
  const outline = async () =>
    (await memory.listMessages("s", { limit: 100 })).items.map(({ content, toolCallId, role }) => toolCallId ?? `${role} ${String(content)}`);
  const release = () => {
    for (const resolve of waiting.splice(0)) resolve();
  };
  return { store, steps, control, release, outline, end };
}

describe("the journal of a turn", () => {
  it("keeps messages back until the next write, and stores them as they came", async () => {
    const { store, steps, outline } = await makeStore();
    const journal = new Journal("t", store);
    journal.add(said("a"));
    expect(steps).toEqual([]);
    await journal.begin("c1");
    await journal.end("c1", () => journal.add(result("c1")));
    journal.add(said("b"));
    journal.flush();
    journal.flush();
    expect(steps.map(({ messages, begun, ended, durable }) => [messages.length, begun, ended, durable])).toEqual([
      [1, ["c1"], [], true],
      [1, [], ["c1"], true],
      [1, [], [], false],
    ]);
    await journal.finish();
    expect(await outline()).toEqual(["user Go", "assistant a", "c1", "assistant b"]);
  });

  it("hands over one write at a time, and what comes meanwhile together", async () => {
    const { store, steps, control, release, outline } = await makeStore();
    control.holds = true;
    const journal = new Journal("t", store);
    journal.add(said("a"));
    journal.flush();
    journal.add(said("b"));
    journal.flush();
    journal.add(said("c"));
    const begun = journal.begin("c1");
    expect(steps).toHaveLength(1);
    control.holds = false;
    release();
    await begun;
    expect(steps.map(({ messages }) => messages.length)).toEqual([1, 2]);
    expect(steps[1]).toMatchObject({ begun: ["c1"], durable: true });
    expect(await outline()).toEqual(["user Go", "assistant a", "assistant b", "assistant c"]);
  });

  it("stores what a write could not store with the next one, in its place", async () => {
    const { store, control, outline } = await makeStore();
    control.failures = 1;
    const journal = new Journal("t", store);
    journal.add(said("a"));
    journal.flush();
    journal.add(said("b"));
    await journal.begin("c1");
    expect(await outline()).toEqual(["user Go", "assistant a", "assistant b"]);
  });

  it("lets no call run that it could not write down, and forgets that one", async () => {
    const { store, control, outline, end } = await makeStore();
    control.failures = 1;
    const journal = new Journal("t", store);
    journal.add(said("a"));
    await expect(journal.begin("c1")).rejects.toMatchObject({ errorName: "storage" });
    expect(journal.close(unknown)).toEqual([]);
    await journal.finish();
    await store.endTurn(end);
    expect(await outline()).toEqual(["user Go", "assistant a"]);
  });

  it("tells a call that was cut off from one that had not been run yet", async () => {
    const { store, outline, end } = await makeStore();
    const journal = new Journal("t", store);
    for (const id of ["ran", "waited"]) await journal.begin(id);
    journal.runs("ran");
    expect(journal.close(unknown)).toEqual(["ran"]);
    journal.add(said("added"));
    await journal.finish();
    await store.endTurn(end);
    expect(await outline()).toEqual(["user Go", "ran", "assistant added"]);
  });

  it("takes nothing more once it is finished", async () => {
    const { store, steps } = await makeStore();
    const journal = new Journal("t", store);
    journal.close(unknown);
    await journal.finish();
    journal.add(said("late"));
    await journal.begin("late");
    await journal.end("late", () => journal.add(result("late")));
    journal.flush();
    await journal.finish();
    expect(steps).toEqual([]);
  });

  it("needs no store, and tells what was cut off all the same", async () => {
    const journal = new Journal("t", undefined);
    journal.add(said("a"));
    await journal.begin("c1");
    journal.runs("c1");
    expect(journal.close(unknown)).toEqual(["c1"]);
    await journal.finish();
  });

  it("within one call, at the end of the process, hands over what the store has not been given", async () => {
    const { store, control, release, steps, outline } = await makeStore();
    control.holds = true;
    const journal = new Journal("t", store);
    journal.add(said("a"));
    journal.flush();
    journal.add(said("b"));
    const finishing = journal.finish();
    journal.handOver();
    expect(steps.map(({ messages }) => messages.length)).toEqual([1, 1]);
    control.holds = false;
    release();
    await finishing;
    expect(await outline()).toEqual(["user Go", "assistant a", "assistant b"]);
  });
});

describe("the ends of turns", () => {
  const log = createLog({ level: "ERROR", write: () => undefined });

  it("are stored behind what the journal still held, and tried again until the store takes them", async () => {
    const { store, control, outline, end } = await makeStore();
    const journal = new Journal("t", store);
    journal.add(said("a"));
    control.failures = 1;
    journal.flush();
    // The first try of the end; the journal has failed before.
    control.failures = 1;
    journal.close(unknown);
    const endings = new Endings(async () => store, log);
    let settled = 0;
    const settling = new Promise<void>((resolve) => {
      const onSettled = () => {
        settled++;
        resolve();
      };
      endings.save({ journal, end, isStored: true, onSettled }).catch((error: unknown) => expect(error).toMatchObject({ errorName: "storage" }));
    });
    await settling;
    expect(settled).toBe(1);
    expect(await outline()).toEqual(["user Go", "assistant a"]);
    expect(await store.listMessages("s", { limit: 10 })).toMatchObject({ items: [{ turnStatus: "cancelled" }, { turnStatus: "cancelled" }] });
  });

  it("that are on their way when the process ends are handed over at once, and count once", async () => {
    const { store, outline, end } = await makeStore();
    const journal = new Journal("t", store);
    journal.add(said("a"));
    const endings = new Endings(async () => store, log);
    let settled = 0;
    const saving = endings.save({ journal, end, isStored: true, onSettled: () => settled++ });
    const handed: string[] = [];
    endings.handOver({
      ...store,
      endTurn: async (given) => {
        handed.push(given.turnId);
        return store.endTurn(given);
      },
    });
    expect(handed).toEqual(["t"]);
    await saving;
    expect(settled).toBe(1);
    expect(await outline()).toEqual(["user Go", "assistant a"]);
  });
});
