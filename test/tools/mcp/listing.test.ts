import { describe, expect, it } from "vitest";
import { bench, fake, until } from "./support.ts";

const inputSchema = { type: "object" };

describe("the list of a server", () => {
  it("is followed when the server says that it has changed, once for several words", async () => {
    const { names, call, changes } = bench({ a: fake() });
    const before = await names();
    await call("mcp__a__grow", { name: "one" });
    await until(() => changes() > 0, "the change");
    expect(await names()).toEqual([...before, "mcp__a__one"]);
    await call("mcp__a__grow", { name: "two" });
    await until(() => changes() > 1, "the second change");
    expect(await names()).toEqual([...before, "mcp__a__one", "mcp__a__two"]);
    expect(changes()).toBe(2);
  });

  it("gives the same tools, not copies, until it changes", async () => {
    const { sources } = bench({ a: fake() });
    const [first] = await sources.tools();
    expect((await sources.tools())[0]).toBe(first);
    expect(await sources.find(first?.name ?? "")).toBe(first);
  });

  it("may have pages, a hundred of them", async () => {
    const { names } = bench({ a: fake({ pages: 3 }), endless: fake({ pages: -1 }) });
    const all = await names();
    expect(all.slice(0, 3)).toEqual(["mcp__a__tool0", "mcp__a__tool1", "mcp__a__tool2"]);
    expect(all.slice(3)).toHaveLength(100);
  });

  it("ends after a thousand tools", async () => {
    const tools = Array.from({ length: 1001 }, (_, index) => ({ name: `t${index}`, inputSchema }));
    expect(await bench({ a: fake({ tools }) }).names()).toHaveLength(1000);
  });

  it("loses only the tools that cannot be read", async () => {
    const tools = [
      { name: "good", inputSchema },
      { name: 7, inputSchema },
      { name: "no-schema" },
      null,
      { name: "", inputSchema },
      { name: "also", inputSchema, annotations: "odd" },
    ];
    expect(await bench({ a: fake({ tools }) }).names()).toEqual(["mcp__a__good", "mcp__a__also"]);
  });

  it("tells what the tools may do, and how to describe them", async () => {
    const tools = [
      { name: "r", inputSchema, description: "Reads.", annotations: { readOnlyHint: true, destructiveHint: true } },
      { name: "d", inputSchema, title: "Deletes", annotations: { destructiveHint: true } },
      { name: "o", inputSchema, annotations: { readOnlyHint: false, destructiveHint: false } },
      { name: "odd", inputSchema, annotations: { readOnlyHint: "yes" } },
      { name: "n", inputSchema },
    ];
    const listed = await bench({ a: fake({ tools }) }).sources.tools();
    expect(listed.map(({ mode }) => mode)).toEqual(["read", "destructive", "other", "other", "other"]);
    expect(listed.map(({ description }) => description)).toEqual(["Reads.", "Deletes", "", "", ""]);
  });

  it("keeps the server's own names for the calls", async () => {
    const tools = ["with space", "a.b", "a/b", "ü".repeat(80)].map((name) => ({ name, inputSchema }));
    const { names, failure } = bench({ a: fake({ tools }) });
    const offered = await names();
    expect(offered).toHaveLength(4);
    for (const name of offered) expect(name).toMatch(/^[a-zA-Z0-9_-]{1,64}$/);
    // The fake server answers nothing to tools that it does not know.
    expect(offered[0]).toBe("mcp__a__with_space");
    expect(await failure(offered[1] as string, {}, { timeoutMs: 200 })).toMatchObject({ kind: "timeout" });
  });
});

it("two servers whose names meet do not get each other's calls", async () => {
  const one = fake({ tools: [{ name: "b__pid", inputSchema }] });
  const { names } = bench({ a: one, a__b: fake({ tools: [{ name: "pid", inputSchema }] }) });
  const offered = await names();
  expect(new Set(offered).size).toBe(2);
  expect(offered[1]).toBe("mcp__a__b__pid");
});
