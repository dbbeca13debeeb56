import { describe, expect, it } from "vitest";
import { parseArguments, ToolCallAssembler, type ToolCallFragment } from "../../src/providers/tool-calls.ts";

function assemble(fragments: readonly Partial<ToolCallFragment>[]) {
  const assembler = new ToolCallAssembler();
  for (const fragment of fragments) assembler.add({ index: undefined, id: undefined, name: undefined, argumentsText: undefined, ...fragment });
  return assembler.finish();
}

const a1 = { id: "a", name: "f", arguments: { x: 1 } };
const b2 = { id: "b", name: "g", arguments: { y: 2 } };

describe("ToolCallAssembler", () => {
  it("joins fragments by index, interleaved, and gives them in that order", () => {
    const calls = assemble([
      { index: 1, id: "b", name: "g" },
      { index: 0, id: "a", name: "f", argumentsText: '{"x"' },
      { index: 1, argumentsText: '{"y":' },
      { index: 0, argumentsText: ":1}" },
      { index: 1, argumentsText: "2}" },
    ]);
    expect(calls).toEqual([a1, b2]);
  });

  it("takes an id and a name that are sent again with every fragment", () => {
    expect(
      assemble([
        { index: 0, id: "a", name: "f", argumentsText: '{"x"' },
        { index: 0, id: "a", name: "f", argumentsText: ":1}" },
      ]),
    ).toEqual([a1]);
  });

  it("ignores another id on a fragment that begins nothing", () => {
    expect(
      assemble([
        { index: 0, id: "a", name: "f", argumentsText: '{"x"' },
        { index: 0, id: "zzz", argumentsText: ":1}" },
      ]),
    ).toEqual([a1]);
  });

  it("tells whole calls apart that all have index 0", () => {
    expect(
      assemble([
        { index: 0, id: "a", name: "f", argumentsText: '{"x":1}' },
        { index: 0, id: "b", name: "g", argumentsText: '{"y":2}' },
      ]),
    ).toEqual([a1, b2]);
  });

  it("joins by id, or by what came last, where there is no index", () => {
    expect(
      assemble([
        { id: "a", name: "f", argumentsText: '{"x"' },
        { argumentsText: ":1" },
        { id: "b", name: "g", argumentsText: '{"y":2' },
        { id: "a", argumentsText: "}" },
        { id: "b", argumentsText: "}" },
      ]),
    ).toEqual([a1, b2]);
  });

  it("makes ids up for whole calls that have none", () => {
    const calls = assemble([
      { name: "f", argumentsText: '{"x":1}' },
      { name: "g", argumentsText: '{"y":2}' },
    ]);
    expect(calls).toEqual([
      { ...a1, id: expect.stringMatching(/^call_\w{20}$/) },
      { ...b2, id: expect.stringMatching(/^call_\w{20}$/) },
    ]);
    expect(calls[0]?.id).not.toBe(calls[1]?.id);
  });

  it("leaves out what has no name", () => {
    expect(assemble([{ index: 0, id: "a", argumentsText: "{}" }])).toEqual([]);
  });

  it("notices arguments that do not end", () => {
    const assembler = new ToolCallAssembler();
    const megabyte = "x".repeat(1024 * 1024);
    for (let i = 0; i < 16; i++) assembler.add({ index: 0, id: "a", name: "f", argumentsText: megabyte });
    expect(assembler.isOverfull).toBe(false);
    assembler.add({ index: 0, id: "a", name: "f", argumentsText: "x" });
    expect(assembler.isOverfull).toBe(true);
  });
});

describe("parseArguments", () => {
  it.each(["", "  \n"])("takes %j for no arguments", (text) => {
    expect(parseArguments(text)).toEqual({ arguments: {} });
  });

  it.each(["{", "[1]", "null", '"x"', "5", '{"a":1}}', `{"a":${"[".repeat(300)}${"]".repeat(300)}}`])("keeps %s as text", (text) => {
    expect(parseArguments(text)).toEqual({ arguments: {}, argumentsText: text });
  });
});
