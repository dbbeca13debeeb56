import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { startSidecar } from "../support/sidecar.ts";

const method = fc.constantFrom(
  "system.ping",
  "system.info",
  "agent.session.create",
  "agent.session.list",
  "agent.session.get",
  "agent.chat.stream",
  "agent.chat.cancel",
  "tool.list",
  "tool.invoke",
  "trace.list",
  "config.get",
  "config.set",
  "no.such",
  "$/cancelRequest",
);
const id = fc.oneof(fc.integer(), fc.string(), fc.constantFrom(null, true, 1.5, [], {}));
const frame = fc.record(
  {
    jsonrpc: fc.oneof({ weight: 9, arbitrary: fc.constant("2.0" as unknown) }, fc.jsonValue()),
    id,
    method: fc.oneof({ weight: 9, arbitrary: method }, fc.jsonValue()),
    params: fc.jsonValue(),
  },
  { requiredKeys: [] },
);
const bytesOf = (value: unknown) => new Uint8Array(Buffer.from(JSON.stringify(value)));
const line = fc.oneof(
  fc.uint8Array({ maxLength: 200 }),
  frame.map(bytesOf),
  fc.array(frame, { maxLength: 4 }).map(bytesOf),
  fc.jsonValue().map(bytesOf),
  fc.string({ unit: "binary" }).map((text) => new Uint8Array(Buffer.from(text))),
);

describe("whatever bytes come in", () => {
  it("the process lives, answers, and writes nothing but JSON lines", async () => {
    const sidecar = await startSidecar();
    let round = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(line, { maxLength: 20 }), async (lines) => {
        const before = sidecar.frames.length;
        for (const bytes of lines) {
          sidecar.sendRaw(Buffer.from(bytes));
          sidecar.sendRaw("\n");
        }
        const probe = `probe ${round++}`;
        sidecar.send({ jsonrpc: "2.0", id: probe, method: "system.ping" });
        expect((await sidecar.reply(probe)).result).toMatchObject({ status: "ok" });
        for (const each of sidecar.frames.slice(before)) expect(typeof each === "object" && each !== null).toBe(true);
      }),
      { numRuns: 150 },
    );
    // What was asked for is answered in the end, and the process ends in order.
    sidecar.send({ jsonrpc: "2.0", id: "the end", method: "system.shutdown" });
    expect(await sidecar.exit).toEqual({ code: 0, signal: null });
    expect(sidecar.stderr).not.toMatch(/"level":"ERROR"/);
  });
});
