import { hostname } from "node:os";
import { beforeAll, describe, expect, it } from "vitest";
import { openSqliteStore } from "../../src/store/sqlite.ts";
import type { Store } from "../../src/store/store.ts";
import { raw, storeFolder } from "./files.ts";
import { bundleChild, type Child, startChild } from "./processes.ts";
import { ending, START_MS, session, traceRecord, turn } from "./records.ts";

const { folder, newPath } = storeFolder();
const open = (path: string): Promise<Store> => openSqliteStore({ path, keepTraces: 100_000, now: () => START_MS });
let bundle = "";
beforeAll(async () => {
  bundle = await bundleChild(folder);
});

describe("kill -9", () => {
  it("loses nothing that was acknowledged, whenever it comes", { timeout: 300_000 }, async () => {
    const path = newPath();
    const rounds = 16;
    let turns = 0;
    for (let round = 0; round < rounds; round++) {
      const child = startChild(bundle, ["write", path, `r${round}_`]);
      // The moment is counted in acknowledgements, so that it falls anywhere between two of them.
      const until = 1 + Math.floor(Math.random() * 150);
      await child.said("session");
      while (child.lines.length < until) await new Promise((resolve) => setImmediate(resolve));
      child.kill("SIGKILL");
      expect(await child.ended).toBe("SIGKILL");

      const store = await open(path);
      expect(raw(path, (connection) => connection.all("PRAGMA integrity_check"))).toEqual([{ integrity_check: "ok" }]);
      for (const line of child.lines) {
        const [what, sessionId = "", turnId = ""] = line.split(" ");
        await store.getSession(sessionId);
        if (what === "session") continue;
        turns++;
        const { items } = await store.listMessages(sessionId, { limit: 100 });
        const [asked, answered] = items.filter((message) => message.turnId === turnId);
        expect(asked, line).toMatchObject({ role: "user", content: `ask ${turnId}` });
        expect(["completed", "interrupted"]).toContain(asked?.turnStatus);
        if (what === "said") expect(answered?.content, line).toMatch(new RegExp(`^said ${turnId}`));
        if (what === "ended") {
          expect(answered, line).toMatchObject({ content: `said ${turnId}, all of it`, turnStatus: "completed", partial: false });
          expect((await store.getTrace(`tr_${turnId}`)).trace.status).toBe("completed");
        }
      }
      expect((await store.listTraces({ limit: 1, status: "running" })).items).toEqual([]);
      await store.close();
    }
    expect(turns).toBeGreaterThan(rounds);
  });
});

describe("a turn whose process died", { timeout: 60_000 }, () => {
  let path = "";
  let child: Child;
  async function leave(): Promise<void> {
    path = newPath();
    child = startChild(bundle, ["leave", path]);
    await child.said("begun");
  }

  async function expectInterrupted(store: Store): Promise<void> {
    const { items } = await store.listMessages("left", { limit: 10 });
    expect(items).toMatchObject([
      { messageId: "t_left-0", role: "user", turnStatus: "interrupted", partial: false },
      { messageId: "t_left-1", role: "assistant", content: "Once upon \u{1f600} a time", reasoning: "hm", turnStatus: "interrupted", partial: true },
      { messageId: "t_silent-0", role: "user", turnStatus: "interrupted", partial: false },
    ]);
    for (const traceId of ["tr_t_left", "tr_t_silent", "tr_t_alone"]) {
      expect((await store.getTrace(traceId)).trace).toMatchObject({ status: "error", hadError: true, errorMessage: "The process ended before the turn did" });
    }
    expect((await store.getTrace("tr_t_left")).trace.assistantMessageId).toBe("t_left-1");
    await store.beginTurn(turn("t_next", "left"));
    expect((await store.history("left", "t_next")).messages).toHaveLength(3);
    expect(raw(path, (connection) => connection.all("SELECT * FROM fragments"))).toEqual([]);
  }

  it("is found at the next start, with the text that there was", async () => {
    await leave();
    child.kill("SIGKILL");
    await child.ended;
    const store = await open(path);
    expect(raw(path, (connection) => connection.all("SELECT pid FROM owners"))).toEqual([{ pid: process.pid }]);
    await expectInterrupted(store);
    await store.close();
    expect(raw(path, (connection) => connection.all("SELECT pid FROM owners"))).toEqual([]);
  });

  it("is found by a store that had the file open all along, and not before it died", async () => {
    await leave();
    const store = await open(path);
    expect((await store.listMessages("left", { limit: 1 })).items[0]?.turnStatus).toBe("running");
    expect((await store.getTrace("tr_t_left")).trace.status).toBe("running");
    child.kill("SIGKILL");
    await child.ended;
    await expectInterrupted(store);
    await store.close();
  });

  it("is interrupted by that process itself when it is given a last moment, and what it was writing is kept", async () => {
    await leave();
    child.poke();
    expect(await child.ended).toBe(0);
    expect(child.stderr()).toBe("");
    expect(raw(path, (connection) => connection.all("SELECT status FROM turns GROUP BY status"))).toEqual([{ status: "interrupted" }]);
    const store = await open(path);
    await store.getSession("last word");
    await expectInterrupted(store);
    await store.close();
  });

  it("is left alone when its process is on another machine", async () => {
    await leave();
    child.kill("SIGKILL");
    await child.ended;
    raw(path, (connection) => connection.run("UPDATE owners SET host = 'elsewhere'"));
    const store = await open(path);
    expect((await store.listMessages("left", { limit: 1 })).items[0]?.turnStatus).toBe("running");
    await store.close();
  });

  it.runIf(process.platform === "linux")("is found when its pid has gone to another process, ours or not", async () => {
    for (const pid of [process.pid, process.ppid]) {
      await leave();
      child.kill("SIGKILL");
      await child.ended;
      raw(path, (connection) => connection.run("UPDATE owners SET pid = ?", pid));
      const store = await open(path);
      await expectInterrupted(store);
      await store.close();
    }
  });

  it("is told from one of this process where the start of a process cannot be known", async () => {
    path = newPath();
    const first = await open(path);
    await first.upsertSession(session("s1"));
    await first.beginTurn(turn("t1", "s1"));
    raw(path, (connection) => {
      connection.run("UPDATE owners SET started = ''");
      connection.run("INSERT INTO owners (owner_id, pid, started, host) VALUES ('before us', ?, '', ?)", process.pid, hostname());
    });
    const second = await open(path);
    expect((await second.listMessages("s1", { limit: 1 })).items[0]?.turnStatus).toBe("running");
    expect(raw(path, (connection) => connection.all("SELECT owner_id FROM owners WHERE owner_id = 'before us'"))).toEqual([]);
    await first.close();
    expect((await second.listMessages("s1", { limit: 1 })).items[0]?.turnStatus).toBe("interrupted");
    await second.close();
  });

  it("may still be ended by its owner, should that be alive after all", async () => {
    path = newPath();
    const store = await open(path);
    await store.upsertSession(session("s1"));
    await store.beginTurn(turn("t1", "s1"));
    await store.beginTurn(turn("t_alone", undefined));
    await store.appendAnswer("t1", { text: "ha", reasoning: "" });
    raw(path, (connection) => connection.run("DELETE FROM owners"));
    const other = await open(path);
    expect((await other.listMessages("s1", { limit: 5 })).items[1]).toMatchObject({ content: "ha", partial: true, turnStatus: "interrupted" });
    expect((await other.getTrace("tr_t_alone")).trace.status).toBe("error");
    const ended = { turnId: "t1", sessionId: "s1", ending: ending("completed"), trace: traceRecord("tr_t1", { status: "completed" }) };
    await store.endTurn({ ...ended, answer: { text: "half", reasoning: "", toolCalls: [], providerData: { signature: "abc" } } });
    await store.endTurn({ ...ended, answer: { text: "again", reasoning: "", toolCalls: [] } });
    const whole = { content: "half", partial: false, turnStatus: "completed", providerData: { signature: "abc" } };
    expect((await other.listMessages("s1", { limit: 5 })).items).toMatchObject([{ content: "ask t1" }, whole]);
    expect((await other.history("s1", "later")).messages).toHaveLength(2);
    const { trace } = await other.getTrace("tr_t1");
    expect(trace).toMatchObject({ status: "completed", assistantMessageId: "t1-1" });
    expect(trace).not.toHaveProperty("errorMessage");
    await store.endTurn({ ...ended, turnId: "t_alone", sessionId: undefined, answer: undefined, trace: traceRecord("tr_t_alone", { status: "completed" }) });
    expect((await other.getTrace("tr_t_alone")).trace.status).toBe("completed");
    await other.close();
    await store.close();
  });
});
