import { describe, expect, it, onTestFinished } from "vitest";
import { at, descriptor, reply, stepOf } from "../support/agent.ts";
import { startModelServer } from "../support/model-server.ts";
import { startSidecar } from "../support/sidecar.ts";

const TURNS = 1_000;
const AT_ONCE = 50;

/** Numbers from 0 to 1 that are the same in every run. */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

function response(events: readonly string[]): string {
  const body = events.join("");
  return `HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;
}

/** The two answers of the turn, byte for byte. */
const answers = [
  response(
    reply([
      { id: "c1", name: "get_a", arguments: { n: 1 } },
      { id: "c2", name: "set_b", arguments: { text: "ä€😀" } },
    ]),
  ),
  response(reply("All done, thank you.")),
].map((text) => Buffer.from(text));

type Fault = "hang" | "close" | "reset";

describe("a model server that stops in the middle of a turn with two tool calls", () => {
  it(`leaves exactly one terminal behind, at any byte of either answer (${TURNS} turns)`, { timeout: 180_000 }, async () => {
    const random = seeded(20_261_121);
    const plans = Array.from({ length: TURNS }, () => {
      const step = random() < 0.5 ? 0 : 1;
      const fault = (["hang", "close", "reset"] as const)[Math.floor(random() * 3)] as Fault;
      return { step, fault, bytes: Math.floor(random() * (answers[step]!.length + 1)) };
    });
    const server = await startModelServer(async (request, answer) => {
      const plan = plans[Number((request.json as { user: string }).user)]!;
      const step = stepOf(request);
      const whole = answers[step]!;
      if (step !== plan.step) return answer.raw(whole);
      if (plan.bytes > 0) await answer.raw(whole.subarray(0, plan.bytes));
      if (plan.fault === "close") answer.close();
      if (plan.fault === "reset") answer.reset();
    });
    onTestFinished(() => server.close());
    const sidecar = await startSidecar();
    sidecar.onRequest((method) => (method === "tool.invoke" ? "ok" : undefined));
    await sidecar.call("config.set", { providers: { openai: { retry: { attempts: 2, baseMs: 1, maxMs: 1 } } } });
    await sidecar.call("tool.register", { tools: [descriptor("get_a"), descriptor("set_b")] });

    const ends: Record<string, number> = {};
    const next = plans.entries();
    const play = async () => {
      for (const [index] of next) {
        const params = at(server, { useTools: ["*"], idleTimeoutMs: 400, providerOptions: { user: String(index) }, streamId: `turn-${index}` });
        const streamId = await sidecar.stream(params);
        const { method, params: end } = await sidecar.terminal(streamId);
        const kind = method === "stream.done" ? "done" : String(end?.["kind"]);
        ends[kind] = (ends[kind] ?? 0) + 1;
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, play));

    // Whatever might still come would come before this answer.
    expect(await sidecar.call("system.ping")).toMatchObject({ status: "ok", activeTraces: 0 });
    const seen = new Map<string, { terminals: number; seqs: unknown[]; last: boolean }>();
    for (const { method, params } of sidecar.frames.flat()) {
      if (method !== "stream.chunk" && method !== "stream.done" && method !== "stream.error") continue;
      const id = String(params?.["streamId"]);
      const stream = seen.get(id) ?? { terminals: 0, seqs: [], last: false };
      seen.set(id, stream);
      stream.last = method !== "stream.chunk";
      stream.terminals += stream.last ? 1 : 0;
      stream.seqs.push(params?.["seq"]);
    }
    expect(seen.size).toBe(TURNS);
    const wrong = [...seen].filter(([, { terminals, seqs, last }]) => terminals !== 1 || !last || seqs.some((seq, index) => seq !== index));
    expect(wrong).toEqual([]);
    // Cut-off answers failed, whole ones did not: the faults were real.
    expect(ends["done"]).toBeGreaterThan(0);
    expect(ends["timeout"]).toBeGreaterThan(100);
    expect((ends["truncated"] ?? 0) + (ends["connect_failed"] ?? 0)).toBeGreaterThan(100);
  });
});
