import { describe, expect, it } from "vitest";
import { fail } from "../../src/errors.ts";
import { Readiness, type ReadinessDependencies } from "../../src/runtime/readiness.ts";

const ready = { ready: true, checks: { store: { status: "ok" }, streams: { status: "ok" } } };

/** A store that counts how often it is asked, and answers as `answer` says; a clock that stands. */
function start(answer: () => Promise<void>, more: Partial<ReadinessDependencies> = {}) {
  const clock = { now: 0 };
  const asked = { times: 0, atOnce: 0, most: 0 };
  const probe = async () => {
    asked.times++;
    asked.most = Math.max(asked.most, ++asked.atOnce);
    try {
      await answer();
    } finally {
      asked.atOnce--;
    }
  };
  const deps = { store: async () => ({ probe }), streams: () => 0, mostStreams: 2, isEnding: () => false, now: () => clock.now, ...more };
  return { readiness: new Readiness(deps), clock, asked };
}

describe("readiness", () => {
  it("is there where the store takes a change and more streams may be opened", async () => {
    expect(await start(async () => undefined, { streams: () => 1 }).readiness.report()).toEqual(ready);
  });

  it("is missing where the store takes no change, and says why without naming a file", async () => {
    const full = start(() => Promise.reject(fail("storage", { reason: "disk_full" }, "/home/somebody/sidecar.db is full")));
    const message = "The store cannot be written (disk_full)";
    expect(await full.readiness.report()).toEqual({
      ready: false,
      reason: message,
      checks: { store: { status: "error", message }, streams: { status: "ok" } },
    });
    const closed = start(async () => undefined, { store: () => Promise.reject(new Error("/home/somebody/sidecar.db")) });
    expect((await closed.readiness.report()).reason).toBe("The store cannot be written");
  });

  it("is missing where as many streams are open as there may be, where a listener is full, and when the process ends", async () => {
    const streams = { reason: "2 of 2 streams are open" };
    const crowded = start(async () => undefined, { streams: () => 2 });
    expect(await crowded.readiness.report()).toMatchObject({ ready: false, ...streams, checks: { streams: { status: "error", message: streams.reason } } });
    const { readiness } = start(async () => undefined);
    let full: string | undefined;
    readiness.limitBy(() => full);
    expect(await readiness.report()).toEqual({ ...ready, checks: { ...ready.checks, requests: { status: "ok" } } });
    full = "64 requests are running";
    expect(await readiness.report()).toMatchObject({ ready: false, reason: full, checks: { requests: { status: "error", message: full } } });
    expect(await start(async () => undefined, { isEnding: () => true }).readiness.report()).toMatchObject({
      ready: false,
      reason: "The sidecar is shutting down",
    });
  });

  it("asks the store once for all who ask at a time, and at most once a second", async () => {
    let isWell = true;
    const { readiness, clock, asked } = start(async () => {
      if (!isWell) throw fail("storage", { reason: "readonly" });
    });
    await Promise.all(Array.from({ length: 100 }, () => readiness.report()));
    isWell = false;
    clock.now = 999;
    expect((await readiness.report()).ready).toBe(true);
    expect(asked).toMatchObject({ times: 1, most: 1 });
    clock.now = 1000;
    expect((await readiness.report()).ready).toBe(false);
    isWell = true;
    clock.now = 2000;
    expect((await readiness.report()).ready).toBe(true);
    expect(asked).toMatchObject({ times: 3, most: 1 });
  });

  it("waits for a store that hangs as long as its deadline, then tells at once, and asks it nothing more until it has answered", async () => {
    let answer: () => void = () => undefined;
    const hanging = new Promise<void>((resolve) => {
      answer = resolve;
    });
    const { readiness, clock, asked } = start(() => hanging, { deadlineMs: 20 });
    expect(await readiness.report()).toMatchObject({ ready: false, reason: "The store does not answer" });
    clock.now = 60_000;
    expect(await readiness.report()).toMatchObject({ ready: false, reason: "The store does not answer" });
    expect(asked.times).toBe(1);
    answer();
    await expect.poll(async () => (await readiness.report()).ready, { timeout: 10_000 }).toBe(true);
    expect(asked.most).toBe(1);
  });
});
