import { describe, expect, it } from "vitest";
import { startSidecar } from "../support/sidecar.ts";

const ping = (id: unknown) => ({ jsonrpc: "2.0", id, method: "system.ping" });

describe("a frame", () => {
  it("is answered whatever bytes it is cut into", async () => {
    const sidecar = await startSidecar();
    const bytes = Buffer.from(`${JSON.stringify({ ...ping("é😀"), params: { note: "ünï😀" } })}\r\n`);
    for (const byte of bytes) {
      sidecar.sendRaw(Buffer.from([byte]));
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect((await sidecar.reply("é😀")).result).toMatchObject({ status: "ok", protocolVersion: "0.1.0" });
  });

  it("may follow a byte order mark and blank lines, and end in CRLF", async () => {
    const sidecar = await startSidecar();
    sidecar.sendRaw(`\ufeff${JSON.stringify(ping(1))}\r\n\n  \r\n\t\n${JSON.stringify(ping(2))}\n`);
    await sidecar.reply(2);
    expect(sidecar.frames.slice(1).map((frame) => (frame as { id: number }).id)).toEqual([1, 2]);
  });

  it("that is not JSON is answered with -32700 and a null id, and the next one with its result", async () => {
    const sidecar = await startSidecar();
    const bad = ["{", "nope", '{"jsonrpc":"2.0","id":1,"method":"system.ping"', '{"id":1}}', "\u0000", '"\\ud800', "[1,", "NaN", "{'a':1}"];
    for (const line of bad) sidecar.sendRaw(`${line}\n`);
    sidecar.sendRaw(Buffer.concat([Buffer.from('{"jsonrpc":"2.0","id":"'), Buffer.from([0xc3, 0x28]), Buffer.from('","method":"system.ping"}\n')]));
    sidecar.send(ping("last"));
    await sidecar.reply("last");
    const errors = sidecar.frames.slice(1, -1) as { id: unknown; error: { code: number; kind: string } }[];
    expect(errors).toHaveLength(bad.length + 1);
    for (const frame of errors) expect(frame).toMatchObject({ id: null, error: { code: -32700, kind: "parse" } });
  });

  it("of the wrong shape is answered with -32600, with its id where it has a good one", async () => {
    const sidecar = await startSidecar();
    const cases: [unknown, unknown][] = [
      [1, null],
      ["text", null],
      [null, null],
      [{}, null],
      [{ id: 7, method: "system.ping" }, 7],
      [{ jsonrpc: "1.0", id: "a", method: "system.ping" }, "a"],
      [{ jsonrpc: "2.0", id: 8 }, 8],
      [{ jsonrpc: "2.0", id: 9, method: 5 }, 9],
      [{ jsonrpc: "2.0", id: 10, method: "system.ping", params: "x" }, 10],
      [ping(null), null],
      [ping(1.5), null],
      [ping({}), null],
      [ping([1]), null],
      [ping(true), null],
    ];
    for (const [frame] of cases) sidecar.send(frame);
    sidecar.send(ping("last"));
    await sidecar.reply("last");
    const answers = sidecar.frames.slice(1, -1);
    expect(answers).toHaveLength(cases.length);
    for (const [index, [, id]] of cases.entries()) expect(answers[index]).toMatchObject({ id, error: { code: -32600, kind: "invalid_request" } });
  });

  it("has its id echoed exactly, as the same type, even beyond 2^53", async () => {
    const sidecar = await startSidecar();
    for (const id of ["0", "-1", "9007199254740993", "-9223372036854775808", '""', '"1"', '"a\\u2028\\"b"'])
      sidecar.sendRaw(`{"jsonrpc":"2.0","id":${id},"method":"system.ping"}\n`);
    await sidecar.until(() => sidecar.lines.length === 8, "seven replies");
    const ids = sidecar.lines.slice(1).map((line) => /^\{"jsonrpc":"2.0","id":(.*),"result":/.exec(line)?.[1]);
    expect(ids).toEqual(["0", "-1", "9007199254740993", "-9223372036854775808", '""', '"1"', '"a\\u2028\\"b"']);
  });

  it("may have params that are absent, null, or an object with keys nobody knows", async () => {
    const sidecar = await startSidecar();
    expect((await sidecar.request("system.ping")).result).toBeDefined();
    expect((await sidecar.request("system.ping", null)).result).toBeDefined();
    expect((await sidecar.request("system.info", { unknown: [1] })).result).toBeDefined();
    expect((await sidecar.request("system.info", [])).error).toMatchObject({ code: -32602 });
  });

  it("longer than the cap is skipped with -32600, and costs no other frame", async () => {
    const sidecar = await startSidecar({ env: { STEERABLE_LIMITS_FRAME_BYTES: "1000" } });
    const sized = (id: string, bytes: number) => {
      const frame = JSON.stringify({ ...ping(id), params: { pad: "" } });
      return `${frame.slice(0, -3)}${"x".repeat(bytes - frame.length)}"}}\n`;
    };
    sidecar.sendRaw(sized("fits", 1000));
    sidecar.sendRaw(sized("exceeds", 1001));
    sidecar.sendRaw(sized("huge", 5_000_000));
    sidecar.send(ping("after"));
    await sidecar.reply("after");
    expect(sidecar.frames.slice(1)).toMatchObject([
      { id: "fits", result: {} },
      { id: null, error: { code: -32600, data: { reason: "frame_too_large", limitBytes: 1000 } } },
      { id: null, error: { code: -32600, data: { reason: "frame_too_large" } } },
      { id: "after", result: {} },
    ]);
  });

  it("deeper than the cap is refused under its id, even a hundred thousand levels deep", async () => {
    const sidecar = await startSidecar();
    const nested = (id: string, levels: number) =>
      `{"jsonrpc":"2.0","id":"${id}","method":"system.ping","params":{"x":${"[".repeat(levels)}${"]".repeat(levels)}}}\n`;
    sidecar.sendRaw(nested("at the cap", 254));
    sidecar.sendRaw(nested("one more", 255));
    sidecar.sendRaw(nested("absurd", 100_000));
    await sidecar.reply("absurd");
    expect((await sidecar.reply("at the cap")).result).toBeDefined();
    expect((await sidecar.reply("one more")).error).toMatchObject({ code: -32600, data: { reason: "too_deep", limit: 256 } });
    expect((await sidecar.reply("absurd")).error).toMatchObject({ code: -32600 });
  });

  it("that is a reply, or a notification of anything, is not answered", async () => {
    const sidecar = await startSidecar();
    sidecar.send({ jsonrpc: "2.0", id: "srv_1", result: 1 });
    sidecar.send({ jsonrpc: "2.0", id: "srv_2", error: { code: 1, message: "x" } });
    sidecar.send({ jsonrpc: "2.0", method: "no.such.method" });
    sidecar.send({ jsonrpc: "2.0", method: "system.ping" });
    sidecar.send({ jsonrpc: "2.0", method: "$/cancelRequest" });
    sidecar.send({ jsonrpc: "2.0", method: "$/cancelRequest", params: { id: {} } });
    sidecar.send({ jsonrpc: "2.0", method: "agent.session.resume", params: { sessionId: 5 } });
    sidecar.send(ping("last"));
    await sidecar.reply("last");
    expect(sidecar.frames).toHaveLength(2);
  });

  it("names an unknown method in the data of its error", async () => {
    const sidecar = await startSidecar();
    for (const method of ["agent.nope", "", "__proto__", "constructor", "toString"]) {
      expect((await sidecar.request(method)).error).toMatchObject({ code: -32601, kind: "method_not_found", data: { method } });
    }
  });
});

describe("a batch", () => {
  it("is answered by one array with the replies of its requests", async () => {
    const sidecar = await startSidecar();
    sidecar.send([ping(1), { jsonrpc: "2.0", method: "system.ping" }, { foo: "boo" }, { jsonrpc: "2.0", id: "5", method: "foo.get" }, ping(9), 1]);
    await sidecar.until(() => sidecar.frames.length === 2, "the answer");
    const answers = sidecar.frames[1] as { id: unknown; error?: { code: number } }[];
    expect(answers.map(({ id, error }) => [id, error?.code])).toEqual(
      expect.arrayContaining([
        [1, undefined],
        [null, -32600],
        ["5", -32601],
        [9, undefined],
        [null, -32600],
      ]),
    );
    expect(answers).toHaveLength(5);
  });

  it("of notifications only is not answered, and an empty one is one error", async () => {
    const sidecar = await startSidecar();
    sidecar.send([{ jsonrpc: "2.0", method: "system.ping" }]);
    sidecar.send([]);
    await sidecar.until(() => sidecar.frames.length === 2, "the answer");
    expect(sidecar.frames[1]).toMatchObject({ id: null, error: { code: -32600 } });
  });
});

describe("an id that is still in flight", () => {
  it("cannot be used again, and the first request is answered all the same", async () => {
    const sidecar = await startSidecar();
    sidecar.sendRaw(
      `${JSON.stringify({ jsonrpc: "2.0", id: "same", method: "agent.session.create", params: { chatId: "a" } })}\n${JSON.stringify({ jsonrpc: "2.0", id: "same", method: "agent.session.create", params: { chatId: "b" } })}\n`,
    );
    await sidecar.until(() => sidecar.frames.length === 3, "two replies");
    const replies = sidecar.frames.slice(1) as { id: string; result?: { chatId: string }; error?: { code: number } }[];
    expect(replies.map((reply) => reply.id)).toEqual(["same", "same"]);
    expect(replies.find((reply) => reply.error)?.error?.code).toBe(-32600);
    expect(replies.find((reply) => reply.result)?.result?.chatId).toBe("a");
    // Once it is answered the id is free again.
    expect((await sidecar.call<unknown[]>("agent.session.list")).length).toBe(1);
  });
});

describe("a request in flight", () => {
  it("can be cancelled, and is then answered with -32800 and nothing else", async () => {
    const sidecar = await startSidecar();
    const frames = [
      { jsonrpc: "2.0", id: "a", method: "agent.session.create", params: { sessionId: "a" } },
      { jsonrpc: "2.0", id: 7, method: "agent.session.list" },
      { jsonrpc: "2.0", method: "$/cancelRequest", params: { id: 7 } },
      { jsonrpc: "2.0", method: "$/cancelRequest", params: { id: "7" } },
      { jsonrpc: "2.0", method: "$/cancelRequest", params: { id: "unknown" } },
    ];
    sidecar.sendRaw(
      '{"jsonrpc":"2.0","id":99999999999999999901,"method":"agent.session.list"}\n{"jsonrpc":"2.0","method":"$/cancelRequest","params":{"id":99999999999999999901}}\n',
    );
    await sidecar.until(
      () => sidecar.lines.some((line) => line.startsWith('{"jsonrpc":"2.0","id":99999999999999999901,"error":{"code":-32800')),
      "the cancelled request",
    );
    sidecar.sendRaw(frames.map((frame) => `${JSON.stringify(frame)}\n`).join(""));
    expect((await sidecar.reply(7)).error).toMatchObject({ code: -32800, kind: "cancelled" });
    expect((await sidecar.reply("a")).result).toMatchObject({ sessionId: "a" });
    await sidecar.call("agent.session.list");
    expect(sidecar.frames.flat().filter((frame) => frame.id === 7)).toHaveLength(1);
  });

  it("beyond the limit is turned away with -32005 and when to come back; those before it are answered", async () => {
    const sidecar = await startSidecar({ env: { STEERABLE_LIMITS_IN_FLIGHT: "5" } });
    // In one write: those before are certainly running when those behind them come.
    sidecar.sendRaw(Array.from({ length: 8 }, (_, id) => `${JSON.stringify({ jsonrpc: "2.0", id: `r${id}`, method: "agent.session.create" })}\n`).join(""));
    const replies = await Promise.all(Array.from({ length: 8 }, (_, id) => sidecar.reply(`r${id}`)));
    const refused = replies.filter((reply) => reply.error !== undefined);
    expect(refused).toHaveLength(3);
    for (const { error } of refused) expect(error).toMatchObject({ code: -32005, kind: "overloaded", data: { retryAfterMs: expect.any(Number) } });
    expect((await sidecar.request("agent.session.list")).result).toHaveLength(replies.length - refused.length);
  });
});
