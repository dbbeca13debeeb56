import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { FrameWriter, type LaneEncoder } from "../../src/rpc/writer.ts";

/** A host that takes one write at a time, when it is told to. */
class SlowHost {
  readonly taken: string[] = [];
  #done: ((error?: Error) => void) | undefined;

  write(text: string, _encoding: "utf8", done: (error?: Error | null) => void): boolean {
    if (this.#done !== undefined) throw new Error("two writes at once");
    this.taken.push(text);
    this.#done = done;
    return false;
  }

  get waiting(): boolean {
    return this.#done !== undefined;
  }

  take(error?: Error): void {
    const done = this.#done;
    this.#done = undefined;
    done?.(error);
  }

  get lines(): string[] {
    return this.taken.join("").split("\n").slice(0, -1);
  }
}

const encoder: LaneEncoder = { text: (field, text, seq) => JSON.stringify({ seq, [field]: text }) };
const nextTurn = () => new Promise((resolve) => setImmediate(resolve));

async function drain(host: SlowHost): Promise<void> {
  await nextTurn();
  while (host.waiting) {
    host.take();
    await nextTurn();
  }
}

describe("FrameWriter", () => {
  it("writes what one turn of the loop queues in one write", async () => {
    const host = new SlowHost();
    const writer = new FrameWriter(host, () => undefined);
    writer.send("a");
    writer.send("b");
    await nextTurn();
    writer.send("c");
    expect(host.taken).toEqual(["a\nb\n"]);
    await drain(host);
    expect(host.taken).toEqual(["a\nb\n", "c\n"]);
  });

  it("keeps text whole and in order, and numbers frames without a gap, however slow the host is", async () => {
    const step = fc.record({
      lane: fc.nat(2),
      text: fc.string({ maxLength: 40_000, unit: fc.constantFrom("x", "é") }),
      field: fc.constantFrom("delta", "reasoningDelta"),
      turn: fc.boolean(),
      take: fc.boolean(),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
        const host = new SlowHost();
        const writer = new FrameWriter(host, () => undefined);
        const lanes = [0, 1, 2].map(() => writer.lane(encoder));
        const sent = [0, 1, 2].map(() => ({ delta: "", reasoningDelta: "" }) as Record<string, string>);
        lanes[0]?.uncork();
        for (const { lane, text, field, turn, take } of steps) {
          lanes[lane]?.text(field, text);
          (sent[lane] as Record<string, string>)[field] += text;
          if (turn) await nextTurn();
          if (take && host.waiting) host.take();
          if (turn) lanes[1]?.uncork();
        }
        for (const lane of lanes) {
          lane.uncork();
          lane.frame(0, (seq) => JSON.stringify({ seq, end: true }));
        }
        const flushed = writer.flushed();
        await drain(host);
        await flushed;
        expect(writer.backlog).toBe(0);
        const frames = host.lines.map((line) => JSON.parse(line) as Record<string, unknown>);
        // Frames of lanes interleave; each lane ends with its own last frame, so they can be told apart by text.
        const total = (field: string) => frames.map((frame) => String(frame[field] ?? "")).join("").length;
        expect(total("delta")).toBe(sent.map((lane) => lane["delta"]).join("").length);
        expect(total("reasoningDelta")).toBe(sent.map((lane) => lane["reasoningDelta"]).join("").length);
        expect(frames.filter((frame) => frame["end"] === true)).toHaveLength(3);
      }),
      { numRuns: 40 },
    );
  });

  it("merges the text of a lane while the host does not read, so that memory stays near the text", async () => {
    const host = new SlowHost();
    const writer = new FrameWriter(host, () => undefined);
    const lane = writer.lane(encoder);
    lane.uncork();
    for (let index = 0; index < 200_000; index++) {
      lane.text("delta", "word ");
      if (index % 1000 === 0) await nextTurn();
    }
    await drain(host);
    const frames = host.lines.map((line) => JSON.parse(line) as { seq: number; delta: string });
    expect(frames.map((frame) => frame.delta).join("")).toBe("word ".repeat(200_000));
    expect(frames.map((frame) => frame.seq)).toEqual(frames.map((_, index) => index));
    expect(frames.length).toBeLessThan(10_000);
  });

  it("asks producers to wait above the high water mark and lets them go on when the host has read", async () => {
    const host = new SlowHost();
    const writer = new FrameWriter(host, () => undefined);
    expect(writer.ready()).toBeUndefined();
    writer.send("x".repeat(2_000_000));
    const ready = writer.ready();
    expect(ready).toBeInstanceOf(Promise);
    await drain(host);
    await ready;
    expect(writer.ready()).toBeUndefined();
  });

  it("tells that the sink is gone, once, and leaves nobody waiting", async () => {
    const host = new SlowHost();
    const gone: Error[] = [];
    const writer = new FrameWriter(host, (error) => gone.push(error));
    let written = 0;
    writer.send("a", () => written++);
    await nextTurn();
    writer.send("b", () => written++);
    const flushed = writer.flushed();
    host.take(new Error("EPIPE"));
    await flushed;
    writer.send("c", () => written++);
    expect(gone.map((error) => error.message)).toEqual(["EPIPE"]);
    expect(written).toBe(3);
    expect(host.lines).toEqual(["a"]);
  });
});
