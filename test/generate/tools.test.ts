import { expect, it } from "vitest";
import { Config } from "../../src/contract/config.ts";
import type { Result } from "../../src/contract/index.ts";
import { scriptedConfig } from "../support/script.ts";
import { startSidecar } from "../support/sidecar.ts";
import { protocol } from "./document.ts";

it("the table of built-in tools in protocol.md shows the arguments that the tools take, and which may be left out", async () => {
  const names = Config.shape.tools.unwrap().shape.builtin.unwrap().element.options;
  const sidecar = await startSidecar(scriptedConfig([], `tools: { builtin: [${names.join(", ")}], roots: [.] }\n`));
  const tools = await sidecar.call<Result<"tool.list">>("tool.list");
  expect(tools.map(({ function: { name } }) => name).toSorted()).toEqual([...names].toSorted());
  for (const { function: tool } of tools) {
    const { properties = {}, required = [] } = tool.parameters as { properties?: object; required?: string[] };
    const cell = new RegExp(`^\\| \`${tool.name}\` +\\| ([^|]+) \\|`, "m").exec(protocol)![1]!;
    const shown = [...cell.matchAll(/`(\w+\??)`/g)].map(([, argument]) => argument);
    expect(shown.toSorted()).toEqual(
      Object.keys(properties)
        .map((argument) => (required.includes(argument) ? argument : `${argument}?`))
        .toSorted(),
    );
  }
});
