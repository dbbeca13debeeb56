/** What the processes do that tests start beside their own: `node child.cjs <task> <file> [argument]`. */
import { writeSync } from "node:fs";
import { performance } from "node:perf_hooks";
import { WireError } from "../../src/errors.ts";
import { loadDriver } from "../../src/store/sqlite/driver.ts";
import { openSqliteStore } from "../../src/store/sqlite.ts";
import type { Store } from "../../src/store/store.ts";
import { answer, calling, ending, result, session, traceRecord, turn } from "./records.ts";

const [task = "", path = "", argument = ""] = process.argv.slice(2);

/** At once and whole: what was said before a kill arrives. */
function say(word: string): void {
  writeSync(1, `${word}\n`);
}

// However slow the disk is, and however many others there are at the file: they take turns.
const open = (): Promise<Store> => openSqliteStore({ path, keepTraces: 100_000, now: () => Date.now(), busyDeadlineMs: 60_000 });

/** Sessions and turns one after the other, without end; each line is something that was acknowledged. */
async function writeForever(store: Store, name: string): Promise<never> {
  for (let round = 0; ; round++) {
    const sessionId = `${name}_${round}`;
    await store.upsertSession(session(sessionId));
    say(`session ${sessionId}`);
    for (const turnId of [`${sessionId}_a`, `${sessionId}_b`]) {
      await store.beginTurn(turn(turnId, sessionId));
      say(`begun ${sessionId} ${turnId}`);
      await store.appendAnswer(turnId, { text: `said ${turnId}`, reasoning: "" });
      say(`said ${sessionId} ${turnId}`);
      await store.endTurn({
        turnId,
        sessionId,
        ending: ending("completed"),
        answer: answer(`said ${turnId}, all of it`),
        trace: traceRecord(`tr_${turnId}`, { sessionId, status: "completed" }),
      });
      say(`ended ${sessionId} ${turnId}`);
    }
  }
}

/** Turns that call tools, in a session and outside, and calls with a key; each line is something that was acknowledged. */
async function actForever(store: Store, name: string, sessionId: string | undefined): Promise<never> {
  if (sessionId !== undefined) await store.upsertSession(session(sessionId));
  for (let round = 0; ; round++) {
    const turnId = `${name}_${round}`;
    await store.beginTurn({ ...turn(turnId, sessionId), idempotency: { key: turnId, digest: "d", streamId: turnId } });
    for (let step = 0; step < 3; step++) {
      const [first, second] = [`${turnId}_c${step}_1`, `${turnId}_c${step}_2`];
      await store.saveStep({ turnId, messages: [calling(first, second)], begun: [first], durable: step !== 1 });
      say(`begun ${turnId} ${first}`);
      await store.appendAnswer(turnId, { text: "partial", reasoning: "" });
      await store.saveStep({ turnId, messages: [result(first)], ended: [first], begun: [second], durable: step !== 1 });
      say(`ended ${turnId} ${first}`);
      say(`begun ${turnId} ${second}`);
      await store.saveStep({ turnId, messages: [result(second)], ended: [second], durable: step !== 1 });
      say(`ended ${turnId} ${second}`);
    }
    const trace = traceRecord(`tr_${turnId}`, { status: "completed" });
    await store.endTurn({ turnId, sessionId, ending: ending("completed"), answer: answer(`all of ${turnId}`), trace });
    say(`done ${turnId}`);
    await store.beginCall({ key: turnId, digest: "d" });
    say(`call ${turnId}`);
    await store.endCall(turnId, { success: true });
    say(`called ${turnId}`);
    await store.spend([{ scope: { kind: "process" }, amount: { tokens: 1, steps: 0, toolCalls: 0, costUsd: 0.5, wallMs: 0 } }]);
    say(`spent ${turnId}`);
  }
}

const tasks: Record<string, () => Promise<void>> = {
  async write() {
    const store = await open();
    await Promise.all(Array.from({ length: 6 }, (_, index) => writeForever(store, `${argument}${index}`)));
  },

  async act() {
    const store = await open();
    await Promise.all(Array.from({ length: 6 }, (_, index) => actForever(store, `${argument}${index}`, index % 3 === 0 ? undefined : `${argument}s${index}`)));
  },

  async keys() {
    const store = await open();
    say("open");
    await new Promise((resolve) => process.stdin.once("data", resolve));
    process.stdin.destroy();
    for (let round = 0; round < 60; round++) {
      const idempotency = { key: `k${round}`, digest: argument, streamId: `${argument}${round}` };
      const began = await store.beginTurn({ ...turn(`${argument}${round}`, undefined), idempotency }).then(
        () => true,
        (error: unknown) => {
          if (!(error instanceof WireError) || error.data?.["field"] !== "idempotencyKey") throw error;
          return false;
        },
      );
      if (began) say(`turn k${round}`);
      if ((await store.beginCall({ key: `k${round}`, digest: argument })) === "begun") say(`call k${round}`);
    }
    // Others must find turns and calls of a process that lives.
    say("tried");
    setInterval(() => {}, 60_000);
  },

  async spend() {
    const store = await open();
    for (let round = 0; round < 20; round++) {
      const amount = { tokens: 1, steps: 2, toolCalls: 0, costUsd: 0.25, wallMs: 0 };
      await Promise.all(Array.from({ length: 5 }, () => store.spend([{ scope: { kind: "process" }, amount }])));
    }
    await store.close();
  },

  async share() {
    const store = await open();
    say("open");
    for (let round = 0; round < 20; round++) {
      await Promise.all(Array.from({ length: 10 }, (_, index) => store.upsertSession(session(`${argument}_${round}_${index}`))));
    }
    await store.close();
    say("closed");
  },

  async hold() {
    const database = loadDriver().open(path, { readOnly: false });
    database.exec("BEGIN IMMEDIATE");
    say("held");
    process.stdin.once("data", () => {
      database.exec("COMMIT");
      database.close();
      say("released");
      process.stdin.destroy();
    });
  },

  async leave() {
    const store = await open();
    await store.upsertSession(session("left"));
    await store.beginTurn(turn("t_left", "left"));
    await store.appendAnswer("t_left", { text: "Once upon \ud83d", reasoning: "h" });
    await store.appendAnswer("t_left", { text: "\ude00 a time", reasoning: "m" });
    await store.beginTurn(turn("t_silent", "left"));
    await store.beginTurn(turn("t_alone", undefined));
    say("begun");
    process.stdin.once("data", () => {
      // As at the end of a process that was asked to go: no time to await anything.
      store.upsertSession(session("last word")).catch(() => {});
      store.closeSync();
      process.exit(0);
    });
  },

  async openOnly() {
    const store = await open();
    await store.upsertSession(session(argument));
    await store.close();
    say("opened");
  },

  async fill() {
    const store = await open();
    await store.upsertSession(session("before"));
    for (let round = 0; round < 100; round++) {
      try {
        await store.upsertSession(session(`fill_${round}`, { stageData: { text: "x".repeat(100_000) } }));
      } catch (error) {
        if (!(error instanceof WireError)) throw error;
        say(JSON.stringify({ ...error.toWire(), survivors: (await store.listSessions({ limit: 1000 })).length, round, health: store.health().status }));
        await store.close();
        return;
      }
    }
  },

  async measure() {
    const before = process.memoryUsage.rss();
    const store = await open();
    const rss = process.memoryUsage.rss() - before;
    const results: unknown[] = [{ driver: loadDriver().name, rssMiB: (rss / 2 ** 20).toFixed(1) }];
    let made = 0;
    for (const size of [100, 10_000, 100_000]) {
      while (made < size) {
        const end = Math.min(size, made + 5000);
        const writes: Promise<unknown>[] = [];
        for (; made < end; made++) writes.push(store.upsertSession(session(`sess_${made}`, { userId: `u${made % 7}`, chatId: `c${made % 1000}` })));
        await Promise.all(writes);
      }
      const time = async (runs: number, run: (index: number) => Promise<unknown>): Promise<number> => {
        const started = performance.now();
        for (let index = 0; index < runs; index++) await run(index);
        return Math.round(((performance.now() - started) * 1000) / runs);
      };
      results.push({
        size,
        upsertAlone: await time(200, (index) => store.upsertSession(session(`sess_${(index * 7919) % size}`))),
        upsertInParallel:
          (await time(1, () => Promise.all(Array.from({ length: 1000 }, (_, index) => store.upsertSession(session(`sess_${(index * 7919) % size}`)))))) / 1000,
        get: await time(2000, (index) => store.getSession(`sess_${(index * 7919) % size}`)),
        list: await time(200, () => store.listSessions({ limit: 50 })),
        listActive: await time(200, () => store.listSessions({ limit: 50, activeOnly: true })),
        listUserAndChat: await time(200, () => store.listSessions({ limit: 50, userId: "local", chatId: "chat-1" })),
        listMiddle: await time(200, () => store.listSessions({ limit: 50, after: `sess_${size >> 1}` })),
      });
    }
    await store.close();
    for (const result of results) say(JSON.stringify(result));
  },
};

(tasks[task]?.() ?? Promise.reject(new Error(`no task ${task}`))).catch((error: unknown) => {
  say(`failed ${error instanceof WireError ? JSON.stringify(error.toWire()) : String(error)}`);
  process.exit(1);
});
