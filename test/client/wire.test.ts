import { once } from "node:events";
import { PassThrough, Writable } from "node:stream";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Message } from "vscode-jsonrpc/node";
import { createMessageConnection } from "vscode-jsonrpc/node";
import { NewlineMessageReader, NewlineMessageWriter } from "../../src/client/index.ts";
import { END_OF_INPUT } from "../../src/client/reader.ts";

describe("the newline reader and writer", () => {
  it("carry a stock connection in both directions", async () => {
    const [left, right] = [new PassThrough(), new PassThrough()];
    const asking = createMessageConnection(new NewlineMessageReader(left), new NewlineMessageWriter(right));
    const answering = createMessageConnection(new NewlineMessageReader(right), new NewlineMessageWriter(left));
    answering.onRequest("double", ({ value }: { value: number }) => value * 2);
    asking.listen();
    answering.listen();
    expect(await Promise.all([1, 2, 3].map((value) => asking.sendRequest("double", { value })))).toEqual([2, 4, 6]);
    asking.dispose();
    answering.dispose();
  });

  it("read the same messages however the bytes are cut", async () => {
    const message = fc.record({ jsonrpc: fc.constant("2.0"), method: fc.string({ unit: "grapheme" }), params: fc.dictionary(fc.string(), fc.jsonValue()) });
    await fc.assert(
      fc.asyncProperty(fc.array(message, { maxLength: 8 }), fc.array(fc.nat(40), { minLength: 1 }), async (messages, cuts) => {
        const wire = new PassThrough();
        const written = Buffer.from(await write(messages));
        const read: Message[] = [];
        const reader = new NewlineMessageReader(wire);
        reader.listen((received) => read.push(received));
        let start = 0;
        for (let cut = 0; start < written.length; cut++) {
          const end = start + 1 + (cuts[cut % cuts.length] ?? 0);
          wire.write(written.subarray(start, end));
          start = end;
        }
        wire.end();
        await once(wire, "close");
        expect(read).toEqual([...plain(messages), END_OF_INPUT]);
        expect(read.at(-1)).toBe(END_OF_INPUT);
      }),
      { numRuns: 200 },
    );
  });

  it("live through any bytes at all", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.uint8Array({ maxLength: 60 })), async (chunks) => {
        const wire = new PassThrough();
        const reader = new NewlineMessageReader(wire, { longestLine: 50 });
        let ends = 0;
        reader.onError(() => undefined);
        reader.onClose(() => ends++);
        reader.listen((received) => expect(received.jsonrpc).toBe("2.0"));
        for (const chunk of chunks) wire.write(chunk);
        wire.end();
        await once(wire, "close");
        expect(ends).toBe(1);
      }),
    );
  });

  it("put one message on one line, whatever it holds", async () => {
    const text = await write([{ jsonrpc: "2.0", method: "x", params: { text: "a\nb\u2028c\ud800" } } as Message]);
    expect(text).toBe('{"jsonrpc":"2.0","method":"x","params":{"text":"a\\nb\\u2028c\ufffd"}}\n');
  });

  it("report a line that is too long once, and go on behind it", async () => {
    const wire = new PassThrough();
    const reader = new NewlineMessageReader(wire, { longestLine: 40 });
    const faults: string[] = [];
    const read: Message[] = [];
    reader.onError((error) => faults.push(error.message));
    reader.listen((message) => read.push(message));
    wire.end(`${"x".repeat(100_000)}\n{"jsonrpc":"2.0","method":"ok"}\n`);
    await once(wire, "close");
    expect(faults).toEqual(["The sidecar sent a line of more than 40 bytes; it was skipped"]);
    expect(read).toEqual([{ jsonrpc: "2.0", method: "ok" }, END_OF_INPUT]);
  });

  it("stop reading while messages wait to be handled", async () => {
    const wire = new PassThrough();
    const reader = new NewlineMessageReader(wire, { mostAhead: 3 });
    let read = 0;
    reader.listen(() => read++);
    for (let index = 0; index < 5; index++) wire.write('{"jsonrpc":"2.0","method":"x"}\n');
    await new Promise((resolve) => setImmediate(resolve));
    expect(read).toBe(3);
    for (let handled = 0; handled < 2; handled++) reader.handled();
    await new Promise((resolve) => setImmediate(resolve));
    expect(read).toBe(5);
  });

  it("hold lines back while the other side does not read, in order", async () => {
    const taken: string[] = [];
    let take = () => {};
    const slow = new Writable({
      highWaterMark: 10,
      decodeStrings: false,
      write(line: string, _encoding, callback) {
        taken.push(line);
        take = callback;
      },
    });
    const writer = new NewlineMessageWriter(slow);
    const settled: number[] = [];
    const writes = [0, 1, 2].map(async (id) => {
      await writer.write({ jsonrpc: "2.0", id } as Message);
      settled.push(id);
    });
    await new Promise((resolve) => setImmediate(resolve));
    expect(settled).toEqual([0]);
    expect(slow.writableLength).toBeLessThan(40);
    for (let step = 0; step < 3; step++) {
      take();
      await new Promise((resolve) => setImmediate(resolve));
    }
    await Promise.all(writes);
    expect(taken.map((line) => JSON.parse(line).id)).toEqual([0, 1, 2]);
  });

  it("reject what can no longer be written", async () => {
    const gone = new Writable({ highWaterMark: 1, write: () => undefined });
    const writer = new NewlineMessageWriter(gone);
    const writes = [1, 2].map((id) => writer.write({ jsonrpc: "2.0", id } as Message));
    const refused = expect(writes[1]).rejects.toThrow("pipe is broken");
    gone.destroy(new Error("pipe is broken"));
    await refused;
    await expect(writer.write({ jsonrpc: "2.0" })).rejects.toThrow("pipe is broken");
    expect(writer.broken).toBe(true);
  });
});

async function write(messages: readonly Message[]): Promise<string> {
  const wire = new PassThrough();
  const writer = new NewlineMessageWriter(wire);
  const chunks: Buffer[] = [];
  wire.on("data", (chunk: Buffer) => chunks.push(chunk));
  await Promise.all(messages.map((message) => writer.write(message)));
  writer.end();
  await once(wire, "close");
  return Buffer.concat(chunks).toString("utf8");
}

/** The messages as JSON holds them: -0 is 0, lone surrogates are mended. */
function plain(messages: readonly unknown[]): unknown[] {
  return messages.map((message) => JSON.parse(JSON.stringify(message).replace(/(?<!\\)(\\\\)*\\ud[89a-f][0-9a-f]{2}/g, "$1\ufffd")) as unknown);
}
