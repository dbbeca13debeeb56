import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { chmodSync, chownSync, copyFileSync, existsSync, mkdirSync, readFileSync, statSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { WireError } from "../../src/errors.ts";
import { Connection } from "../../src/store/sqlite/connection.ts";
import { type Database, loadDriver } from "../../src/store/sqlite/driver.ts";
import { APPLICATION_ID, migrations } from "../../src/store/sqlite/migrations.ts";
import { openSqliteStore } from "../../src/store/sqlite.ts";
import type { Store, StoreOptions } from "../../src/store/store.ts";
import { describeStore } from "./conformance.ts";
import { storeFolder } from "./files.ts";
import { bundleChild, startChild } from "./processes.ts";
import { answer, calling, ending, result, START_MS, session, traceRecord, turn, wholeTurn } from "./records.ts";

const { folder, newPath } = storeFolder();
const open = (path: string, more: Partial<StoreOptions> = {}): Promise<Store> => openSqliteStore({ path, keepTraces: 1000, now: () => START_MS, ...more });
const rawOpen = (path: string): Database => loadDriver().open(path, { readOnly: false });

/** Makes a file as `version` of our program would have left it. */
function makeFile(path: string, version: number): void {
  const database = rawOpen(path);
  database.exec(
    `${migrations.slice(0, version).join(";")}; PRAGMA application_id = ${APPLICATION_ID}; PRAGMA user_version = ${version}; PRAGMA journal_mode = WAL`,
  );
  database.close();
}

/** What a file and its companions hold, and which there are. */
function fingerprint(path: string): Record<string, string> {
  const found: Record<string, string> = {};
  for (const suffix of ["", "-wal", "-shm", "-journal"]) {
    if (existsSync(path + suffix))
      found[suffix] = createHash("sha256")
        .update(readFileSync(path + suffix))
        .digest("hex");
  }
  return found;
}

describeStore("SQLite", (options) => openSqliteStore({ path: newPath(), ...options }));

describe("a file of sessions", { timeout: 120_000 }, () => {
  it("holds after it was closed what it held before", async () => {
    const path = newPath();
    const first = await open(path);
    const created = await first.upsertSession(session("s1", { stageData: { a: 1 } }));
    await first.upsertSession(session("s2"));
    await wholeTurn(first, "t1", "s2");
    const messages = await first.listMessages("s2", { limit: 10 });
    await first.close();
    // Everything is in the one file then; what one of the drivers leaves beside it is empty.
    expect(statSync(`${path}-wal`, { throwIfNoEntry: false })?.size ?? 0).toBe(0);
    const second = await open(path);
    expect(await second.getSession("s1")).toEqual(created);
    expect(await second.listMessages("s2", { limit: 10 })).toEqual(messages);
    expect((await second.listSessions({ limit: 10 })).map((found) => found.sessionId)).toEqual(["s2", "s1"]);
    await second.close();
  });

  it("is readable by its owner only, with its companions and the folders that were made for it", async () => {
    const path = join(folder, "deep", "er", "sessions.db");
    const store = await open(path);
    await store.upsertSession(session("s1"));
    for (const suffix of ["", "-wal", "-shm"]) expect(statSync(path + suffix).mode & 0o777, suffix).toBe(0o600);
    for (const made of ["deep", "deep/er"]) expect(statSync(join(folder, made)).mode & 0o777, made).toBe(0o700);
    await store.close();
    chmodSync(path, 0o644);
    await (await open(path)).close();
    expect(statSync(path).mode & 0o777).toBe(0o600);
  });

  it("may be one that is empty, which is made private when it is our own", async () => {
    const path = newPath();
    writeFileSync(path, "");
    chmodSync(path, 0o644);
    const store = await open(path);
    await store.upsertSession(session("s1"));
    for (const suffix of ["", "-wal", "-shm"]) expect(statSync(path + suffix).mode & 0o777, suffix).toBe(0o600);
    await store.close();
  });

  it.runIf(process.geteuid?.() === 0)("keeps its mode when it belongs to another user", async () => {
    const path = newPath();
    writeFileSync(path, "");
    chownSync(path, 12_345, 12_345);
    chmodSync(path, 0o640);
    for (let round = 0; round < 2; round++) {
      const store = await open(path);
      await store.upsertSession(session("s1"));
      await store.close();
      expect(statSync(path)).toMatchObject({ uid: 12_345 });
      expect(statSync(path).mode & 0o777).toBe(0o640);
    }
  });

  it("may be named by a link, also to where nothing is yet; its companions are beside the file itself", async () => {
    const path = newPath();
    const link = newPath();
    symlinkSync(path, link);
    for (const sessionId of ["s1", "s2"]) {
      if (existsSync(path)) chmodSync(path, 0o644);
      const store = await open(link);
      await store.upsertSession(session(sessionId));
      for (const suffix of ["", "-wal", "-shm"]) expect(statSync(path + suffix).mode & 0o777, suffix).toBe(0o600);
      expect(existsSync(`${link}-wal`)).toBe(false);
      await store.close();
    }
    const store = await open(path);
    expect(await store.listSessions({ limit: 5 })).toHaveLength(2);
    await store.close();
  });

  it("keeps the newest traces only, when it is opened", async () => {
    const path = newPath();
    const first = await open(path);
    await Promise.all(Array.from({ length: 1300 }, (_, index) => first.saveTrace(traceRecord(`tr${index}`))));
    await first.close();
    const second = await open(path, { keepTraces: 20 });
    const { items, nextCursor } = await second.listTraces({ limit: 100 });
    expect([items.length, items[0]?.traceId, items.at(-1)?.traceId, nextCursor]).toEqual([20, "tr1299", "tr1280", undefined]);
    await second.close();
  });

  it("answers from an index, whatever is asked for", async () => {
    const path = newPath();
    await (await open(path)).close();
    const asked: string[] = [];
    const database = rawOpen(path);
    const spied: Database = {
      exec: (sql) => database.exec(sql),
      close: () => database.close(),
      prepare: (sql) => {
        asked.push(sql);
        return database.prepare(sql);
      },
    };
    const { openTables } = await import("../../src/store/sqlite/tables.ts");
    const { snapshotEnd, snapshotFork, snapshotStep, snapshotSummary, snapshotTurn } = await import("../../src/store/sqlite/snapshots.ts");
    const connection = new Connection(spied);
    const { owners, sessions, turns, turnKeys, messages, histories, calls, spendings, grants, traces, probe } = openTables(connection, () => START_MS);
    sessions.upsert(session("s1"));
    const idempotency = { key: "k", digest: "d", streamId: "t1" };
    turns.begin(snapshotTurn({ ...turn("t1", "s1"), idempotency }), "me");
    turns.append("t1", { text: "x", reasoning: "" });
    turns.step(snapshotStep({ turnId: "t1", messages: [calling("a", "b")], begun: ["a", "b"], ended: ["c"], durable: true }));
    turns.interrupt("me");
    turns.step(snapshotStep({ turnId: "t1", messages: [result("a")], ended: ["a"], durable: true }));
    turns.end(snapshotEnd({ turnId: "t1", sessionId: "s1", answer: answer("x"), ending: ending("completed"), trace: traceRecord("tr_t1") }));
    turns.begin(snapshotTurn(turn("t2", undefined)), "me");
    turns.interrupt("me");
    turns.findByKey("k");
    messages.page(sessions.key("s1"), { limit: 1 });
    histories.read("s1", "t1");
    histories.saveSummary("s1", snapshotSummary({ text: "x", through: "t1-0", summarized: 1, system: undefined }));
    histories.read("s1", undefined);
    histories.fork(snapshotFork({ from: "s1", throughTurnId: undefined, fields: session("s2"), newTurnId: () => "t3" }));
    calls.begin({ key: "k", digest: "d" }, "me");
    calls.interrupt("me");
    calls.end("k", "{}", "me");
    calls.prune(1);
    turnKeys.prune(1);
    spendings.add({ kind: "session", sessionId: "s1" }, { tokens: 1, steps: 0, toolCalls: 0, costUsd: 0, wallMs: 0 });
    spendings.get({ kind: "process" });
    grants.save({ tool: "f", call: undefined, createdAt: "now" });
    grants.delete("f");
    owners.deadWithTurns();
    owners.deadWithCalls();
    const one = [{}, { owner: "ann" }, { scenario: "x" }];
    for (const activeOnly of [undefined, true]) {
      for (const userId of [undefined, "u"]) for (const chatId of [undefined, "c"]) sessions.list({ userId, chatId, activeOnly, limit: 1, after: "s1" });
      for (const filter of one) sessions.list({ ...filter, activeOnly, limit: 1, after: filter.owner === undefined ? "s1" : undefined });
      for (const filter of one.slice(1)) sessions.count({ ...filter, activeOnly });
    }
    for (const sessionId of [undefined, "s1"]) for (const status of [undefined, "error" as const]) traces.list({ sessionId, status, limit: 1 });
    traces.list({ owner: "ann", limit: 1 });
    traces.ownerOf("tr_t1");
    probe.run();
    turns.empty(sessions.key("s1"));
    sessions.delete("s1");
    for (const sql of asked) {
      const plan = database
        .prepare(`EXPLAIN QUERY PLAN ${sql}`)
        .all()
        .map((step) => String(step["detail"]));
      // The list of all traces is a walk along the table; the halves of the list of sessions are scanned when both are found.
      // In the indexes of what is running is nothing else, and there are never many grants.
      const walks = plan.filter((step) => step.startsWith("SCAN") && !/^SCAN \(subquery|^SCAN (?:\d+ )?CONSTANT|INDEX (?:turns|calls)_running$/.test(step));
      if (!sql.includes("FROM traces  ORDER BY")) expect(walks, sql).toEqual([]);
      // Every filter is part of the search, not a sieve after it.
      for (const filter of sql.startsWith("SELECT") ? ["user_id", "chat_id", "subject", "scenario", "session_id", "status", "session_key"] : []) {
        if (sql.includes(`${filter} = ?`)) expect(plan.join(), sql).toContain(`${filter}=?`);
      }
      if (!sql.includes("UNION ALL") && !plan.join().includes("_running"))
        expect(
          plan.filter((step) => step.includes("TEMP B-TREE")),
          sql,
        ).toEqual([]);
    }
    expect(asked.length).toBeGreaterThan(60);
    connection.close();
  });

  it("finds what goes with a row by an index", async () => {
    const path = newPath();
    await (await open(path)).close();
    const database = rawOpen(path);
    const references = database.prepare(`SELECT name, "from" FROM sqlite_schema JOIN pragma_foreign_key_list(name) WHERE type = 'table'`).all();
    expect(references.length).toBeGreaterThan(6);
    for (const { name, from } of references) {
      const plan = database.prepare(`EXPLAIN QUERY PLAN SELECT 1 FROM ${name} WHERE ${from} = ?`).all();
      expect(plan.map((step) => String(step["detail"])).join(), `${name}.${from}`).toContain(`(${from}=?)`);
    }
    database.close();
  });

  it("lists its first and its last page equally fast with 10,000 sessions", async () => {
    const store = await open(newPath());
    await Promise.all(
      Array.from({ length: 10_000 }, (_, index) => store.upsertSession(session(`s${index}`, { userId: `u${index % 2}`, chatId: `c${index % 5}` }))),
    );
    let found = 0;
    for (let page = await store.listSessions({ limit: 1000, userId: "u1" }); page.length > 0 && found < 10_000; ) {
      found += page.length;
      page = await store.listSessions({ limit: 1000, userId: "u1", after: page.at(-1)?.sessionId });
    }
    expect(found).toBe(5000);
    expect((await store.listSessions({ limit: 3, userId: "u1", chatId: "c3", after: "s33" })).map((one) => one.sessionId)).toEqual(["s23", "s13", "s3"]);
    await store.close();
  });
});

describe("a file that is not for us", { timeout: 120_000 }, () => {
  async function refusal(path: string): Promise<unknown> {
    const before = fingerprint(path);
    const error: unknown = await open(path).then(
      () => undefined,
      (reason: unknown) => reason,
    );
    expect(fingerprint(path)).toEqual(before);
    expect(error).toBeInstanceOf(WireError);
    const wire = (error as WireError).toWire();
    expect(wire.kind).toBe("storage");
    expect(wire.message).not.toContain(folder);
    return wire.data?.["reason"];
  }

  it("is refused and left as it is when a newer version has written it", async () => {
    const path = newPath();
    makeFile(path, migrations.length + 1);
    expect(await refusal(path)).toBe("newer");
    makeFile(`${path}2`, migrations.length);
    await (await open(`${path}2`)).close();
  });

  it("is refused and left as it is when only the log of a crash says that it is newer", async () => {
    const origin = newPath();
    const path = newPath();
    makeFile(origin, migrations.length);
    const database = rawOpen(origin);
    database.exec(`PRAGMA user_version = ${migrations.length + 1}`);
    for (const suffix of ["", "-wal", "-shm"]) copyFileSync(origin + suffix, path + suffix);
    database.close();
    expect(readFileSync(path).readUInt32BE(60)).toBe(migrations.length);
    const before = fingerprint(path);
    await expect(open(path)).rejects.toMatchObject({ errorName: "storage", data: { reason: "newer" } });
    const { "-shm": _, ...after } = fingerprint(path);
    expect(after).toEqual({ "": before[""], "-wal": before["-wal"] });
  });

  it("is refused and left as it is when it is the database of another program", async () => {
    const path = newPath();
    const database = rawOpen(path);
    database.exec("PRAGMA journal_mode = WAL; CREATE TABLE bookmarks (url TEXT); INSERT INTO bookmarks VALUES ('x')");
    database.close();
    expect(await refusal(path)).toBe("foreign");
  });

  it("is refused and left as it is when it is no database, or the first page is lost", async () => {
    const path = newPath();
    writeFileSync(path, "Dear diary, ".repeat(1000));
    expect(await refusal(path)).toBe("corrupt");
    writeFileSync(path, "short");
    expect(await refusal(path)).toBe("corrupt");
  });

  it("is refused and left as it is when it was cut off", async () => {
    const path = newPath();
    const store = await open(path);
    for (let index = 0; index < 50; index++) await wholeTurn(store, `t${index}`, (await store.upsertSession(session("s1"))).sessionId);
    await store.close();
    truncateSync(path, 8192);
    expect(await refusal(path)).toBe("corrupt");
  });

  it("that is damaged further inside gives a corrupt error when the damage is met, and no crash", async () => {
    const path = newPath();
    const store = await open(path);
    await store.upsertSession(session("s1"));
    for (let index = 0; index < 50; index++) await wholeTurn(store, `t${index}`, "s1", "x".repeat(2000));
    await store.close();
    const bytes = readFileSync(path);
    bytes.fill(0x5a, 4096 * 2);
    writeFileSync(path, bytes);
    const error: unknown = await (async () => {
      const opened = await open(path);
      try {
        await opened.listMessages("s1", { limit: 1000 });
      } finally {
        await opened.close();
      }
    })().catch((reason: unknown) => reason);
    expect(error).toMatchObject({ errorName: "storage", data: { reason: "corrupt" } });
  });

  it.skipIf(process.platform === "win32")("is refused, unopened and unchanged, when it is a folder, a pipe or a socket, or a link to one", async () => {
    const directory = newPath();
    const pipe = newPath();
    const socket = newPath();
    mkdirSync(directory);
    spawnSync("mkfifo", [pipe]);
    const server = createServer();
    server.listen(socket);
    await once(server, "listening");
    for (const path of [directory, pipe, socket]) {
      chmodSync(path, 0o755);
      const link = newPath();
      symlinkSync(path, link);
      for (const named of [path, link]) {
        const refused = { errorName: "storage", data: { reason: "foreign" }, message: expect.stringContaining("a folder or a device") };
        await expect(open(named)).rejects.toMatchObject(refused);
      }
      expect(statSync(path).mode & 0o777).toBe(0o755);
    }
    server.close();
  });

  it("keeps its mode when it is refused", async () => {
    const path = newPath();
    writeFileSync(path, "Dear diary, ".repeat(1000));
    chmodSync(path, 0o644);
    expect(await refusal(path)).toBe("corrupt");
    expect(statSync(path).mode & 0o777).toBe(0o644);
  });

  it("is an error in plain words when it is below a file", async () => {
    const file = newPath();
    writeFileSync(file, "");
    const told = { errorName: "storage", data: { reason: "io" }, message: "The folder of the session store could not be made" };
    for (const path of [join(file, "x.db"), join(file, "deep", "er", "x.db")]) await expect(open(path)).rejects.toMatchObject(told);
  });

  it.runIf(process.platform === "linux")("is an error in plain words when it is where no folder can be made", async () => {
    // In a process of its own: waiting for ever would be a loop that nothing inside can end.
    const child = startChild(await bundleChild(folder), ["openOnly", "/proc/nope/deep/x.db", "s1"]);
    onTestFinished(() => child.kill("SIGKILL"));
    expect(await child.said("failed")).toContain('"message":"The folder of the session store could not be made"');
    expect(await child.ended).toBe(1);
  });

  it.runIf(process.platform === "linux")("is refused when it is a file of the kernel, which says that it is empty and is not", async () => {
    expect(statSync("/proc/self/stat").size).toBe(0);
    await expect(open("/proc/self/stat")).rejects.toMatchObject({ errorName: "storage", data: { reason: "corrupt" } });
  });
});

describe("the driver", { timeout: 120_000 }, () => {
  it.skipIf(process.versions["sqlite"] !== undefined)("that is missing is an error that says what to install", async () => {
    const child = startChild(await bundleChild(folder), ["openOnly", newPath(), "s1"], "unset NODE_PATH");
    const told = await child.said("failed");
    expect(told).toContain('"reason":"unavailable"');
    expect(told).toContain("install the optional dependency @photostructure/sqlite");
    expect(await child.ended).toBe(1);
  });
});

describe("a disk", { timeout: 120_000 }, () => {
  let bundle = "";
  beforeAll(async () => {
    bundle = await bundleChild(folder);
  });

  it("that is full fails what does not fit, keeps what was acknowledged, and works again when there is room", async () => {
    const path = newPath();
    const store = await open(path, { maxPages: 270 });
    await store.upsertSession(session("s1", { stageData: { text: "x".repeat(200_000) } }));
    const large = { text: "x".repeat(900_000) };
    const full = { errorName: "storage", data: { reason: "disk_full" } };
    await expect(store.upsertSession(session("s2", { stageData: large }))).rejects.toMatchObject(full);
    expect(store.health()).toMatchObject({ status: "error", message: expect.stringContaining("full") });
    const together = await Promise.allSettled([store.upsertSession(session("s3")), store.upsertSession(session("s4", { stageData: large }))]);
    expect(together[1]).toMatchObject({ status: "rejected", reason: full });
    await store.deleteSession("s1");
    await store.upsertSession(session("s5", { stageData: large }));
    expect(store.health().status).toBe("ok");
    const ids = (await store.listSessions({ limit: 10 })).map((found) => found.sessionId);
    expect(ids).toEqual(together[0].status === "fulfilled" ? ["s5", "s3"] : ["s5"]);
    await store.close();
  });

  it("that is full fails a probe, but not what is asked for with it and still fits; with room it passes again", async () => {
    const store = await open(newPath(), { maxPages: 270 });
    onTestFinished(() => store.close());
    await store.probe();
    await store.upsertSession(session("s1", { alias: "a" }));
    // Free pages would be room.
    let free = 1_000_000;
    for (let id = 0; free > 100; free = Math.floor(free / 2)) {
      while (
        await store.upsertSession(session(`big${id++}`, { stageData: { text: "x".repeat(free) } })).then(
          () => true,
          () => false,
        )
      );
    }
    const before = await store.listSessions({ limit: 1000 });
    const full = { errorName: "storage", data: { reason: "disk_full" } };
    await expect(store.probe()).rejects.toMatchObject(full);
    expect(store.health()).toMatchObject({ status: "error", message: expect.stringContaining("full") });
    const [first, probe, last] = await Promise.allSettled([store.setActive("s1", false), store.probe(), store.upsertSession(session("s1", { alias: "b" }))]);
    expect(first).toMatchObject({ status: "fulfilled" });
    expect(probe).toMatchObject({ status: "rejected", reason: full });
    expect(last).toMatchObject({ status: "fulfilled", value: { alias: "b", isActive: true } });
    await store.deleteSession(before.findLast(({ sessionId }) => sessionId !== "s1")?.sessionId ?? "");
    await store.probe();
    expect(store.health().status).toBe("ok");
    expect(await store.listSessions({ limit: 1000 })).toHaveLength(before.length - 1);
  });

  it("that is full takes no step, fork, summary or call by half; what is smaller still fits", async () => {
    const store = await open(newPath(), { maxPages: 400 });
    onTestFinished(() => store.close());
    const full = { errorName: "storage", data: { reason: "disk_full" } };
    const large = "x".repeat(1_500_000);
    await store.upsertSession(session("s1"));
    await store.beginTurn({ ...turn("t1", "s1"), idempotency: { key: "k", digest: "d", streamId: "t1" } });
    const step = (content: string): Promise<void> =>
      store.saveStep({ turnId: "t1", messages: [calling("a"), result("a", content)], begun: ["b"], durable: false });
    await step("x".repeat(600_000));
    const before = await store.findTurn("k");
    await expect(step(large)).rejects.toMatchObject(full);
    await expect(
      store.forkSession({ from: "s1", throughTurnId: undefined, fields: session("s2", { stageData: { large } }), newTurnId: () => "t2" }),
    ).rejects.toMatchObject(full);
    await expect(store.saveSummary("s1", { text: large, through: "t1-0", summarized: 1, system: undefined })).rejects.toMatchObject(full);
    expect(await store.beginCall({ key: "c", digest: "d" })).toBe("begun");
    await expect(store.endCall("c", { success: true, message: large })).rejects.toMatchObject(full);
    await expect(store.saveGrant({ tool: "f", call: large, createdAt: "now" })).rejects.toMatchObject(full);
    expect(await store.findTurn("k")).toEqual(before);
    expect(await store.beginCall({ key: "c", digest: "d" })).toEqual({ digest: "d", result: undefined });
    expect(await store.listGrants()).toEqual([]);
    await expect(store.getSession("s2")).rejects.toMatchObject({ errorName: "session_not_found" });
    await step("small");
    await store.endTurn({ turnId: "t1", sessionId: "s1", answer: undefined, ending: ending("error"), trace: traceRecord("tr_t1") });
    expect((await store.findTurn("k"))?.messages.map(({ messageId }) => messageId)).toEqual(["t1-1", "t1-2", "t1-3", "t1-4", "t1-5"]);
    // A copy of it all does not fit, and leaves nothing.
    await expect(
      store.forkSession({ from: "s1", throughTurnId: undefined, fields: session("s2", { stageData: { text: "x".repeat(900_000) } }), newTurnId: () => "t2" }),
    ).rejects.toMatchObject(full);
    await expect(store.getSession("s2")).rejects.toMatchObject({ errorName: "session_not_found" });
  });

  it.skipIf(process.platform === "win32")("that refuses a write fails it in plain words, and what was acknowledged stays", async () => {
    const path = newPath();
    await (await open(path)).close();
    const child = startChild(bundle, ["fill", path], "ulimit -f 1000");
    const told = JSON.parse(await child.said("{")) as {
      kind: string;
      message: string;
      data: { reason: string };
      survivors: number;
      round: number;
      health: string;
    };
    expect(await child.ended).toBe(0);
    expect(told).toMatchObject({ kind: "storage", health: "ok", data: { reason: expect.stringMatching(/^(io|disk_full)$/) } });
    expect(told.survivors).toBe(told.round + 1);
    const store = await open(path);
    expect(await store.listSessions({ limit: 1000 })).toHaveLength(told.survivors);
    await store.close();
  });

  it("that holds the file read-only fails writes as readonly, and reads go on", async () => {
    const path = newPath();
    await (await open(path)).close();
    const store = await open(path);
    await store.upsertSession(session("s1"));
    // A second connection that may only read stands for the file system: root may write anywhere.
    const readOnly = new Connection(loadDriver().open(path, { readOnly: true }));
    const { Commits } = await import("../../src/store/sqlite/commits.ts");
    const commits = new Commits({ connection: readOnly, busyDeadlineMs: 1000, observe: () => {}, check: () => {} });
    await expect(commits.write(() => readOnly.run("DELETE FROM sessions"))).rejects.toMatchObject({ errorName: "storage", data: { reason: "readonly" } });
    expect(await commits.read(() => readOnly.get("SELECT count(*) AS n FROM sessions"))).toEqual({ n: 1 });
    readOnly.close();
    await store.close();
  });
});
