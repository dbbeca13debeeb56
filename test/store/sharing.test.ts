import { beforeAll, describe, expect, it } from "vitest";
import { openSqliteStore } from "../../src/store/sqlite.ts";
import { storeFolder } from "./files.ts";
import { bundleChild, startChild } from "./processes.ts";
import { calling, START_MS, session, turn } from "./records.ts";

const { folder, newPath } = storeFolder();
const options = { keepTraces: 1000, now: () => START_MS };
let bundle = "";
beforeAll(async () => {
  bundle = await bundleChild(folder);
});

describe("a file that another process uses", { timeout: 120_000 }, () => {
  it("may be made by several at the same moment", async () => {
    for (let round = 0; round < 5; round++) {
      const path = newPath();
      const children = ["a", "b", "c", "d"].map((name) => startChild(bundle, ["openOnly", path, name]));
      expect(await Promise.all(children.map((child) => child.ended)), children.flatMap((child) => child.lines).join()).toEqual([0, 0, 0, 0]);
      const store = await openSqliteStore({ path, ...options });
      expect((await store.listSessions({ limit: 10 })).map((found) => found.sessionId).toSorted()).toEqual(["a", "b", "c", "d"]);
      await store.close();
    }
  });

  it("is waited for while that process is making it", async () => {
    const path = newPath();
    const holder = startChild(bundle, ["hold", path]);
    await holder.said("held");
    let isOpen = false;
    const opening = openSqliteStore({ path, ...options, busyDeadlineMs: 60_000 }).then((store) => {
      isOpen = true;
      return store;
    });
    for (let turns = 0; turns < 5; turns++) await new Promise((resolve) => setTimeout(resolve, 10));
    expect(isOpen).toBe(false);
    holder.poke();
    await holder.ended;
    const store = await opening;
    await store.upsertSession(session("s1"));
    await store.close();
  });

  it("takes what both write, without an error", async () => {
    const path = newPath();
    const children = ["left", "right"].map((name) => startChild(bundle, ["share", path, name]));
    expect(await Promise.all(children.map((child) => child.ended)), children.flatMap((child) => child.lines).join()).toEqual([0, 0]);
    const store = await openSqliteStore({ path, ...options });
    const all = await store.listSessions({ limit: 1000 });
    for (const name of ["left", "right"]) expect(all.filter((found) => found.sessionId.startsWith(name))).toHaveLength(200);
    await store.close();
  });

  it("is waited for while the event loop goes on; reads do not wait", async () => {
    const path = newPath();
    const store = await openSqliteStore({ path, ...options, busyDeadlineMs: 60_000 });
    await store.upsertSession(session("s1"));
    const holder = startChild(bundle, ["hold", path]);
    await holder.said("held");
    let isDone = false;
    const write = store.beginTurn(turn("t1", "s1")).then(() => {
      isDone = true;
    });
    // Were the wait a blocking one, this timer could not fire before it ends, and the holder would never be poked.
    for (let turns = 0; turns < 5; turns++) await new Promise((resolve) => setTimeout(resolve, 10));
    expect(isDone).toBe(false);
    holder.poke();
    await holder.said("released");
    await write;
    expect((await store.listMessages("s1", { limit: 5 })).items).toHaveLength(1);
    expect(await holder.ended).toBe(0);
    await store.close();
  });

  it("fails writes as busy after the deadline, leaves reads alone, and takes writes again later", async () => {
    const path = newPath();
    const store = await openSqliteStore({ path, ...options, busyDeadlineMs: 150 });
    await store.upsertSession(session("s1"));
    const holder = startChild(bundle, ["hold", path]);
    await holder.said("held");
    expect(await store.getSession("s1")).toMatchObject({ sessionId: "s1" });
    await expect(store.upsertSession(session("s2"))).rejects.toMatchObject({
      errorName: "storage",
      data: { reason: "busy" },
      message: "Another process is holding the session store",
    });
    expect(store.health()).toMatchObject({ status: "error" });
    holder.poke();
    await holder.ended;
    await store.upsertSession(session("s2"));
    expect(store.health()).toMatchObject({ status: "ok" });
    await store.close();
  });

  it("fails steps, calls and spending as busy after the deadline, and nothing of them happens later", async () => {
    const path = newPath();
    const store = await openSqliteStore({ path, ...options, busyDeadlineMs: 150 });
    await store.upsertSession(session("s1"));
    await store.beginTurn({ ...turn("t1", "s1"), idempotency: { key: "k", digest: "d", streamId: "t1" } });
    const holder = startChild(bundle, ["hold", path]);
    await holder.said("held");
    const busy = { errorName: "storage", data: { reason: "busy" } };
    const spend = (): Promise<void> => store.spend([{ scope: { kind: "process" }, amount: { tokens: 1, steps: 0, toolCalls: 0, costUsd: 0, wallMs: 0 } }]);
    const step = (durable: boolean): Promise<void> => store.saveStep({ turnId: "t1", messages: [calling("a")], begun: ["a"], durable });
    const refused = await Promise.allSettled([step(true), step(false), store.beginCall({ key: "c", digest: "d" }), spend()]);
    expect(refused).toMatchObject(Array.from({ length: 4 }, () => ({ status: "rejected", reason: busy })));
    expect(await store.findTurn("k")).toMatchObject({ status: "running", messages: [] });
    expect(await store.spent({ kind: "process" })).toMatchObject({ tokens: 0 });
    holder.poke();
    await holder.ended;
    expect(await store.beginCall({ key: "c", digest: "d" })).toBe("begun");
    await Promise.all([step(false), spend()]);
    expect((await store.findTurn("k"))?.messages).toHaveLength(1);
    expect((await store.spent({ kind: "process" })).tokens).toBe(1);
    await store.close();
  });

  it("counts what several processes spend at the same moment", async () => {
    const path = newPath();
    const children = ["a", "b", "c"].map((name) => startChild(bundle, ["spend", path, name]));
    expect(await Promise.all(children.map((child) => child.ended)), children.flatMap((child) => child.lines).join()).toEqual([0, 0, 0]);
    const store = await openSqliteStore({ path, ...options });
    expect(await store.spent({ kind: "process" })).toEqual({ tokens: 300, steps: 600, toolCalls: 0, costUsd: 75, wallMs: 0 });
    await store.close();
  });

  it("does not keep a store from closing", async () => {
    const path = newPath();
    const store = await openSqliteStore({ path, ...options, busyDeadlineMs: 100 });
    const other = await openSqliteStore({ path, ...options });
    const holder = startChild(bundle, ["hold", path]);
    await holder.said("held");
    const write = expect(store.upsertSession(session("s1"))).rejects.toMatchObject({ data: { reason: "busy" } });
    const otherWrite = expect(other.upsertSession(session("s1"))).rejects.toMatchObject({ data: { reason: "busy" } });
    await store.close();
    other.closeSync();
    await Promise.all([write, otherWrite]);
    holder.poke();
    await holder.ended;
  });
});
