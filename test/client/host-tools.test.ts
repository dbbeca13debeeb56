import { once } from "node:events";
import { PassThrough } from "node:stream";
import { describe, expect, it } from "vitest";
import { transportClosed } from "../../src/client/error.ts";
import type { HostTool, HostToolCall } from "../../src/client/index.ts";
import { Peer } from "../../src/client/peer.ts";
import { answer, ask, deferred, obedient, say, sent } from "./fake-host.ts";
import { next, signal } from "./sidecars.ts";

const parameters = { type: "object", properties: { city: { type: "string" } } };

/** A tool that does what `run` does. */
function weather(run: HostTool["run"]): HostTool {
  return { name: "weather", description: "The weather of a city.", parameters, mode: "read", timeoutMs: 5_000, run };
}

function call(name = "weather", args: unknown = { city: "Rome" }) {
  return { id: "call_1", name, arguments: args, timeoutMs: 5_000, streamId: "str_1", sessionId: "sess_1" };
}

describe("a tool of the host", () => {
  it("is registered as it was described", async () => {
    const sidecar = await obedient();
    const registration = await sidecar.tools.register(weather(() => "sunny"));
    expect(registration.name).toBe("weather");
    const descriptor = { type: "function", function: { name: "weather", description: "The weather of a city.", parameters }, mode: "read", timeoutMs: 5_000 };
    expect(await sent(sidecar)).toMatchObject([{ method: "tool.register", params: { tools: [descriptor] } }]);
  });

  it("is run with its arguments, and told where the call comes from", async () => {
    const sidecar = await obedient();
    const calls: [unknown, HostToolCall][] = [];
    await sidecar.tools.register(
      weather((args, from) => {
        calls.push([args, from]);
        return Promise.resolve({ success: true, data: { sky: "blue" } });
      }),
    );
    expect(await ask(sidecar, "srv_1", "tool.invoke", call())).toEqual({ result: { success: true, data: { sky: "blue" } } });
    expect(calls).toEqual([
      [{ city: "Rome" }, { callId: "call_1", streamId: "str_1", sessionId: "sess_1", timeoutMs: 5_000, signal: expect.any(AbortSignal) }],
    ]);
    expect(calls[0]?.[1].signal.aborted).toBe(false);
  });

  it("keeps the `this` of its object", async () => {
    const sidecar = await obedient();
    class Counter {
      readonly name = "count";
      #count = 0;
      run() {
        return ++this.#count;
      }
    }
    await sidecar.tools.register(new Counter());
    expect(await ask(sidecar, "srv_1", "tool.invoke", call("count"))).toEqual({ result: 1 });
    expect(await ask(sidecar, "srv_2", "tool.invoke", call("count"))).toEqual({ result: 2 });
  });

  it.each([
    ["nothing", () => undefined, null],
    ["false", () => false, false],
    ["a function", () => () => 1, null],
    ["an object that hides itself", () => ({ toJSON: () => undefined }), null],
    ["a date", () => new Date(0), "1970-01-01T00:00:00.000Z"],
  ])("answers with JSON when it returns %s", async (_what, run, result) => {
    const sidecar = await obedient();
    await sidecar.tools.register(weather(run));
    expect(await ask(sidecar, "srv_1", "tool.invoke", call())).toEqual({ result });
  });

  it.each([
    ["throws", () => fail(new Error("the window is closed")), "the window is closed"],
    ["rejects", () => Promise.reject(new Error("the window is closed")), "the window is closed"],
    ["throws a text", () => fail("no window"), "no window"],
    ["throws an error without a message", () => fail(new RangeError()), "RangeError"],
    ["throws nothing that can be read", () => fail(Object.create(null)), "The host failed without saying why"],
    ["throws what throws when it is read", () => fail(hostile()), "The host failed without saying why"],
    ["throws a secret", () => fail(new Error("bad key sk-abcdefghijklmnop")), "bad key ********"],
    ["returns a BigInt", () => 1n, expect.stringContaining("BigInt")],
    ["returns a cycle", () => cycle(), expect.stringContaining("circular")],
  ])("answers with an error when it %s, and the host goes on", async (_how, run, message) => {
    const sidecar = await obedient();
    const faults: Error[] = [];
    sidecar.on("fault", (error) => faults.push(error));
    await sidecar.tools.register(weather(run));
    expect(await ask(sidecar, "srv_1", "tool.invoke", call())).toEqual({ error: { code: -32603, message } });
    expect(faults).toEqual([]);
  });

  it("keeps the messages of its errors short", async () => {
    const sidecar = await obedient();
    await sidecar.tools.register(weather(() => fail(new Error("x".repeat(100_000)))));
    const { error } = (await ask(sidecar, "srv_1", "tool.invoke", call())) as { error: { message: string } };
    expect(error.message).toBe(`${"x".repeat(2_000)}…`);
  });

  it("runs several calls at the same time, and mixes nothing up", async () => {
    const sidecar = await obedient();
    const waiting = new Map<unknown, () => void>();
    await sidecar.tools.register(weather(({ city }) => new Promise((resolve) => waiting.set(city, () => resolve(city)))));
    const answers = ["srv_1", "srv_2", "srv_3"].map((id) => answer(sidecar, id));
    await say(sidecar, ...["srv_1", "srv_2", "srv_3"].map((id) => ({ id, method: "tool.invoke", params: call("weather", { city: id }) })));
    for (const city of ["srv_3", "srv_1", "srv_2"]) waiting.get(city)?.();
    expect(await Promise.all(answers)).toEqual([{ result: "srv_1" }, { result: "srv_2" }, { result: "srv_3" }]);
  });
});

describe("a call of a host tool that is given up", () => {
  it("aborts its signal and is answered at once, although it never settles", async () => {
    const sidecar = await obedient();
    const started = deferred<AbortSignal>();
    await sidecar.tools.register(
      weather((_args, { signal: given }) => {
        started.resolve(given);
        return new Promise(() => {});
      }),
    );
    const answered = answer(sidecar, "srv_1");
    await say(sidecar, { id: "srv_1", method: "tool.invoke", params: call() });
    const given = await started.promise;
    await say(sidecar, { method: "$/cancelRequest", params: { id: "srv_1" } });
    expect(await answered).toEqual({ error: { code: -32800, message: "tool.invoke was cancelled" } });
    expect(given.reason).toMatchObject({ name: "SidecarError", kind: "cancelled" });
  });

  it("is not run at all when it was given up before its turn came", async () => {
    const sidecar = await obedient();
    let runs = 0;
    await sidecar.tools.register(weather(() => ++runs));
    const answered = answer(sidecar, "srv_1");
    await say(sidecar, { id: "srv_1", method: "tool.invoke", params: call() }, { method: "$/cancelRequest", params: { id: "srv_1" } });
    expect(await answered).toMatchObject({ error: { code: -32800 } });
    expect(runs).toBe(0);
  });

  it("may come too late, or be of a call that never was", async () => {
    const sidecar = await obedient();
    await sidecar.tools.register(weather(() => "sunny"));
    expect(await ask(sidecar, "srv_1", "tool.invoke", call())).toEqual({ result: "sunny" });
    await say(sidecar, { method: "$/cancelRequest", params: { id: "srv_1" } }, { method: "$/cancelRequest", params: { id: "srv_99" } });
    expect(await ask(sidecar, "srv_2", "tool.invoke", call())).toEqual({ result: "sunny" });
  });

  it("costs nothing, however many there are", async () => {
    const sidecar = await obedient();
    await sidecar.tools.register(weather(() => new Promise(() => {})));
    for (let round = 0; round < 5; round++) {
      const ids = Array.from({ length: 400 }, (_, index) => `srv_${round}_${index}`);
      await say(sidecar, ...ids.map((id) => ({ id, method: "tool.invoke", params: call() })));
      const last = answer(sidecar, ids.at(-1) ?? "");
      await say(sidecar, ...ids.map((id) => ({ method: "$/cancelRequest", params: { id } })));
      expect(await last).toMatchObject({ error: { code: -32800 } });
    }
    // More than the client reads ahead: it would stop here for good if it took the cancellations for unhandled.
    await say(sidecar, ...Array.from({ length: 3_000 }, () => ({ method: "noise" })));
    expect(await sent(sidecar)).toHaveLength(1 + 5 * 400);
  });

  it("is aborted when the sidecar dies, and nobody is answered", async () => {
    const sidecar = await obedient({ restart: false });
    const faults: Error[] = [];
    sidecar.on("fault", (error) => faults.push(error));
    const started = deferred<AbortSignal>();
    const finish = deferred<string>();
    await sidecar.tools.register(
      weather((_args, { signal: given }) => {
        started.resolve(given);
        return finish.promise;
      }),
    );
    await say(sidecar, { id: "srv_1", method: "tool.invoke", params: call() });
    const given = await started.promise;
    const exited = next(sidecar, "exit");
    signal(sidecar.pid!, "SIGKILL");
    await exited;
    expect(given.reason).toMatchObject({ name: "SidecarError", kind: "transport_closed" });
    finish.resolve("too late");
    await new Promise((resolve) => setImmediate(resolve));
    expect(faults).toEqual([]);
  });
});

describe("a request whose answer cannot be sent any more", () => {
  it.each<[string, (peer: Peer, output: PassThrough) => void]>([
    ["the pipe was closed by the other side", (_peer, output) => output.destroy()],
    ["the pipe was closed by the host", (peer) => peer.endInput()],
  ])("has its signal aborted when %s, and is no fault", async (_why, close) => {
    const [input, output] = [new PassThrough(), new PassThrough()];
    const [started, finish] = [deferred<AbortSignal>(), deferred<string>()];
    const faults: Error[] = [];
    const onRequest = (_method: string, _params: unknown, given: AbortSignal) => {
      started.resolve(given);
      return finish.promise;
    };
    const peer = new Peer(input, output, { onRequest, onNotification: () => undefined, onFault: (error) => faults.push(error) });
    input.write(`${JSON.stringify({ jsonrpc: "2.0", id: "srv_1", method: "tool.invoke", params: call() })}\n`);
    const given = await started.promise;
    const aborted = once(given, "abort");
    close(peer, output);
    await aborted;
    expect(given.reason).toMatchObject({ kind: "transport_closed" });
    finish.resolve("sunny");
    await new Promise((resolve) => setImmediate(resolve));
    expect(faults).toEqual([]);
    peer.close(transportClosed("the test is over"));
  });
});

describe("registering a tool of the host", () => {
  it("takes nothing when the sidecar refuses it", async () => {
    const sidecar = await obedient({}, `refused = ({ params }) => params?.tools?.[0].function.name === "weather"`);
    await expect(sidecar.tools.register(weather(() => "sunny"))).rejects.toMatchObject({ kind: "invalid_params", message: "refused" });
    expect(await ask(sidecar, "srv_1", "tool.invoke", call())).toEqual({ error: { code: -32601, message: 'The host has no tool named "weather"' } });
  });

  it("needs something to run", async () => {
    const sidecar = await obedient();
    await expect(sidecar.tools.register({ name: "weather" } as HostTool)).rejects.toThrow(TypeError);
    expect(await sent(sidecar)).toEqual([]);
  });

  it("works from the first call on, which may come before the acknowledgement", async () => {
    const body = `const usual = on; on = (frame) => { if (frame.method === "tool.register") send({ id: "srv_1", method: "tool.invoke", params: ${JSON.stringify(call())} }); usual(frame); }`;
    const sidecar = await obedient({}, body);
    const answered = answer(sidecar, "srv_1");
    await sidecar.tools.register(weather(() => "sunny"));
    expect(await answered).toEqual({ result: "sunny" });
  });

  it("replaces the tool of that name", async () => {
    const sidecar = await obedient();
    const first = await sidecar.tools.register(weather(() => "sunny"));
    await sidecar.tools.register(weather(() => "rainy"));
    await first.unregister();
    expect(await ask(sidecar, "srv_1", "tool.invoke", call())).toEqual({ result: "rainy" });
    expect((await sent(sidecar)).map(({ method }) => method)).not.toContain("tool.unregister");
  });

  it("is undone by unregistering it, once", async () => {
    const sidecar = await obedient();
    const registration = await sidecar.tools.register(weather(() => "sunny"));
    await Promise.all([registration.unregister(), registration.unregister()]);
    expect(await sent(sidecar)).toMatchObject([{ method: "tool.register" }, { method: "tool.unregister", params: { names: ["weather"] } }]);
    expect(await ask(sidecar, "srv_1", "tool.invoke", call())).toMatchObject({ error: { code: -32601 } });
  });

  it("is undone by the end of an `await using` block, also when the sidecar is gone", async () => {
    const sidecar = await obedient();
    const [one, two] = [await sidecar.tools.register(weather(() => 1)), await sidecar.tools.register({ name: "two", run: () => 2 })];
    await one[Symbol.asyncDispose]();
    expect(await sent(sidecar)).toMatchObject([{}, {}, { method: "tool.unregister", params: { names: ["weather"] } }]);
    await sidecar.stop();
    await two[Symbol.asyncDispose]();
  });

  it("takes the tool back when nobody waits for the acknowledgement any more", async () => {
    const body = `const usual = on; on = (frame) => { if (frame.method !== "tool.register") usual(frame); else seen.push(frame); }`;
    const sidecar = await obedient({}, body);
    await expect(
      sidecar.tools.register(
        weather(() => "sunny"),
        { timeoutMs: 50 },
      ),
    ).rejects.toMatchObject({ kind: "timeout" });
    await expect.poll(() => sent(sidecar)).toMatchObject([{ method: "tool.register" }, { method: "$/cancelRequest" }, { method: "tool.unregister" }]);
    expect(await ask(sidecar, "srv_1", "tool.invoke", call())).toMatchObject({ error: { code: -32601 } });
  });
});

describe("what the host cannot answer", () => {
  it.each([
    ["no.such.method", {}],
    ["toString", {}],
    ["approval.request", { call: call() }],
    ["tool.invoke", call("nothing")],
  ])("%s is answered with method not found", async (method, params) => {
    const sidecar = await obedient();
    expect(await ask(sidecar, "srv_1", method, params)).toMatchObject({ error: { code: -32601 } });
  });

  it.each([[undefined], [[]], [{}], [{ ...call(), arguments: "x" }], [{ ...call(), name: 1 }]])(
    "a call of the shape %j is answered with invalid params",
    async (params) => {
      const sidecar = await obedient();
      await sidecar.tools.register(weather(() => "sunny"));
      expect(await ask(sidecar, "srv_1", "tool.invoke", params)).toMatchObject({ error: { code: -32602 } });
    },
  );
});

function fail(thrown: unknown): never {
  throw thrown;
}

function hostile(): Error {
  return Object.defineProperty(new Error("x"), "message", {
    get() {
      throw new Error("gotcha");
    },
  });
}

function cycle(): unknown {
  const self: Record<string, unknown> = {};
  self["self"] = self;
  return self;
}
