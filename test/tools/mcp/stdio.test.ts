import { describe, expect, it, onTestFinished } from "vitest";
import { Config } from "../../../src/contract/config.ts";
import { createCustody } from "../../../src/custody/create.ts";
import { loopShare } from "../../../src/loop-share.ts";
import { programOf } from "../../../src/tools/mcp/program.ts";
import { StdioTransport } from "../../../src/tools/mcp/stdio.ts";
import { countTurns, work } from "../../support/event-loop.ts";

/** Runs a program, and tells the methods of its messages; resolves with `last`. */
async function hear(code: string, onMethod: (method: string) => void): Promise<void> {
  const custody = createCustody();
  onTestFinished(() => custody.close());
  const { a } = Config.parse({ mcpServers: { a: { command: process.execPath, args: ["-e", code] } } }).mcpServers;
  if (a === undefined) throw new Error("The configuration has lost the server");
  const transport = new StdioTransport(await custody.start(programOf("a", { ...a, command: process.execPath }, process.env)), {
    stderr: () => undefined,
    ignored: () => undefined,
  });
  const whole = new Promise<void>((resolve) => {
    const take = (message: object) => {
      if (!("method" in message)) return;
      onMethod(String(message.method));
      if (message.method === "last") resolve();
    };
    Object.assign(transport, { onmessage: take });
  });
  await transport.start();
  await whole;
}

const line = (method: string) => JSON.stringify({ jsonrpc: "2.0", method });

describe("what a server says", { timeout: 60_000 }, () => {
  it("over and over about its list of tools is told once for each piece that is read, and nothing else is left out", async () => {
    const methods: string[] = [];
    const change = line("notifications/tools/list_changed");
    const code = `process.stdout.write(${JSON.stringify(`${change}\n`)}.repeat(100000) + ${JSON.stringify(`${line("other")}\n${line("other")}\n${change}\n${line("last")}\n`)})`;
    await hear(code, (method) => methods.push(method));
    expect(methods.filter((method) => method === "other")).toHaveLength(2);
    const changes = methods.filter((method) => method === "notifications/tools/list_changed").length;
    expect(changes).toBeGreaterThan(0);
    expect(changes).toBeLessThan(10_000);
  });

  it("without a pause is read in one turn of the event loop after the other", async () => {
    const loop = countTurns();
    const turns: number[] = [];
    // Longer than what is read at once, so that no two of them come in one piece.
    const much = `{"jsonrpc":"2.0","method":"much","params":{"text":"\${"x".repeat(131072)}"}}\n`;
    const code = `process.stdout.write(\`${much}\`.repeat(40) + ${JSON.stringify(`${line("last")}\n`)})`;
    await hear(code, (method) => {
      if (method !== "much") return;
      turns.push(loop.now());
      work();
    });
    loop.stop();
    expect(new Set(turns).size).toBe(40);
  });

  it("last is heard, however long it waits for its turn behind streams", async () => {
    const end = new AbortController();
    const stream = async () => {
      while (!end.signal.aborted) {
        await (loopShare.turn() ?? new Promise((resolve) => setImmediate(resolve)));
        work();
      }
    };
    const streams = Array.from({ length: 150 }, stream);
    const methods: string[] = [];
    await hear(`process.stdout.write(${JSON.stringify(`${line("first")}\n${line("last")}\n`)})`, (method) => methods.push(method));
    end.abort();
    await Promise.all(streams);
    expect(methods).toEqual(["first", "last"]);
  });
});
