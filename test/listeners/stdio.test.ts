import { PassThrough } from "node:stream";
import { describe, expect, it } from "vitest";
import { StdioListener } from "../../src/listeners/stdio.ts";

function listener({ reads = true } = {}) {
  const lines: string[] = [];
  const taking: (() => void)[] = [];
  const output = {
    write(text: string, _encoding: "utf8", done: (error?: Error | null) => void) {
      lines.push(...text.split("\n").slice(0, -1));
      if (reads) setImmediate(done);
      else taking.push(done);
      return true;
    },
  };
  const input = new PassThrough();
  const limits = { frameBytes: 1024, depth: 8, inFlight: 4, outboundBytes: 65_536 };
  const stdio = new StdioListener({ input, output, limits, answer: () => null, onFault: () => undefined, onEnd: () => undefined, onClosed: () => undefined });
  const take = () => {
    for (const done of taking.splice(0)) done();
  };
  return { stdio, lines, input, take };
}

const nextTurn = () => new Promise((resolve) => setImmediate(resolve));

describe("a stream's sink", () => {
  it("holds everything back until the stream is released, because hosts attach their listeners when the reply arrives", async () => {
    const { stdio, lines } = listener();
    const sink = stdio.openSink("str_1");
    sink.text("delta", "a");
    sink.chunk({ finishReason: "stop" });
    sink.done({ ok: true });
    await nextTurn();
    await nextTurn();
    expect(lines).toEqual([]);
    stdio.release("str_1");
    while (lines.length < 3) await nextTurn();
    expect(lines.map((line) => JSON.parse(line))).toEqual([
      { jsonrpc: "2.0", method: "stream.chunk", params: { streamId: "str_1", seq: 0, delta: "a" } },
      { jsonrpc: "2.0", method: "stream.chunk", params: { streamId: "str_1", seq: 1, finishReason: "stop" } },
      { jsonrpc: "2.0", method: "stream.done", params: { streamId: "str_1", seq: 2, ok: true } },
    ]);
  });

  it("makes its producer wait for what it holds back, too", () => {
    const { stdio } = listener();
    const sink = stdio.openSink("str_1");
    for (let index = 0; index < 100 && sink.ready() === undefined; index++) sink.text("delta", "x".repeat(50_000));
    expect(sink.ready()).toBeInstanceOf(Promise);
  });
});

describe("stdin", () => {
  it("is left unread while the host does not read what it has asked for", async () => {
    const { stdio, input, take } = listener({ reads: false });
    stdio.listen();
    stdio.writer.send("x".repeat(70_000));
    input.write('{"jsonrpc":"2.0","id":1,"method":"m"}\n');
    await nextTurn();
    expect(input.isPaused()).toBe(true);
    take();
    await nextTurn();
    expect(input.isPaused()).toBe(false);
  });
});
