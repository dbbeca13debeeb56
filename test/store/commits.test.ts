import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from "vitest";
import { fail } from "../../src/errors.ts";
import { Commits } from "../../src/store/sqlite/commits.ts";
import { Connection } from "../../src/store/sqlite/connection.ts";
import { type Database, loadDriver } from "../../src/store/sqlite/driver.ts";

describe("group commit", { timeout: 120_000 }, () => {
  let database: Database;
  let executed: string[];
  let connection: Connection;
  let commits: Commits;
  beforeEach(() => {
    database = loadDriver().open(":memory:", { readOnly: false });
    database.exec("CREATE TABLE t (a INTEGER PRIMARY KEY)");
    executed = [];
    connection = new Connection({
      exec: (sql) => {
        executed.push(sql);
        database.exec(sql);
      },
      prepare: (sql) => {
        const statement = database.prepare(sql);
        return {
          get: (...values) => statement.get(...values),
          all: (...values) => statement.all(...values),
          run: (...values) => {
            executed.push(sql);
            return statement.run(...values);
          },
        };
      },
      close: () => database.close(),
    });
    commits = new Commits({ connection, busyDeadlineMs: 100, observe: () => {}, check: () => {} });
  });
  afterEach(() => connection.close());

  const insert = (a: number) => (): number => connection.run("INSERT INTO t (a) VALUES (?)", a);
  const stored = (): unknown[] => connection.all("SELECT a FROM t ORDER BY a").map((row) => row["a"]);
  const count = (sql: string): number => executed.filter((one) => one === sql).length;

  /** A transaction that takes long is cut in two: not in tests of one. */
  const stopTheClock = (): void => {
    const now = performance.now();
    const clock = vi.spyOn(performance, "now").mockReturnValue(now);
    onTestFinished(() => clock.mockRestore());
  };

  it("puts 100 changes that are asked for at once into a handful of transactions", async () => {
    stopTheClock();
    await Promise.all(Array.from({ length: 100 }, (_, index) => commits.write(insert(index))));
    expect(stored()).toHaveLength(100);
    expect(count("COMMIT")).toBeLessThanOrEqual(5);
  });

  it("takes back only the change that fails", async () => {
    stopTheClock();
    const settled = await Promise.allSettled([
      commits.write(insert(1)),
      commits.write(() => {
        insert(2)();
        throw fail("session_closed");
      }),
      commits.write(() => {
        insert(3)();
        return insert(1)();
      }),
      commits.write(() => {
        insert(4)();
        throw new TypeError("a bug");
      }),
      commits.write(insert(5)),
    ]);
    expect(settled.map((one) => (one.status === "rejected" ? (one.reason as { errorName: string }).errorName : "ok"))).toEqual([
      "ok",
      "session_closed",
      "storage",
      "internal",
      "ok",
    ]);
    expect(stored()).toEqual([1, 5]);
    expect(count("COMMIT")).toBe(1);
  });

  it("resolves no promise before its commit", async () => {
    const order: string[] = [];
    const write = commits.write(insert(1)).then(() => order.push(`resolved after ${count("COMMIT")} commits`));
    await write;
    expect(order).toEqual(["resolved after 1 commits"]);
  });

  it("flushes the disk for every transaction but those that hold nothing but parts of answers", async () => {
    await commits.write(insert(1), "relaxed");
    await commits.write(insert(2), "relaxed");
    expect(executed.filter((sql) => sql.startsWith("PRAGMA"))).toEqual(["PRAGMA synchronous = NORMAL"]);
    await Promise.all([commits.write(insert(3), "relaxed"), commits.write(insert(4))]);
    await commits.write(insert(5));
    expect(executed.filter((sql) => sql.startsWith("PRAGMA"))).toEqual(["PRAGMA synchronous = NORMAL", "PRAGMA synchronous = FULL"]);
  });

  it("fails all changes of a transaction that cannot be committed, and none after it", async () => {
    stopTheClock();
    database.exec(
      "CREATE TABLE parent (p INTEGER PRIMARY KEY); CREATE TABLE child (p INTEGER REFERENCES parent DEFERRABLE INITIALLY DEFERRED); PRAGMA foreign_keys = ON",
    );
    const settled = await Promise.allSettled([commits.write(insert(1)), commits.write(() => connection.run("INSERT INTO child (p) VALUES (7)"))]);
    expect(settled).toMatchObject([
      { status: "rejected", reason: { errorName: "storage" } },
      { status: "rejected", reason: { errorName: "storage" } },
    ]);
    await commits.write(insert(2));
    expect(stored()).toEqual([2]);
  });

  it("runs everything at once when there is no time left", async () => {
    const writes = Promise.all([commits.write(insert(1)), commits.write(insert(2))]);
    commits.drainSync(50);
    expect(stored()).toEqual([1, 2]);
    await writes;
    await expect(commits.write(insert(3))).rejects.toMatchObject({ data: { reason: "closed" } });
  });

  it("waits for other processes for the time that is left, once, and not after that", async () => {
    const busy = Object.assign(new Error("database is locked"), { errcode: 5 });
    const held = new Connection({
      exec: (sql) => executed.push(sql),
      close: () => {},
      prepare: (sql) => ({
        get: () => undefined,
        all: () => [],
        run: () => {
          executed.push(sql);
          if (sql === "BEGIN IMMEDIATE") throw busy;
          return { changes: 0 };
        },
      }),
    });
    const patient = new Commits({ connection: held, busyDeadlineMs: 60_000, observe: () => {}, check: () => {} });
    const writes = Promise.allSettled([patient.write(() => held.run("x")), patient.write(() => held.run("y"))]);
    patient.drainSync(20_000);
    const rejected = { status: "rejected", reason: { data: { reason: "busy" } } };
    expect(await writes).toMatchObject([rejected, rejected]);
    const waits = executed.filter((sql) => sql.includes("busy_timeout")).map((sql) => Number(sql.split("= ")[1]));
    expect(waits).toEqual([expect.any(Number), 0]);
    expect(waits[0]).toBeGreaterThan(0);
    expect(waits[0]).toBeLessThanOrEqual(20_000);
    expect(count("BEGIN IMMEDIATE")).toBe(1);
    expect(executed.at(-1)).toBe("PRAGMA busy_timeout = 0");
  });

  it("does not keep the event loop while a long queue is worked off", async () => {
    const order: string[] = [];
    const slow = (index: number) => () => {
      if (index === 0) setTimeout(() => order.push("timer"), 0);
      const until = performance.now() + 15;
      while (performance.now() < until);
      insert(index)();
      order.push(`change ${index}`);
    };
    await Promise.all(Array.from({ length: 6 }, (_, index) => commits.write(slow(index))));
    expect(order.indexOf("timer")).toBeGreaterThan(0);
    expect(order).toHaveLength(7);
    expect(order.at(-1)).toBe("change 5");
  });
});
