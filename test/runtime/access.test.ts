import { describe, expect, it } from "vitest";
import { type Caller, HOST } from "../../src/contract/caller.ts";
import { type CallParams, type MethodName, methods } from "../../src/contract/index.ts";
import { Access } from "../../src/runtime/access.ts";
import { at, startModel } from "../support/agent.ts";
import { startApp } from "./app.ts";
import { ask, openDoor, refusal } from "./door.ts";

const ann: Caller = { subject: "ann", scopes: new Set(["read", "write"]) };
const bob: Caller = { subject: "bob", scopes: new Set(["read", "write"]) };
const root: Caller = { subject: "root", scopes: new Set(["read", "write", "admin"]) };
const echo = { provider: "echo", messages: [{ role: "user" as const, content: "Hi" }] };

describe("access", () => {
  const owners = { ownerOf: (id: string) => (id === "gone" ? undefined : "ann") };
  const broken = () => {
    throw new Error("asked");
  };

  it("costs those nothing who may do everything: no store is asked, and nothing is waited for", () => {
    const access = new Access({ store: broken, streams: { ownerOf: broken }, traces: { ownerOf: broken } });
    for (const caller of [HOST, root]) expect(access.check(caller, { session: "s", stream: "s", trace: "t" })).toBeUndefined();
    expect(access.check(bob, { session: undefined })).toBeUndefined();
  });

  it("is for whoever something belongs to, and to what belongs to nobody", async () => {
    // What is running may not be stored yet.
    const stored = async (what: { sessionId: string } | { traceId: string }) => owners.ownerOf(String(Object.values(what)[0]).replace("live", "gone"));
    const store = async () => ({ ownerOf: stored });
    const access = new Access({ store, streams: owners, traces: { ownerOf: (id) => (id === "live" ? "ann" : undefined) } });
    for (const kind of ["session", "stream", "trace"] as const) {
      await access.check(ann, { [kind]: "x" });
      await access.check(bob, { [kind]: "gone" });
      await expect(access.check(bob, { [kind]: "x" })).rejects.toMatchObject({ errorName: `${kind}_not_found`, data: { [`${kind}Id`]: "x" } });
    }
    await access.check(ann, { trace: "live" });
    await expect(access.check(bob, { trace: "live" })).rejects.toMatchObject({ errorName: "trace_not_found" });
    await expect(access.check(bob, { session: "gone", trace: "x" })).rejects.toMatchObject({ errorName: "trace_not_found" });
  });

  it("fails with the store", async () => {
    const access = new Access({ store: async () => Promise.reject(new Error("closed")), streams: owners, traces: owners });
    await expect(access.check(ann, { session: "s" })).rejects.toThrow("closed");
  });
});

describe("a session of somebody else", () => {
  /** What each method is asked with that is about a session. */
  const asked: { [M in MethodName]?: (sessionId: string) => CallParams<M> } = {
    "agent.session.create": (sessionId) => ({ sessionId, alias: "mine now" }),
    "agent.session.resume": (sessionId) => ({ sessionId }),
    "agent.session.get": (sessionId) => ({ sessionId }),
    "agent.session.close": (sessionId) => ({ sessionId }),
    "agent.session.configure": (sessionId) => ({ sessionId, provider: "echo" }),
    "agent.session.empty": (sessionId) => ({ sessionId }),
    "agent.session.delete": (sessionId) => ({ sessionId }),
    "agent.session.fork": (sessionId) => ({ sessionId }),
    "agent.session.compress": (sessionId) => ({ sessionId, provider: "echo" }),
    "agent.chat.stream": (sessionId) => ({ ...echo, sessionId }),
    "agent.chat.complete": (sessionId) => ({ ...echo, sessionId }),
    "agent.chat.estimate": (sessionId) => ({ ...echo, sessionId }),
    "agent.budget.get": (sessionId) => ({ sessionId }),
    "agent.budget.reset": (sessionId) => ({ sessionId }),
    "trace.list": (sessionId) => ({ sessionId }),
  };
  const aboutSessions = (Object.keys(methods) as MethodName[]).filter((name) => {
    const entry = methods[name];
    return "touches" in entry && entry.touches !== undefined && "session" in entry.touches;
  });

  it("does not exist, whatever is asked about it, and stays as it was", async () => {
    const { app } = await startApp();
    const anns = openDoor(ann).door;
    const bobs = openDoor(bob).door;
    const { sessionId } = await ask(app, anns, "agent.session.create", { sessionId: "plans", alias: "Plans" });
    await ask(app, anns, "agent.chat.complete", { ...echo, sessionId });
    const before = await ask(app, anns, "agent.session.get", { sessionId });
    expect(aboutSessions.length).toBeGreaterThan(10);
    for (const name of aboutSessions) {
      const params = asked[name]?.(sessionId);
      expect(params, name).toBeDefined();
      expect(await refusal(ask(app, bobs, name, params as never)), name).toEqual({ name: "session_not_found", data: { sessionId } });
    }
    expect(await ask(app, anns, "agent.session.get", { sessionId })).toEqual(before);
    expect(before.messages).toHaveLength(2);
  });

  it("is there for whoever it belongs to, and for callers with admin, the host among them", async () => {
    const { app } = await startApp();
    const { sessionId } = await ask(app, openDoor(ann).door, "agent.session.create", {});
    for (const caller of [ann, root, HOST]) {
      const { door } = openDoor(caller);
      await ask(app, door, "agent.chat.complete", { ...echo, sessionId });
      await ask(app, door, "agent.session.create", { sessionId, currentStage: caller.subject });
    }
    // Who changes it does not get it.
    const found = await ask(app, openDoor(ann).door, "agent.session.get", { sessionId });
    expect(found).toMatchObject({ session: { currentStage: "local" }, messages: { length: 6 } });
    expect(await refusal(ask(app, openDoor(bob).door, "agent.session.get", { sessionId }))).toMatchObject({ name: "session_not_found" });
  });

  it("is not listed, nor gone on after, but for callers with admin", async () => {
    const { app } = await startApp();
    for (const [caller, sessionId] of [
      [HOST, "hosts"],
      [ann, "anns"],
      [bob, "bobs"],
    ] as const)
      await ask(app, openDoor(caller).door, "agent.session.create", { sessionId });
    const list = async (caller: Caller, params = {}) => (await ask(app, openDoor(caller).door, "agent.session.list", params)).map((found) => found.sessionId);
    expect(await list(ann)).toEqual(["anns"]);
    expect(await list(bob, { userId: "local" })).toEqual(["bobs"]);
    for (const caller of [root, HOST]) expect(await list(caller)).toEqual(["bobs", "anns", "hosts"]);
    expect(await refusal(list(ann, { after: "bobs" }))).toEqual({ name: "session_not_found", data: { sessionId: "bobs" } });
    expect(await list(root, { after: "bobs" })).toEqual(["anns", "hosts"]);
  });

  it("is what one that two make at the same moment is to the second", async () => {
    const { app } = await startApp();
    const create = (caller: Caller) => refusal(ask(app, openDoor(caller).door, "agent.session.create", { sessionId: "s", alias: caller.subject }));
    const outcomes = await Promise.all([create(bob), create(ann), create(bob)]);
    expect(outcomes).toEqual([undefined, { name: "session_not_found", data: { sessionId: "s" } }, undefined]);
    expect(await app.store()?.ownerOf({ sessionId: "s" })).toBe("bob");
    expect(await app.store()?.getSession("s")).toMatchObject({ alias: "bob" });
  });

  it("is what a session becomes for the one who forks it", async () => {
    const { app } = await startApp();
    const own = { alias: "Plans", provider: "echo", model: "m" };
    const { sessionId } = await ask(app, openDoor(ann).door, "agent.session.create", own);
    expect(await ask(app, openDoor(root).door, "agent.session.fork", { sessionId, newSessionId: "fork" })).toMatchObject(own);
    expect(await app.store()?.ownerOf({ sessionId: "fork" })).toBe("root");
    expect(await refusal(ask(app, openDoor(ann).door, "agent.session.get", { sessionId: "fork" }))).toMatchObject({ name: "session_not_found" });
  });

  it("is not there for turns that were asked for before it was made by somebody else", async () => {
    const { app } = await startApp();
    const outcomes = await Promise.all([
      refusal(ask(app, openDoor(ann).door, "agent.session.create", { sessionId: "s" })),
      refusal(ask(app, openDoor(bob).door, "agent.chat.complete", { ...echo, sessionId: "s" })),
    ]);
    expect(outcomes).toEqual([undefined, { name: "session_not_found", data: { sessionId: "s" } }]);
    expect((await ask(app, openDoor(ann).door, "agent.session.get", { sessionId: "s" })).messages).toEqual([]);
  });
});

describe("a trace of somebody else", () => {
  it("does not exist, while it runs and after; its owner and callers with admin find it", async () => {
    let go = () => {};
    const model = await startModel(async () => {
      await new Promise<void>((resolve) => {
        go = resolve;
      });
      return "Hi";
    });
    const { app } = await startApp({ config: { allowedBaseUrls: [model.url] } });
    const anns = openDoor(ann);
    const { streamId } = await ask(app, anns.door, "agent.chat.stream", at(model) as never);
    await model.nextRequest();
    const [running] = (await ask(app, openDoor(ann).door, "trace.list", {})).traces;
    const traceId = running?.traceId ?? "";
    const look = async (): Promise<void> => {
      expect(await refusal(ask(app, openDoor(bob).door, "trace.fetch", { traceId }))).toEqual({ name: "trace_not_found", data: { traceId } });
      expect((await ask(app, openDoor(bob).door, "trace.list", {})).traces).toEqual([]);
      for (const caller of [ann, root, HOST]) {
        expect((await ask(app, openDoor(caller).door, "trace.fetch", { traceId })).trace).toMatchObject({ traceId });
        expect((await ask(app, openDoor(caller).door, "trace.list", {})).traces).toHaveLength(1);
      }
    };
    expect(running).toMatchObject({ status: "running" });
    await look();
    go();
    expect(await anns.ended(streamId)).toContain("delta Hi");
    await expect.poll(async () => (await app.store()?.getTrace(traceId))?.trace.status).toBe("completed");
    await look();
    expect(await refusal(ask(app, openDoor(bob).door, "trace.fetch", { traceId: "nope" }))).toEqual({ name: "trace_not_found", data: { traceId: "nope" } });
  });

  it("is that of a tool call or a summary as well", async () => {
    const { app } = await startApp({ config: { tools: { builtin: ["get_time"] } } });
    const { door } = openDoor(ann);
    const { data } = await ask(app, door, "tool.invoke", { name: "get_time", arguments: {} });
    const { sessionId } = await ask(app, door, "agent.session.create", {});
    for (const content of ["One", "Two"]) await ask(app, door, "agent.chat.complete", { ...echo, messages: [{ role: "user", content }], sessionId });
    const { traceId } = await ask(app, door, "agent.session.compress", { provider: "echo", sessionId, keepTurns: 1 });
    for (const id of [data?.["traceId"] as string, traceId ?? ""]) {
      await expect.poll(() => app.store()?.ownerOf({ traceId: id })).toBe("ann");
      expect(await refusal(ask(app, openDoor(bob).door, "trace.fetch", { traceId: id }))).toMatchObject({ name: "trace_not_found" });
    }
  });
});

describe("what belongs to everybody", () => {
  it("is not one caller's to reset", async () => {
    const { app } = await startApp();
    expect(await refusal(ask(app, openDoor(ann).door, "agent.budget.reset", {}))).toEqual({ name: "forbidden", data: { scope: "admin" } });
    expect(await ask(app, openDoor(root).door, "agent.budget.reset", {})).toBeNull();
  });
});
