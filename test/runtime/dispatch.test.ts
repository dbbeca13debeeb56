import { describe, expect, it } from "vitest";
import { type Caller, HOST, SCOPES } from "../../src/contract/caller.ts";
import { type MethodName, methods } from "../../src/contract/index.ts";
import { createDispatch, type Handlers } from "../../src/methods/dispatch.ts";
import type { Door } from "../../src/runtime/door.ts";

const free = { check: () => undefined };
const doorOf = (caller: Caller): Door => ({ caller, openSink: () => undefined as never, release: () => undefined, tellsStatus: () => false });
const callOf = (method: string, params?: Record<string, unknown>, signal = new AbortController().signal) => ({
  method,
  params,
  signal,
  afterReply: (run: () => void) => run(),
});

/** Handlers that say who was called. */
function handlers(replaced: Record<string, unknown> = {}): Handlers {
  const all = Object.keys(methods).map((name) => [name, () => `called ${name}`]);
  return { ...Object.fromEntries(all), ...replaced } as Handlers;
}

describe("dispatch", () => {
  it("refuses every method to a caller without its scope, before it looks at the params", () => {
    const dispatch = createDispatch(handlers(), free);
    for (const name of Object.keys(methods) as MethodName[]) {
      const { scope } = methods[name];
      const others = SCOPES.filter((other) => other !== scope);
      const door = doorOf({ subject: "ann", scopes: new Set(others) });
      expect(() => dispatch(callOf(name, { nonsense: true }), door), name).toThrow(expect.objectContaining({ errorName: "forbidden", data: { scope } }));
    }
  });

  it("lets nobody but the host itself do what is about its connection", () => {
    const dispatch = createDispatch(handlers(), free);
    const ofHost = Object.keys(methods).filter((name) => methods[name as MethodName].scope === "host");
    expect(ofHost).toContain("tool.register");
    for (const name of ofHost) {
      expect(() => dispatch(callOf(name), doorOf({ ...HOST })), name).toThrow(expect.objectContaining({ errorName: "forbidden" }));
    }
    expect(dispatch(callOf("tool.unregister"), doorOf(HOST))).toBe("called tool.unregister");
  });

  it("answers at once where nobody has to be asked", () => {
    const dispatch = createDispatch(handlers(), free);
    expect(dispatch(callOf("trace.fetch", { traceId: "t" }), doorOf(HOST))).toBe("called trace.fetch");
    expect(() => dispatch(callOf("nope"), doorOf(HOST))).toThrow(expect.objectContaining({ errorName: "method_not_found" }));
    expect(() => dispatch(callOf("trace.fetch"), doorOf(HOST))).toThrow(expect.objectContaining({ errorName: "invalid_params" }));
  });

  it("asks about what the params name, and gives the handler the door", async () => {
    const asked: unknown[] = [];
    const access = { check: (caller: Caller, touched: unknown) => void asked.push([caller.subject, touched]) as undefined };
    const dispatch = createDispatch(handlers({ "agent.chat.steer": (_: unknown, { door }: { door: Door }) => door.caller.subject }), access);
    expect(dispatch(callOf("agent.chat.steer", { streamId: "s", content: "x" }), doorOf(HOST))).toBe("local");
    await dispatch(callOf("agent.session.get", { sessionId: "a" }), doorOf(HOST));
    expect(asked).toEqual([
      ["local", { stream: "s" }],
      ["local", { session: "a" }],
    ]);
  });

  it("asks when the calls with the same key before this one are done", async () => {
    const order: string[] = [];
    let finish = () => {};
    const first = new Promise<void>((resolve) => {
      finish = resolve;
    });
    const access = { check: async (caller: Caller) => void order.push(`check ${caller.subject}`) };
    const close = async (_: unknown, { door }: { door: Door }) => {
      order.push(`close ${door.caller.subject}`);
      if (door.caller.subject === "ann") await first;
    };
    const dispatch = createDispatch(handlers({ "agent.session.close": close }), access);
    const calls = ["ann", "bob"].map((subject) => dispatch(callOf("agent.session.close", { sessionId: "s" }), doorOf({ subject, scopes: new Set(["write"]) })));
    await expect.poll(() => order).toEqual(["check ann", "close ann"]);
    finish();
    await Promise.all(calls);
    expect(order).toEqual(["check ann", "close ann", "check bob", "close bob"]);
  });

  it("does nothing for whoever cancelled while that was looked up", async () => {
    const controller = new AbortController();
    const called: string[] = [];
    let allow = () => {};
    const access = {
      check: () =>
        new Promise<void>((resolve) => {
          allow = resolve;
        }),
    };
    const dispatch = createDispatch(handlers({ "trace.fetch": () => called.push("fetch") }), access);
    const answer = dispatch(callOf("trace.fetch", { traceId: "t" }, controller.signal), doorOf(HOST));
    controller.abort();
    allow();
    await expect(answer).rejects.toMatchObject({ errorName: "cancelled" });
    expect(called).toEqual([]);
  });
});
