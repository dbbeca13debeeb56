import { beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { Connection } from "../../src/store/sqlite/connection.ts";
import { loadDriver } from "../../src/store/sqlite/driver.ts";
import { openSqliteStore } from "../../src/store/sqlite.ts";
import type { Store } from "../../src/store/store.ts";
import { storeFolder } from "./files.ts";
import { bundleChild, startChild } from "./processes.ts";
import { answer, calling, ending, START_MS, session, traceRecord, turn } from "./records.ts";

const { folder, newPath } = storeFolder();
const DAY_MS = 24 * 60 * 60 * 1000;
const open = (path: string, now = START_MS): Promise<Store> => openSqliteStore({ path, keepTraces: 100_000, now: () => now });

function rows(path: string, table: string): number {
  const connection = new Connection(loadDriver().open(path, { readOnly: true }));
  try {
    return Number(connection.get(`SELECT count(*) AS n FROM ${table}`)?.["n"]);
  } finally {
    connection.close();
  }
}

describe("idempotency keys", { timeout: 120_000 }, () => {
  let bundle = "";
  beforeAll(async () => {
    bundle = await bundleChild(folder);
  });

  it("are one turn's and one call's, however many processes try at the same moment", async () => {
    const path = newPath();
    await (await open(path)).close();
    const children = ["a", "b", "c"].map((name) => startChild(bundle, ["keys", path, name]));
    onTestFinished(() => {
      for (const child of children) child.kill("SIGKILL");
    });
    await Promise.all(children.map((child) => child.said("open")));
    for (const child of children) child.poke();
    await Promise.all(children.map((child) => child.said("tried")));
    const winners = children.flatMap((child) => child.lines.filter((line) => /^(?:turn|call) /.test(line)));
    const expected = Array.from({ length: 60 }, (_, index) => [`turn k${index}`, `call k${index}`]).flat();
    expect(winners.toSorted()).toEqual(expected.toSorted());
  });

  it("are deleted a day later when the file is opened, and with them what was kept for nothing else", async () => {
    const path = newPath();
    const first = await open(path);
    await first.upsertSession(session("s1"));
    await Promise.all(
      Array.from({ length: 1200 }, async (_, index) => {
        const turnId = `t${index}`;
        const sessionId = index % 2 === 0 ? "s1" : undefined;
        await first.beginTurn({ ...turn(turnId, sessionId), idempotency: { key: turnId, digest: "d", streamId: turnId } });
        await first.saveStep({ turnId, messages: [calling("a")], begun: ["a"], durable: true });
        if (index > 2) {
          await first.endTurn({ turnId, sessionId, answer: answer("x"), ending: ending("completed"), trace: traceRecord(`tr_${turnId}`) });
        }
        await first.beginCall({ key: turnId, digest: "d" });
        if (index > 2) await first.endCall(turnId, { success: true });
      }),
    );
    await first.close();
    expect(["turn_keys", "calls", "turns"].map((table) => rows(path, table))).toEqual([1200, 1200, 1200]);
    await (await open(path, START_MS + DAY_MS - 1)).close();
    expect(["turn_keys", "calls", "turns"].map((table) => rows(path, table))).toEqual([1200, 1200, 1200]);
    const last = await open(path, START_MS + DAY_MS);
    expect(["turn_keys", "calls", "turns", "effects"].map((table) => rows(path, table))).toEqual([0, 0, 600, 2]);
    expect((await last.listMessages("s1", { limit: 10_000 })).items).toHaveLength(600 * 4 - 2);
    await last.close();
  });

  it("are deleted now and then in a process that runs for long", async () => {
    const path = newPath();
    let now = START_MS;
    const store = await openSqliteStore({ path, keepTraces: 100_000, now: () => now });
    onTestFinished(() => store.close());
    await store.beginCall({ key: "old", digest: "d" });
    now += DAY_MS;
    await store.beginCall({ key: "new", digest: "d" });
    await Promise.all(Array.from({ length: 1000 }, (_, index) => store.saveTrace(traceRecord(`tr${index}`))));
    await store.listGrants();
    expect(rows(path, "calls")).toBe(1);
  });
});
