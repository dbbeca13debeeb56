import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { offeredNames } from "../../../src/tools/mcp/names.ts";

const named = (server: string, tools: string[], others: string[] = []) => [...offeredNames(server, tools, others).values()];

describe("the names of tools", () => {
  it("say the server and the tool, in letters that model servers accept", () => {
    expect(named("files", ["read_file", "get-sum", "with space", "a.b/c"])).toEqual([
      "mcp__files__read_file",
      "mcp__files__get-sum",
      "mcp__files__with_space",
      "mcp__files__a_b_c",
    ]);
  });

  it("end in a hash where two would be the same, except for the one that is called so", () => {
    const [dot, slash, exact] = named("s", ["a.b", "a/b", "a_b"]);
    expect(dot).toMatch(/^mcp__s__a_b_[0-9a-f]{8}$/);
    expect(slash).toMatch(/^mcp__s__a_b_[0-9a-f]{8}$/);
    expect(slash).not.toBe(dot);
    expect(exact).toBe("mcp__s__a_b");
  });

  it("are cut to 64 characters, with a hash", () => {
    const [one, two] = named("s", [`${"x".repeat(80)}1`, `${"x".repeat(80)}2`]);
    expect(one).toHaveLength(64);
    expect(one).toMatch(/^mcp__s__x+_[0-9a-f]{8}$/);
    expect(two).not.toBe(one);
    expect(named("s", ["y".repeat(64 - "mcp__s__".length)])).toEqual([`mcp__s__${"y".repeat(56)}`]);
  });

  it("do not depend on whether another server is there, only on its name", () => {
    expect(named("a", ["b__c", "d"], ["a__b"])).toEqual([expect.stringMatching(/^mcp__a__b__c_[0-9a-f]{8}$/), "mcp__a__d"]);
    expect(named("a__b", ["c"], ["a"])).toEqual(["mcp__a__b__c"]);
  });

  it("are unique and acceptable whatever servers call their tools, and stay when others are added", () => {
    const tool = fc.oneof(fc.string({ minLength: 1, maxLength: 90 }), fc.constantFrom("a.b", "a/b", "a_b", "b__c", "__proto__", "x".repeat(70)));
    const servers = fc.uniqueArray(fc.stringMatching(/^[\w-]{1,64}$/), { minLength: 2, maxLength: 2 });
    fc.assert(
      fc.property(servers, fc.uniqueArray(tool), fc.uniqueArray(tool), ([one, two], ofOne, ofTwo) => {
        const names = [...named(one as string, ofOne, [two as string]), ...named(two as string, ofTwo, [one as string])];
        expect(names).toHaveLength(ofOne.length + ofTwo.length);
        expect(new Set(names).size).toBe(names.length);
        for (const name of names) expect(name).toMatch(/^[a-zA-Z0-9_-]{1,64}$/);
        expect(named(one as string, ofOne.toReversed(), [two as string]).toSorted()).toEqual(named(one as string, ofOne, [two as string]).toSorted());
      }),
    );
  });
});
