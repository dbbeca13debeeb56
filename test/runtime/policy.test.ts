import { describe, expect, it } from "vitest";
import type { Config } from "../../src/contract/config.ts";
import { Grants } from "../../src/runtime/policy/grants.ts";
import { type CallFacts, judge } from "../../src/runtime/policy/policy.ts";
import { openMemoryStore } from "../../src/store/memory.ts";

const policy = (tools: Config["policy"]["tools"] = {}, modes: Partial<Config["policy"]["modes"]> = {}): Config["policy"] => ({
  modes: { read: "allow", safe_write: "allow", destructive: "ask", other: "ask", ...modes },
  tools,
  approvalTimeoutMs: 1000,
});
const facts = (more: Partial<CallFacts> = {}): CallFacts => ({ tool: "run_command", mode: "other", danger: undefined, ...more });
const dangerous = facts({ mode: "destructive", danger: "deletes folders: rm -rf build" });

describe("the rules", () => {
  it("go by the mode where no rule names the tool", () => {
    expect(judge(policy(), facts())).toEqual({ decision: "ask", reason: 'policy.modes.other is "ask"' });
    expect(judge(policy(), facts({ mode: "read" })).decision).toBe("allow");
    expect(judge(policy({}, { read: "deny" }), facts({ mode: "read" })).decision).toBe("deny");
  });

  it("put an exact name before a pattern, and a longer pattern before a shorter one, in whatever order they stand", () => {
    const tools = { "*": "deny", "run_*": "ask", run_command: "allow" } as const;
    expect(judge(policy(tools), facts())).toEqual({ decision: "allow", reason: 'policy.tools.run_command is "allow"' });
    expect(judge(policy(tools), facts({ tool: "run_test" }))).toEqual({ decision: "ask", reason: 'policy.tools.run_* is "ask"' });
    expect(judge(policy(tools), facts({ tool: "get_x", mode: "read" })).decision).toBe("deny");
    expect(judge(policy({ "run_*": "ask", "*": "deny" }), facts()).decision).toBe("ask");
  });

  it("take a star only at the end of a pattern", () => {
    expect(judge(policy({ "*_command": "deny" }), facts()).decision).toBe("ask");
    expect(judge(policy({ "run*command": "deny" }), facts()).decision).toBe("ask");
  });

  it("do not let leave for a tool cover its dangerous calls", () => {
    for (const tools of [{ run_command: "allow" }, { "*": "allow" }] as const)
      expect(judge(policy(tools), dangerous)).toEqual({ decision: "ask", reason: dangerous.danger });
    expect(judge(policy({ run_command: "allow" }, { destructive: "allow" }), dangerous).decision).toBe("allow");
    expect(judge(policy({ run_command: "deny" }, { destructive: "allow" }), dangerous).decision).toBe("deny");
    // Destructive by its name alone: then the tool is what leave was given for.
    expect(judge(policy({ delete_order: "allow" }), facts({ tool: "delete_order", mode: "destructive" })).decision).toBe("allow");
  });

  it("tell whoever is asked what is dangerous, also where a rule for the tool asks", () => {
    expect(judge(policy({ run_command: "ask" }), dangerous)).toEqual({ decision: "ask", reason: dangerous.danger });
  });

  it("are not fooled by names that every object has", () => {
    for (const tool of ["constructor", "__proto__", "toString"]) expect(judge(policy(), facts({ tool })).decision).toBe("ask");
  });
});

describe("what was allowed before", () => {
  const make = async () => {
    const store = await openMemoryStore({ path: ":memory:", keepTraces: 10, now: Date.now });
    return { store, grants: new Grants(async () => store, Date.now) };
  };
  const call = (more: object = {}) => ({ facts: facts(), arguments: { command: "ls" }, scope: { sessionId: "s" }, ...more });

  it("for a session holds there, for every call that is not dangerous, until the session is gone", async () => {
    const { grants } = await make();
    await grants.remember(call(), "allow_session");
    expect(await grants.covers(call({ arguments: { command: "pwd" } }))).toBe(true);
    expect(await grants.covers(call({ scope: { streamId: "s" } }))).toBe(false);
    expect(await grants.covers(call({ scope: { sessionId: "t" } }))).toBe(false);
    expect(await grants.covers(call({ facts: dangerous }))).toBe(false);
    grants.forget({ streamId: "s" });
    expect(await grants.covers(call())).toBe(true);
    grants.forget({ sessionId: "s" });
    expect(await grants.covers(call())).toBe(false);
  });

  it("for a dangerous call holds for that very call", async () => {
    const { grants } = await make();
    for (const decision of ["allow_session", "allow_always"] as const) {
      await grants.remember(call({ facts: dangerous, arguments: { a: 1, b: 2 } }), decision);
      expect(await grants.covers(call({ facts: dangerous, arguments: { b: 2, a: 1 } }))).toBe(true);
      expect(await grants.covers(call({ facts: dangerous, arguments: { a: 1, b: 3 } }))).toBe(false);
      expect(await grants.covers(call({ arguments: { a: 1, b: 2 } }))).toBe(false);
    }
  });

  it("for good is taken back for every process on the database, at once", async () => {
    const { store, grants } = await make();
    const other = new Grants(async () => store, Date.now);
    await grants.remember(call(), "allow_always");
    expect(await other.covers(call({ scope: { sessionId: "t" } }))).toBe(true);
    await grants.revoke("run_command");
    expect(await other.covers(call())).toBe(false);
  });

  it("is revoked by tool, or altogether, in sessions too", async () => {
    const { grants } = await make();
    for (const tool of ["a", "b"]) await grants.remember(call({ facts: facts({ tool }) }), "allow_session");
    await grants.revoke("a");
    expect(await grants.covers(call({ facts: facts({ tool: "a" }) }))).toBe(false);
    expect(await grants.covers(call({ facts: facts({ tool: "b" }) }))).toBe(true);
    await grants.revoke(undefined);
    expect(await grants.covers(call({ facts: facts({ tool: "b" }) }))).toBe(false);
  });
});
