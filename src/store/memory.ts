import { storageFailure } from "./failures.ts";
import { Calls } from "./memory/calls.ts";
import { Grants } from "./memory/grants.ts";
import { publicSession, Sessions } from "./memory/sessions.ts";
import { Traces } from "./memory/traces.ts";
import { Turns } from "./memory/turns.ts";
import { addSpending, nothingSpent } from "./spending.ts";
import type { Store, StoreOptions } from "./store.ts";

/** A store that ends with the process, for `:memory:`. */
export async function openMemoryStore({ keepTraces, now }: StoreOptions): Promise<Store> {
  const sessions = new Sessions(now);
  const traces = new Traces(keepTraces);
  const turns = new Turns(sessions, traces, now);
  const calls = new Calls(now);
  const grants = new Grants();
  const everything = { spent: nothingSpent() };
  let isClosed = false;
  /** Answers like a store on disk: later, and with a rejection where `run` throws. */
  const access = async <T>(run: () => T): Promise<T> => {
    if (isClosed) throw storageFailure("closed");
    return run();
  };
  return {
    upsertSession: (fields, owner) => access(() => sessions.upsert(fields, owner)),
    ownerOf: (what) => access(() => ("sessionId" in what ? sessions.find(what.sessionId)?.owner : traces.ownerOf(what.traceId))),
    getSession: (sessionId) => access(() => publicSession(sessions.get(sessionId))),
    setActive: (sessionId, isActive) => access(() => sessions.setActive(sessionId, isActive)),
    listSessions: (filter) => access(() => sessions.list(filter)),
    countSessions: (filter) => access(() => sessions.count(filter)),
    emptySession: (sessionId) =>
      access(() => {
        const session = sessions.get(sessionId);
        turns.empty(session);
        return publicSession(session);
      }),
    deleteSession: (sessionId) => access(() => turns.forget(sessions.delete(sessionId))),

    listMessages: (sessionId, page) => access(() => turns.messages(sessionId, page)),
    history: (sessionId, turnId) => access(() => turns.history(sessionId, turnId)),
    saveSummary: (sessionId, summary) => access(() => turns.saveSummary(sessionId, summary)),
    forkSession: (fork, owner) => access(() => turns.fork(fork, owner)),

    beginTurn: (start) => access(() => turns.begin(start)),
    saveStep: (step) => access(() => turns.step(step)),
    findTurn: (idempotencyKey) => access(() => turns.findByKey(idempotencyKey)),
    // Kept so that a crash loses no text: here a crash loses everything.
    appendAnswer: () => access(() => {}),
    endTurn: (end) => access(() => turns.end(end)),

    beginCall: (mark) => access(() => calls.begin(mark)),
    endCall: (key, result) => access(() => calls.end(key, result)),

    spend: (amounts) =>
      access(() => {
        for (const { scope, amount } of amounts) {
          const account = scope.kind === "process" ? everything : sessions.find(scope.sessionId);
          if (account !== undefined) account.spent = addSpending(account.spent, amount);
        }
      }),
    spent: (scope) => access(() => ({ ...(scope.kind === "process" ? everything : sessions.get(scope.sessionId)).spent })),
    resetSpending: (scope) =>
      access(() => {
        (scope.kind === "process" ? everything : sessions.get(scope.sessionId)).spent = nothingSpent();
      }),

    saveGrant: (grant) => access(() => grants.save(grant)),
    listGrants: () => access(() => grants.list()),
    deleteGrants: (tool) => access(() => grants.delete(tool)),

    saveTrace: (record) => access(() => traces.save(record)),
    getTrace: (traceId) => access(() => traces.get(traceId)),
    listTraces: (filter) => access(() => traces.list(filter)),

    probe: () => access(() => {}),
    health: () => ({ status: "ok", latencyMs: 0 }),
    async close() {
      isClosed = true;
    },
    closeSync() {
      isClosed = true;
    },
  };
}
