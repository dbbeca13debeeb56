import { createRequire } from "node:module";
import { describe, expect, it } from "vitest";
import { ToolResult } from "../../src/contract/model.ts";
import { fail, WireError } from "../../src/errors.ts";
import { registerSecret } from "../../src/redact.ts";
import { type Invocation, misfitOf, runTool, type ToolOutcome, unknownTool } from "../../src/runtime/tools/invocation.ts";
import { ToolRegistry } from "../../src/runtime/tools/registry.ts";
import { modeOf, type Tool, ToolFailure, type ToolSource } from "../../src/tools/tool.ts";

const never = new AbortController().signal;

const compilerLoaded = () => Object.keys(createRequire(import.meta.url).cache).some((file) => /[\\/]ajv[\\/]/.test(file));
const compilerLoadedAtStart = compilerLoaded();

function tool(name: string, run: Tool["run"], parameters: Record<string, unknown> = {}): Tool {
  return { name, description: `Does ${name}.`, parameters, mode: modeOf(name), run };
}

interface ToolInvocation {
  name: string;
  arguments: Record<string, unknown>;
  observer?: Invocation["observer"];
}

/** Tools, and calls of them by name as a host makes them. */
function createToolRegistry({ tools, timeoutMs }: { tools: Tool[]; timeoutMs: number }) {
  const registry = new ToolRegistry();
  registry.configure(tools, undefined);
  const invoke = async ({ name, arguments: args, observer }: ToolInvocation, signal: AbortSignal): Promise<ToolResult> => {
    if (signal.aborted) throw fail("cancelled");
    const found = await registry.find(name);
    if (found === undefined) return unknownTool(name);
    return (await misfitOf(found, args)) ?? runTool(found, args, { callId: "call_1", observer }, timeoutMs, signal);
  };
  return { registry, invoke };
}

/** The result of one call of a tool, checked against the contract. */
async function resultOf(run: Tool["run"], parameters?: Record<string, unknown>, args: Record<string, unknown> = {}): Promise<ToolResult> {
  const registry = createToolRegistry({ tools: [tool("get_it", run, parameters)], timeoutMs: 60_000 });
  return ToolResult.parse(await registry.invoke({ name: "get_it", arguments: args }, never));
}

const returning = (value: unknown) => resultOf(async () => value);
const throwing = (value: unknown) =>
  resultOf(async () => {
    throw value;
  });

/** Something to wait for. */
function gate<T = void>() {
  let open: (value: T) => void = () => undefined;
  const opened = new Promise<T>((resolve) => {
    open = resolve;
  });
  return { opened, open };
}

async function wireError(attempt: Promise<unknown>): Promise<WireError> {
  const error: unknown = await attempt.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(WireError);
  return error as WireError;
}

const durationMs: unknown = expect.any(Number);

const source = (...names: string[]): ToolSource => {
  const tools = names.map((name) => tool(name, async () => 1));
  return {
    tools: async () => tools,
    patienceMs: () => 1,
    known: tools.length,
    find: async (name) => tools.find((each) => each.name === name),
    close: async () => undefined,
  };
};

describe("the registry", () => {
  it("lists function descriptors and counts", async () => {
    const parameters = { type: "object" };
    const { registry } = createToolRegistry({ tools: [tool("get_it", async () => 1, parameters)], timeoutMs: 1 });
    expect(registry.count).toBe(1);
    expect(await registry.list()).toEqual([{ type: "function", function: { name: "get_it", description: "Does get_it.", parameters } }]);
    expect((await registry.find("get_it"))?.mode).toBe("read");
    expect(await registry.find("toString")).toBeUndefined();
  });

  it("refuses two tools of one name, wherever they come from, and then stays as it was", async () => {
    const { registry } = createToolRegistry({ tools: [tool("a", async () => 1)], timeoutMs: 1 });
    expect(() => registry.configure([tool("b", async () => 1), tool("b", async () => 2)], undefined)).toThrow('Two tools are named "b"');
    expect(() => registry.register([tool("c", async () => 1), tool("a", async () => 2)])).toThrow('There is another tool named "a"');
    expect(() => registry.register([tool("mcp__x__y", async () => 1)])).toThrow("MCP servers");
    expect(() => registry.register([tool("no spaces", async () => 1)])).toThrow("letters, digits");
    expect((await registry.list()).map(({ function: { name } }) => name)).toEqual(["a"]);
    registry.register([tool("h", async () => 1)]);
    expect(() => registry.configure([tool("h", async () => 1)], undefined)).toThrow('There is another tool named "h"');
  });

  it("keeps the host's tools beside its own, until the host takes them back", () => {
    const { registry } = createToolRegistry({ tools: [tool("a", async () => 1)], timeoutMs: 1 });
    expect(registry.register([tool("h1", async () => 1), tool("h2", async () => 1)])).toEqual(["h1", "h2"]);
    expect(registry.register([tool("h1", async () => 2)])).toEqual(["h1", "h2"]);
    expect(registry.count).toBe(3);
    expect(registry.unregister(["h2", "a", "nobody"])).toEqual(["h1"]);
    expect(registry.unregister(undefined)).toEqual([]);
    expect(registry.count).toBe(1);
  });

  it("selects by name and by prefix, and asks the source only where it may be meant", async () => {
    const registry = new ToolRegistry();
    let asked = 0;
    const counted = { ...source("mcp__s__x", "mcp__s__y", "mcp__t__x") };
    const tools = counted.tools;
    counted.tools = () => {
      asked += 1;
      return tools();
    };
    registry.configure([tool("get_a", async () => 1), tool("get_b", async () => 1), tool("set_a", async () => 1)], counted);
    const select = async (...patterns: string[]) => (await registry.select(patterns)).map(({ name }) => name);
    expect(await select()).toEqual([]);
    expect(await select("get_*")).toEqual(["get_a", "get_b"]);
    expect(await select("set_a", "set_a", "get_a")).toEqual(["get_a", "set_a"]);
    expect(asked).toBe(0);
    expect(await select("mcp__s__*")).toEqual(["mcp__s__x", "mcp__s__y"]);
    expect(await select("mcp__t__x", "get_b")).toEqual(["get_b", "mcp__t__x"]);
    expect(await select("m*")).toHaveLength(3);
    expect(await select("*")).toHaveLength(6);
    expect(asked).toBe(4);
  });

  it("refuses a name of useTools that nobody has, and says which one is close", () => {
    const { registry } = createToolRegistry({ tools: [tool("read_file", async () => 1)], timeoutMs: 1 });
    expect(() => registry.check(["read_file", "mcp__later__x", "get_*", "*"])).not.toThrow();
    expect(() => registry.check(["*", "readfile"])).toThrow('No tool is named "readfile"; did you mean "read_file"?');
    expect(() => registry.check([""])).toThrow("No tool");
  });

  it("replaces tools, and lets running calls end as they began", async () => {
    const end = gate<string>();
    const { registry, invoke } = createToolRegistry({ tools: [tool("a", () => end.opened)], timeoutMs: 60_000 });
    const started = gate();
    const running = invoke({ name: "a", arguments: {}, observer: { started: () => started.open() } }, never);
    await started.opened;
    registry.configure([tool("b", async () => 1)], undefined);
    expect(await invoke({ name: "a", arguments: {} }, never)).toMatchObject({ success: false, error: "Unknown tool: a", needsFollowup: false });
    end.open("still here");
    expect(await running).toMatchObject({ success: true, data: { value: "still here" } });
  });

  it("loads the schema compiler only for the first call", async () => {
    expect(compilerLoadedAtStart).toBe(false);
    await returning(1);
    expect(compilerLoaded()).toBe(true);
  });

  it("names an unknown tool in the result", async () => {
    const registry = createToolRegistry({ tools: [], timeoutMs: 1 });
    for (const name of ["x", "__proto__", "delete_x"]) {
      expect(await registry.invoke({ name, arguments: {} }, never)).toEqual({
        success: false,
        error: `Unknown tool: ${name}`,
        kind: "invalid_params",
        needsFollowup: false,
      });
    }
  });
});

describe("arguments", () => {
  const object = (properties: Record<string, unknown>, more: Record<string, unknown> = {}) => ({ type: "object", properties, ...more });
  const ran = async () => "ran";

  it.each([
    [object({ n: { type: "integer" } }), { n: "1" }, "Invalid arguments: /n must be integer"],
    [object({}, { required: ["city"] }), {}, "Invalid arguments: the arguments must have required property 'city'"],
    [object({}, { additionalProperties: false }), { cty: 1 }, 'Invalid arguments: the arguments must NOT have additional properties ("cty")'],
    [object({ unit: { enum: ["C", "F"] } }), { unit: "K" }, 'Invalid arguments: /unit must be equal to one of the allowed values: ["C","F"]'],
    [object({ list: { type: "array", items: { minimum: 3 } } }), { list: [3, 1] }, "Invalid arguments: /list/1 must be >= 3"],
    [object({ v: { const: 1 } }), { v: 2 }, "Invalid arguments: /v must be equal to constant: 1"],
  ])("that do not fit are refused by path and reason: %j", async (schema, args, error) => {
    expect(await resultOf(ran, schema, args)).toEqual({ success: false, needsFollowup: true, kind: "invalid_params", error });
  });

  it("are checked by the dialect of the schema", async () => {
    const pair = (keyword: string) => object({ p: { type: "array", [keyword]: [{ type: "string" }, { type: "number" }] } });
    const draft7 = { $schema: "http://json-schema.org/draft-07/schema#", ...pair("items") };
    const current = { $schema: "https://json-schema.org/draft/2020-12/schema", ...pair("prefixItems") };
    for (const schema of [draft7, current, pair("items"), pair("prefixItems")]) {
      expect((await resultOf(ran, schema, { p: ["a", 1] })).success).toBe(true);
      expect((await resultOf(ran, schema, { p: [1] })).error).toBe("Invalid arguments: /p/0 must be string");
    }
    const refs = object(
      { a: { $ref: "#/$defs/a" }, b: { $ref: "#/definitions/b" } },
      { $defs: { a: { type: "string" } }, definitions: { b: { type: "null" } } },
    );
    expect((await resultOf(ran, refs, { a: "", b: 1 })).error).toBe("Invalid arguments: /b must be null");
  });

  it("are let through where a schema says nothing that we know", async () => {
    const schema = object({ at: { type: "string", format: "date-time" }, x: { "x-note": 1, format: "made-up" }, m: { type: "string", pattern: "^\\_\\@$" } });
    expect((await resultOf(ran, schema, { at: "yesterday", x: 5, m: "_@" })).success).toBe(true);
    expect((await resultOf(ran, schema, { m: "-" })).success).toBe(false);
    expect((await resultOf(ran, {}, { anything: [1] })).success).toBe(true);
  });

  it("are checked also where a schema claims to be asynchronous or shares its $id", async () => {
    const schema = object({ n: { type: "integer" } }, { $async: true, $id: "https://example.test/one" });
    const registry = createToolRegistry({ tools: [tool("a", ran, schema), tool("b", ran, { ...schema, required: ["n"] })], timeoutMs: 60_000 });
    expect((await registry.invoke({ name: "a", arguments: { n: "1" } }, never)).error).toContain("/n must be integer");
    expect((await registry.invoke({ name: "b", arguments: {} }, never)).error).toContain("required property 'n'");
    expect((await registry.invoke({ name: "a", arguments: { n: 1 } }, never)).success).toBe(true);
  });

  it("of a tool whose schema is broken fail that call only", async () => {
    for (const broken of [
      { type: "objekt" },
      { $ref: "https://example.test/elsewhere" },
      { required: true },
      { properties: { a: { minimum: "3" } } },
      { properties: null },
    ]) {
      const registry = createToolRegistry({ tools: [tool("bad", ran, { ...broken }), tool("good", ran)], timeoutMs: 60_000 });
      const [bad, good] = await Promise.all(["bad", "good"].map((name) => registry.invoke({ name, arguments: {} }, never)));
      expect(bad).toMatchObject({ success: false, needsFollowup: true });
      expect(bad?.error).toContain("not a usable JSON Schema");
      expect(good?.success).toBe(true);
    }
  });

  it("that repeat one fault a million times give a short answer", async () => {
    const result = await resultOf(ran, object({ list: { type: "array", items: { type: "string" } } }), { list: Array.from({ length: 1_000_000 }, () => 0) });
    expect(result.error).toBe("Invalid arguments: /list/0 must be string");
    const long = await resultOf(ran, object({}, { additionalProperties: false }), { ["k".repeat(100_000)]: 1 });
    expect(long.error?.length).toBeLessThan(1100);
  });

  it("too deep for a schema that refers to itself are refused, not a crash", async () => {
    let deep: Record<string, unknown> = {};
    for (let level = 0; level < 200_000; level += 1) deep = { next: deep };
    const result = await resultOf(ran, { type: "object", properties: { next: { $ref: "#" } } }, deep);
    expect(result).toMatchObject({ success: false, needsFollowup: true });
  });

  it("that keep a pattern of the schema busy for ever are given up", async () => {
    const pattern = object({ p: { type: "string", pattern: "^(a+)+$" } });
    const result = await resultOf(ran, pattern, { p: `${"a".repeat(60)}!` });
    expect(result).toMatchObject({ success: false, kind: "invalid_params", error: expect.stringContaining("takes too long to check") });
    const many = { type: "object", patternProperties: { "^(a|aa)+$": {} } };
    expect(await resultOf(ran, many, { [`${"a".repeat(80)}!`]: 1 })).toMatchObject({ success: false });
    // Whoever stands still for that long himself sees no difference, and asks again.
    await expect.poll(() => resultOf(ran, pattern, { p: "aaa" })).toMatchObject({ success: true });
  });

  it("never show a secret", async () => {
    registerSecret("hunter2-hunter2");
    const result = await resultOf(ran, object({}, { additionalProperties: false }), { "hunter2-hunter2": 1 });
    expect(result.error).toContain("********");
    expect(result.error).not.toContain("hunter2");
  });
});

describe("results", () => {
  it("hold an object as data, anything else as data.value", async () => {
    expect(await returning({ a: 1 })).toEqual({ success: true, data: { a: 1, durationMs } });
    for (const value of ["text", 0, false, null, [1, 2]]) expect(await returning(value)).toEqual({ success: true, data: { value, durationMs } });
    expect(await returning(undefined)).toEqual({ success: true, data: { durationMs } });
    expect(await returning(new Date(0))).toEqual({ success: true, data: { value: "1970-01-01T00:00:00.000Z", durationMs } });
    expect(Number.isInteger((await returning(1)).data?.durationMs)).toBe(true);
  });

  it("are taken as they are when they say success themselves", async () => {
    const own = { success: false, needsFollowup: false, terminal: true, message: "m", error: "e", data: { a: 1 }, more: [1] };
    expect(await returning(own)).toEqual({ ...own, data: { a: 1, durationMs } });
    expect(await returning({ success: true })).toEqual({ success: true, data: { durationMs } });
    expect(await returning({ success: true, error: null, message: 5, terminal: "no", data: [1] })).toEqual({
      success: true,
      message: "5",
      data: { value: [1], durationMs },
    });
    expect(await returning({ success: "yes" })).toEqual({ success: true, data: { success: "yes", durationMs } });
  });

  it("are copies: what the tool does to its object later changes nothing", async () => {
    const kept = { a: 1 };
    const result = await returning(kept);
    kept.a = 2;
    expect(result.data?.["a"]).toBe(1);
  });

  it("that cannot be written as JSON are failures", async () => {
    const cycle: Record<string, unknown> = {};
    cycle["self"] = cycle;
    const getter = {
      get x() {
        throw new Error("no");
      },
    };
    let deep: unknown[] = [];
    for (let level = 0; level < 200_000; level += 1) deep = [deep];
    let justTooDeep: unknown[] = [];
    for (let level = 0; level < 200; level += 1) justTooDeep = [justTooDeep];
    for (const value of [cycle, 1n, { n: 1n }, getter, deep, justTooDeep]) {
      const result = await returning(value);
      expect(result).toMatchObject({ success: false, needsFollowup: true, data: { durationMs } });
      expect(result.error).toContain("cannot be written as JSON");
      expect(result.error).not.toContain("\n");
    }
  });
});

describe("failures", () => {
  it("keep the message of a ToolFailure and mask secrets in any other", async () => {
    expect(await throwing(new ToolFailure("No such city"))).toEqual({
      success: false,
      needsFollowup: true,
      kind: "tool_failed",
      error: "No such city",
      data: { durationMs },
    });
    expect(await throwing(new ToolFailure("Nobody there", "unavailable"))).toMatchObject({ success: false, kind: "unavailable" });
    const leak = await throwing(new Error("401 for Bearer abcdefghijklmnop"));
    expect(leak.error).toMatch(/^401 for .*\*{8}$/);
    expect(leak.error).not.toContain("abcdefgh");
    expect((await throwing(new Error("x".repeat(1_000_000)))).error?.length).toBeLessThan(2100);
  });

  it("take whatever is thrown, also before the first await", async () => {
    expect((await throwing("text")).error).toBe("text");
    expect((await throwing(new TypeError())).error).toBe("TypeError");
    const unreadable = Object.defineProperty(new Error("x"), "message", {
      get() {
        throw new Error("gotcha");
      },
    });
    for (const value of [undefined, null, 5, {}, unreadable]) expect((await throwing(value)).error).toBe("The tool failed without saying why");
    const sync = await resultOf(() => {
      throw new ToolFailure("at once");
    });
    expect(sync.error).toBe("at once");
  });

  it("of one call leave the others alone", async () => {
    const registry = createToolRegistry({
      tools: [
        tool("ok", async () => "fine"),
        tool("bad", async () => {
          throw new Error("bad");
        }),
        tool("hangs", () => new Promise(() => undefined)),
      ],
      timeoutMs: 60_000,
    });
    const caller = new AbortController();
    const hanging = wireError(registry.invoke({ name: "hangs", arguments: {} }, caller.signal));
    const results = await Promise.all(["ok", "bad", "ok", "bad"].map((name) => registry.invoke({ name, arguments: {} }, never)));
    expect(results.map(({ success }) => success)).toEqual([true, false, true, false]);
    caller.abort();
    expect((await hanging).errorName).toBe("cancelled");
  });
});

describe("ends", () => {
  it("come at the deadline, with the tool's signal aborted", async () => {
    const aborted = gate();
    const hangs = tool("get_slow", (_, { signal }) => {
      signal.addEventListener("abort", () => aborted.open());
      return new Promise((_resolve, reject) => signal.addEventListener("abort", () => reject(new Error("told to stop"))));
    });
    const outcomes: ToolOutcome[] = [];
    const registry = createToolRegistry({ tools: [hangs], timeoutMs: 20 });
    const result = await registry.invoke({ name: "get_slow", arguments: {}, observer: { ended: (outcome) => outcomes.push(outcome) } }, never);
    await aborted.opened;
    expect(result).toEqual({
      success: false,
      needsFollowup: true,
      kind: "timeout",
      error: 'The tool "get_slow" did not finish within 20 ms',
      data: { durationMs },
    });
    expect(outcomes).toMatchObject([{ status: "timeout", result }]);
  });

  it("come when the caller cancels, even if the tool does not listen", async () => {
    let toolSignal: AbortSignal | undefined;
    const started = gate();
    const deaf = tool("get_deaf", (_, { signal }) => {
      toolSignal = signal;
      started.open();
      return new Promise(() => undefined);
    });
    const outcomes: ToolOutcome[] = [];
    const registry = createToolRegistry({ tools: [deaf], timeoutMs: 60_000 });
    const caller = new AbortController();
    const call: ToolInvocation = { name: "get_deaf", arguments: {}, observer: { ended: (outcome) => outcomes.push(outcome) } };
    const cancelled = wireError(registry.invoke(call, caller.signal));
    await started.opened;
    caller.abort();
    expect((await cancelled).toWire()).toMatchObject({ code: -32800, kind: "cancelled", data: { tool: "get_deaf" } });
    expect(toolSignal?.aborted).toBe(true);
    expect(outcomes).toMatchObject([{ status: "cancelled" }]);
  });

  it("come at once when the call was cancelled before it began", async () => {
    let runs = 0;
    const registry = createToolRegistry({ tools: [tool("get_it", async () => (runs += 1))], timeoutMs: 60_000 });
    expect((await wireError(registry.invoke({ name: "get_it", arguments: {} }, AbortSignal.abort()))).errorName).toBe("cancelled");
    const caller = new AbortController();
    const startedEarly: unknown[] = [];
    const observer = { started: (what: unknown) => startedEarly.push(what) };
    const early = wireError(registry.invoke({ name: "get_it", arguments: {}, observer }, caller.signal));
    caller.abort();
    expect((await early).errorName).toBe("cancelled");
    expect(startedEarly).toEqual([]);
    const own = new AbortController();
    const inHook = registry.invoke({ name: "get_it", arguments: {}, observer: { started: () => own.abort() } }, own.signal);
    expect((await wireError(inHook)).errorName).toBe("cancelled");
    expect(runs).toBe(0);
  });

  it("are told to the observer, of calls that ran only", async () => {
    const seen: unknown[] = [];
    const observer: ToolInvocation["observer"] = { started: (what) => seen.push(what), ended: ({ status }) => seen.push(status) };
    const registry = createToolRegistry({
      tools: [
        tool("set_it", async () => 1, { required: ["x"] }),
        tool("get_it", async () => {
          throw new Error("x");
        }),
      ],
      timeoutMs: 60_000,
    });
    await registry.invoke({ name: "set_it", arguments: {}, observer }, never);
    await registry.invoke({ name: "nope", arguments: {}, observer }, never);
    expect(seen).toEqual([]);
    await registry.invoke({ name: "set_it", arguments: { x: 1 }, observer }, never);
    await registry.invoke({ name: "get_it", arguments: {}, observer }, never);
    expect(seen).toEqual([{ name: "set_it", mode: "safe_write", timeoutMs: 60_000 }, "ok", { name: "get_it", mode: "read", timeoutMs: 60_000 }, "error"]);
  });

  it("leave nothing behind on the caller's signal", async () => {
    const { signal } = new AbortController();
    let listeners = 0;
    const add = signal.addEventListener.bind(signal);
    const remove = signal.removeEventListener.bind(signal);
    signal.addEventListener = (...args: Parameters<typeof add>) => {
      listeners += 1;
      add(...args);
    };
    signal.removeEventListener = (...args: Parameters<typeof remove>) => {
      listeners -= 1;
      remove(...args);
    };
    const registry = createToolRegistry({ tools: [tool("get_it", async () => 1)], timeoutMs: 60_000 });
    for (let call = 0; call < 20; call += 1) await registry.invoke({ name: "get_it", arguments: {} }, signal);
    expect(listeners).toBe(0);
  });
});
