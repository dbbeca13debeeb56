import { beforeEach, describe, expect, it } from "vitest";
import type { Store } from "../../../src/store/store.ts";
import { answer, ending, session, traceRecord, turn } from "../records.ts";

/** Whom sessions and traces belong to. */
export function describeOwners(store: () => Store): void {
  describe("what belongs to somebody", () => {
    beforeEach(async () => {
      await store().upsertSession(session("mine"));
      await store().upsertSession(session("anns"), "ann");
    });

    const listed = async (owner: string | undefined): Promise<string[]> => (await store().listSessions({ owner, limit: 10 })).map(({ sessionId }) => sessionId);
    const traced = async (owner: string | undefined): Promise<string[]> => (await store().listTraces({ owner, limit: 10 })).items.map(({ traceId }) => traceId);

    it("is a session of whoever made it, whoever changes it later, and of the host where nobody is named", async () => {
      expect(await store().ownerOf({ sessionId: "mine" })).toBe("local");
      expect(await store().ownerOf({ sessionId: "anns" })).toBe("ann");
      await store().upsertSession(session("anns", { scenario: "other" }));
      await store().upsertSession(session("anns", { scenario: "other" }), "bob");
      expect(await store().ownerOf({ sessionId: "anns" })).toBe("ann");
      expect(await store().getSession("anns")).not.toHaveProperty("owner");
      await store().deleteSession("anns");
      expect(await store().ownerOf({ sessionId: "anns" })).toBeUndefined();
      await store().upsertSession(session("anns"), "bob");
      expect(await store().ownerOf({ sessionId: "anns" })).toBe("bob");
    });

    it("is known of what was asked for a moment ago", async () => {
      const made = store().upsertSession(session("new"), "ann");
      expect(await store().ownerOf({ sessionId: "new" })).toBe("ann");
      await made;
    });

    it("is a fork of whoever made that, with the model of the old session", async () => {
      await store().upsertSession(session("anns", { alias: "Plans", provider: "openai", model: "m", baseUrl: "http://127.0.0.1:1" }));
      const { createdAt: _, updatedAt: __, isActive: ___, ...fields } = await store().getSession("anns");
      const fork = { from: "anns", throughTurnId: undefined, newTurnId: () => "t" };
      const forked = await store().forkSession({ ...fork, fields: { ...fields, sessionId: "bobs" } }, "bob");
      expect(forked).toMatchObject({ alias: "Plans", provider: "openai", model: "m", baseUrl: "http://127.0.0.1:1" });
      expect(await store().ownerOf({ sessionId: "bobs" })).toBe("bob");
      await store().forkSession({ ...fork, fields: session("fork") });
      expect(await store().ownerOf({ sessionId: "fork" })).toBe("local");
    });

    it("is listed and counted alone, whatever the name is", async () => {
      const name = "a\u0000\u001a0n\ud800n";
      await store().upsertSession(session("odd", { scenario: name }), name);
      await store().setActive("anns", false);
      expect(await listed("ann")).toEqual(["anns"]);
      expect(await listed("local")).toEqual(["mine"]);
      expect(await listed(name)).toEqual(["odd"]);
      expect(await listed("an")).toEqual([]);
      expect(await listed(undefined)).toEqual(["anns", "odd", "mine"]);
      expect(await store().countSessions({})).toBe(3);
      expect(await store().countSessions({ activeOnly: true })).toBe(2);
      expect(await store().countSessions({ owner: "ann" })).toBe(1);
      expect(await store().countSessions({ owner: "ann", activeOnly: true })).toBe(0);
      expect(await store().countSessions({ scenario: name, owner: name, activeOnly: true })).toBe(1);
      expect(await store().countSessions({ scenario: "agent-entry" })).toBe(2);
      expect(await store().ownerOf({ sessionId: "odd" })).toBe("a\u0000\u001a0n\ufffdn");
    });

    it("does not go on after a session of somebody else, as if there were none", async () => {
      const missing = { errorName: "session_not_found", data: { sessionId: "mine" } };
      await expect(store().listSessions({ owner: "ann", limit: 1, after: "mine" })).rejects.toMatchObject(missing);
      expect(await store().listSessions({ owner: "local", limit: 1, after: "mine" })).toEqual([]);
    });

    it("is a trace from its beginning to its end, also once its session is gone", async () => {
      await store().beginTurn({ ...turn("t1", "anns"), owner: "ann" });
      await store().beginTurn(turn("t2", "mine"));
      await store().beginTurn({ ...turn("t3", undefined), owner: "ann" });
      expect(await store().ownerOf({ traceId: "tr_t1" })).toBe("ann");
      expect(await store().ownerOf({ traceId: "tr_t2" })).toBe("local");
      const end = { answer: answer("x"), ending: ending("completed") };
      await store().endTurn({ ...end, turnId: "t1", sessionId: "anns", trace: { ...traceRecord("tr_t1", { sessionId: "anns" }), owner: "ann" } });
      await store().endTurn({ ...end, turnId: "t3", sessionId: undefined, trace: traceRecord("tr_t3", { status: "completed" }) });
      await store().deleteSession("anns");
      expect(await store().getTrace("tr_t1")).toMatchObject({ owner: "ann", trace: { traceId: "tr_t1" } });
      expect(await store().ownerOf({ traceId: "tr_t3" })).toBe("ann");
      expect(await store().ownerOf({ traceId: "nope" })).toBeUndefined();
      expect(await store().ownerOf({ traceId: "anns" })).toBeUndefined();
      expect([await traced("ann"), await traced("local"), await traced("bob"), await traced(undefined)]).toEqual([
        ["tr_t3", "tr_t1"],
        ["tr_t2"],
        [],
        ["tr_t3", "tr_t2", "tr_t1"],
      ]);
    });

    it("is a trace that is stored by itself, in pages and with the other filters", async () => {
      for (const traceId of ["a", "b", "c", "d"]) {
        const isAnns = traceId !== "b";
        const { owner: _, ...record } = traceRecord(traceId, { sessionId: "s", status: traceId === "c" ? "error" : "completed" });
        await store().saveTrace(isAnns ? { ...record, owner: "ann" } : record);
      }
      const page = await store().listTraces({ owner: "ann", limit: 2 });
      expect(page.items.map(({ traceId }) => traceId)).toEqual(["d", "c"]);
      const rest = await store().listTraces({ owner: "ann", limit: 2, cursor: page.nextCursor });
      expect(rest.items.map(({ traceId }) => traceId)).toEqual(["a"]);
      expect(rest.nextCursor).toBeUndefined();
      const found = await store().listTraces({ owner: "ann", sessionId: "s", status: "completed", limit: 5 });
      expect(found.items.map(({ traceId }) => traceId)).toEqual(["d", "a"]);
      expect((await store().listTraces({ owner: "local", sessionId: "s", limit: 5 })).items.map(({ traceId }) => traceId)).toEqual(["b"]);
    });
  });
}
