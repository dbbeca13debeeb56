import { describe, expect, it, onTestFinished } from "vitest";
import { Connection } from "../../src/store/sqlite/connection.ts";
import { type Database, loadDriver } from "../../src/store/sqlite/driver.ts";
import { APPLICATION_ID, migrate, migrations, versionOf } from "../../src/store/sqlite/migrations.ts";
import { openSqliteStore } from "../../src/store/sqlite.ts";
import type { Store } from "../../src/store/store.ts";
import { storeFolder } from "./files.ts";
import { answer, calling, ending, START_MS, session, trace, traceRecord, turn, unknownResult, wholeTurn } from "./records.ts";

const { newPath } = storeFolder();
const open = (path: string): Promise<Store> => openSqliteStore({ path, keepTraces: 1000, now: () => START_MS });
const rawOpen = (path: string): Database => loadDriver().open(path, { readOnly: false });

describe("migrations", { timeout: 120_000 }, () => {
  it("lead an older file to the newest version, once, and take themselves back when they fail", async () => {
    const path = newPath();
    const store = await open(path);
    await store.upsertSession(session("s1"));
    await store.close();
    const newest = migrations.length;
    const connection = new Connection(rawOpen(path));
    const next = [...migrations, "ALTER TABLE sessions ADD COLUMN colour TEXT NOT NULL DEFAULT 'blue'"];
    expect(() => migrate(connection, [...next, "CREATE TABLE t (a); SELECT * FROM missing"])).toThrow();
    expect(versionOf(connection)).toBe(newest);
    migrate(connection, next);
    migrate(connection, next);
    expect(connection.get("SELECT session_id, colour FROM sessions")).toEqual({ session_id: "s1", colour: "blue" });
    expect(versionOf(connection, newest + 1)).toBe(newest + 1);
    expect(() => versionOf(connection, newest)).toThrow(expect.objectContaining({ data: { reason: "newer" } }));
    connection.close();
    await expect(open(path)).rejects.toMatchObject({ data: { reason: "newer" } });
  });
});

describe("a file of version 1", { timeout: 120_000 }, () => {
  const insertTurn = (database: Database, key: number, turnId: string, status: string, sessionKey: number | null, given = 1): void => {
    const statement = "INSERT INTO turns (turn_key, turn_id, session_key, status, owner, trace_id, given) VALUES (?, ?, ?, ?, ?, ?, ?)";
    database.prepare(statement).run(key, turnId, sessionKey, status, status === "running" ? "dead" : "", `tr_${turnId}`, given);
    database
      .prepare("INSERT INTO traces (trace_id, session_id, status, trace, detail) VALUES (?, ?, ?, ?, '[[],[]]')")
      .run(`tr_${turnId}`, "s1", status, JSON.stringify(trace(`tr_${turnId}`, { sessionId: "s1", status: status === "running" ? "running" : "completed" })));
  };
  const insertMessage = (database: Database, turnKey: number, position: number, message: unknown): void => {
    database
      .prepare("INSERT INTO messages (turn_key, position, partial, created_at, body) VALUES (?, ?, 0, ?, ?)")
      .run(turnKey, position, START_MS, JSON.stringify(message));
  };

  /** As the program that knew only the first migration left it, its last process killed. */
  function makeOld(path: string): void {
    const database = rawOpen(path);
    database.exec(`${migrations[0]}; PRAGMA application_id = ${APPLICATION_ID}; PRAGMA user_version = 1; PRAGMA journal_mode = WAL`);
    database.exec(`
      INSERT INTO sessions (session_id, user_id, chat_id, current_stage, scenario, is_active, created_at, updated_at, touched, stage_data)
      VALUES ('s1', 'local', 'chat-1', 'plan', 'agent-entry', 1, ${START_MS}, ${START_MS}, 1, '{"a":1}');
    `);
    insertTurn(database, 1, "t1", "completed", 1, 2);
    insertMessage(database, 1, 0, { role: "system", content: "be brief" });
    insertMessage(database, 1, 1, { role: "user", content: "hi" });
    insertMessage(database, 1, 2, { role: "assistant", content: "Hello" });
    insertTurn(database, 2, "t2", "running", 1);
    insertMessage(database, 2, 0, { role: "user", content: "more" });
    database.prepare("INSERT INTO fragments (turn_key, created_at, body) VALUES (2, ?, ?)").run(START_MS, JSON.stringify(["half", ""]));
    insertTurn(database, 3, "t3", "running", null);
    database.close();
  }

  const everything = [
    { messageId: "t1-0", role: "system", content: "be brief", turnStatus: "completed" },
    { messageId: "t1-1", role: "user", content: "hi" },
    { messageId: "t1-2", role: "assistant", content: "Hello" },
    { messageId: "t2-0", role: "user", content: "more", turnStatus: "interrupted" },
    { messageId: "t2-1", role: "assistant", content: "half", partial: true },
  ];

  it("comes over with all that is in it, and can do what is new", async () => {
    const path = newPath();
    makeOld(path);
    const store = await open(path);
    expect(await store.getSession("s1")).toMatchObject({ stageData: { a: 1 }, isActive: true });
    expect((await store.listMessages("s1", { limit: 10 })).items).toMatchObject(everything);
    expect((await store.getTrace("tr_t1")).trace.status).toBe("completed");
    for (const turnId of ["t2", "t3"]) expect((await store.getTrace(`tr_${turnId}`)).trace.status).toBe("error");
    expect((await store.history("s1", undefined)).messages).toHaveLength(5);
    expect(await store.spent({ kind: "session", sessionId: "s1" })).toMatchObject({ tokens: 0 });
    expect(await store.listGrants()).toEqual([]);

    await store.saveSummary("s1", { text: "short", through: "t1-2", summarized: 3, system: undefined });
    await store.forkSession({ from: "s1", throughTurnId: undefined, fields: session("s2"), newTurnId: newIds() });
    expect(await store.history("s2", undefined)).toMatchObject({
      summary: "short",
      messages: [{ message: { content: "more" } }, { message: { content: "half" } }],
    });
    await store.beginTurn({ ...turn("t4", "s1"), idempotency: { key: "k", digest: "d", streamId: "t4" } });
    await store.saveStep({ turnId: "t4", messages: [calling("a")], begun: ["a"], durable: true });
    await store.endTurn({ turnId: "t4", sessionId: "s1", answer: answer("done"), ending: ending("completed"), trace: traceRecord("tr_t4") });
    expect((await store.findTurn("k"))?.messages).toMatchObject([calling("a"), unknownResult("a"), { messageId: "t4-3", content: "done" }]);
    await store.close();
    const connection = new Connection(rawOpen(path));
    expect(versionOf(connection)).toBe(migrations.length);
    expect(connection.all("PRAGMA integrity_check")).toEqual([{ integrity_check: "ok" }]);
    expect(connection.all("PRAGMA foreign_key_check")).toEqual([]);
    connection.close();
  });

  it("stays as it is when it cannot come over", async () => {
    const path = newPath();
    makeOld(path);
    const connection = new Connection(rawOpen(path));
    expect(() => migrate(connection, [...migrations, "SELECT * FROM missing"])).toThrow();
    expect(versionOf(connection)).toBe(1);
    expect(connection.all("PRAGMA table_info(turns)").map((column) => column["name"])).not.toContain("added");
    connection.close();
    const store = await open(path);
    expect((await store.listMessages("s1", { limit: 10 })).items).toMatchObject(everything);
    await store.close();
  });

  it("may still be written by a process of that version that had it open", async () => {
    const path = newPath();
    makeOld(path);
    const old = rawOpen(path);
    old.exec("PRAGMA foreign_keys = ON");
    expect(old.prepare("SELECT count(*) AS turns FROM turns").get()).toEqual({ turns: 3 });
    const store = await open(path);
    insertTurn(old, 9, "t9", "running", 1, 2);
    insertMessage(old, 9, 0, { role: "user", content: "one" });
    insertMessage(old, 9, 1, { role: "user", content: "two" });
    old.prepare("INSERT INTO fragments (turn_key, created_at, body) VALUES (9, ?, ?)").run(START_MS, JSON.stringify(["three", ""]));
    expect((await store.listMessages("s1", { limit: 10 })).items.slice(5).map(({ messageId, content }) => [messageId, content])).toEqual([
      ["t9-0", "one"],
      ["t9-1", "two"],
      ["t9-2", "three"],
    ]);
    await wholeTurn(store, "t10", "s1");
    await store.saveSummary("s1", { text: "x", through: "t10-0", summarized: 1, system: undefined });
    old.exec("DELETE FROM sessions");
    await expect(store.history("s1", undefined)).rejects.toMatchObject({ errorName: "session_not_found" });
    old.close();
    await store.close();
  });
});

describe("a file of version 2", { timeout: 120_000 }, () => {
  const insertSession = (database: Database, sessionId: string): void => {
    database
      .prepare(
        `INSERT INTO sessions (session_id, user_id, chat_id, current_stage, scenario, is_active, created_at, updated_at, touched)
         VALUES (?, 'local', 'chat-1', 'plan', 'agent-entry', 1, ?, ?, 1 + (SELECT coalesce(max(touched), 0) FROM sessions))`,
      )
      .run(sessionId, START_MS, START_MS);
  };
  const insertTrace = (database: Database, traceId: string): void => {
    const shown = JSON.stringify(trace(traceId, { status: "completed" }));
    database.prepare("INSERT INTO traces (trace_id, session_id, status, trace, detail) VALUES (?, 's1', 'completed', ?, '[[],[]]')").run(traceId, shown);
  };

  /** As the program that knew two migrations left it. */
  function makeOld(path: string): void {
    const database = rawOpen(path);
    database.exec(`${migrations.slice(0, 2).join(";")}; PRAGMA application_id = ${APPLICATION_ID}; PRAGMA user_version = 2; PRAGMA journal_mode = WAL`);
    insertSession(database, "s1");
    insertTrace(database, "tr1");
    database.close();
  }

  it("belongs to the host with all that is in it, and is asked for in the new ways", async () => {
    const path = newPath();
    makeOld(path);
    const store = await open(path);
    onTestFinished(() => store.close());
    expect(await store.ownerOf({ sessionId: "s1" })).toBe("local");
    expect(await store.ownerOf({ traceId: "tr1" })).toBe("local");
    for (const name of ["alias", "provider", "model", "baseUrl"]) expect(await store.getSession("s1")).not.toHaveProperty(name);
    expect(await store.listSessions({ owner: "local", scenario: "agent-entry", limit: 5 })).toHaveLength(1);
    expect(await store.listSessions({ owner: "ann", limit: 5 })).toEqual([]);
    expect((await store.listTraces({ owner: "local", limit: 5 })).items).toHaveLength(1);
    expect(await store.upsertSession(session("s1", { alias: "a" }), "ann")).toMatchObject({ alias: "a" });
    expect(await store.ownerOf({ sessionId: "s1" })).toBe("local");
    await store.probe();
  });

  it("may still be written by a process of that version that had it open", async () => {
    const path = newPath();
    makeOld(path);
    const old = rawOpen(path);
    onTestFinished(() => old.close());
    expect(old.prepare("SELECT count(*) AS sessions FROM sessions").get()).toEqual({ sessions: 1 });
    const store = await open(path);
    onTestFinished(() => store.close());
    await store.upsertSession(session("anns", { model: "m" }), "ann");
    insertSession(old, "s2");
    insertTrace(old, "tr2");
    old.exec("UPDATE sessions SET current_stage = 'act' WHERE session_id = 'anns'");
    expect((await store.listSessions({ owner: "local", limit: 5 })).map(({ sessionId }) => sessionId)).toEqual(["s2", "s1"]);
    expect((await store.listTraces({ owner: "local", limit: 5 })).items.map(({ traceId }) => traceId)).toEqual(["tr2", "tr1"]);
    expect(await store.getSession("anns")).toMatchObject({ currentStage: "act", model: "m" });
    expect(await store.ownerOf({ sessionId: "anns" })).toBe("ann");
  });
});

function newIds(): () => string {
  let ids = 0;
  return () => `new${++ids}`;
}
