import { afterAll, describe, expect, it } from "vitest";
import type { ChatStream, StreamChunk } from "../../src/client/index.ts";
import type { Peer } from "../../src/client/peer.ts";
import { Streams } from "../../src/client/streams.ts";
import { startTurn } from "../../src/client/turn.ts";
import { echo, endless, fake, next, real, scripted } from "./sidecars.ts";

const unhandled: unknown[] = [];
const note = (reason: unknown) => unhandled.push(reason);
process.on("unhandledRejection", note);
afterAll(() => {
  process.off("unhandledRejection", note);
  expect(unhandled).toEqual([]);
});

describe("a stream", () => {
  it("gives its chunks in order and ends after the terminal", async () => {
    const sidecar = await real();
    const stream = sidecar.stream(echo("The quick brown fox"));
    const chunks = await collect(stream);
    expect(chunks.map((chunk) => chunk.delta ?? "").join("")).toBe("The quick brown fox");
    expect(chunks.map((chunk) => chunk.seq)).toEqual(chunks.map((_, index) => index));
    expect(new Set(chunks.map((chunk) => chunk.streamId))).toEqual(new Set([await stream.streamId]));
    expect(await stream.done).toMatchObject({ ok: true, finishReason: "stop", traceId: expect.stringMatching(/^tr_/) });
    expect(await stream.text()).toBe("The quick brown fox");
  });

  it("gives its text to those who do not iterate", async () => {
    const sidecar = await real();
    const long = "many words ".repeat(20_000);
    expect(await sidecar.stream(echo(long)).text()).toBe(long);
  });

  it("keeps what a slow consumer has not read yet", async () => {
    const sidecar = await real();
    const stream = sidecar.stream(echo("one two three four five"));
    await stream.done;
    expect((await collect(stream)).map((chunk) => chunk.delta ?? "").join("")).toBe("one two three four five");
  });

  it("keeps streams apart that run at the same time", async () => {
    const sidecar = await real();
    const texts = Array.from({ length: 20 }, (_, index) => `stream ${index} `.repeat(50));
    expect(await Promise.all(texts.map((text) => sidecar.stream(echo(text)).text()))).toEqual(texts);
  });

  it("ends once for a consumer that goes on asking", async () => {
    const sidecar = await real();
    const iterator = sidecar.stream(echo("hi"))[Symbol.asyncIterator]();
    const steps = await Promise.all(Array.from({ length: 6 }, () => iterator.next()));
    expect(steps.map((step) => step.done)).toEqual([false, false, true, true, true, true]);
    expect(await iterator.next()).toMatchObject({ done: true });
  });

  it("is iterated only once", async () => {
    const sidecar = await real();
    const stream = sidecar.stream(echo("hi"));
    await collect(stream);
    expect(() => stream[Symbol.asyncIterator]()).toThrow(TypeError);
  });

  it("throws the sidecar's reason once, behind the chunks, when it fails", async () => {
    const sidecar = await real();
    const stream = sidecar.stream(
      scripted([{ delta: "par" }, { delta: "tial" }, { error: { kind: "upstream_rejected", message: "Model is gone", status: 404 } }]),
    );
    const iterator = stream[Symbol.asyncIterator]();
    expect([await iterator.next(), await iterator.next()]).toMatchObject([{ value: { delta: "par" } }, { value: { delta: "tial" } }]);
    await expect(iterator.next()).rejects.toMatchObject({
      name: "SidecarError",
      kind: "upstream_rejected",
      message: "Model is gone",
      data: { status: 404, retryable: false },
    });
    expect(await iterator.next()).toMatchObject({ done: true });
    await expect(stream.done).rejects.toMatchObject({ kind: "upstream_rejected" });
    await expect(stream.text()).rejects.toMatchObject({ kind: "upstream_rejected" });
  });

  it("throws when the call is refused, everywhere one can look", async () => {
    const sidecar = await real();
    const stream = sidecar.stream({ ...echo("hi"), sessionId: "sess_nowhere" });
    const refused = { kind: "invalid_request", data: { code: "session_not_found" } };
    await expect(stream.streamId).rejects.toMatchObject(refused);
    await expect(stream.done).rejects.toMatchObject(refused);
    await expect(collect(stream)).rejects.toMatchObject(refused);
    await stream.cancel();
  });

  it("brings nobody down who does not look at it", async () => {
    const sidecar = await real();
    sidecar.stream({ ...echo("hi"), sessionId: "sess_nowhere" });
    sidecar.stream(echo("hi"), { signal: AbortSignal.abort() });
    const cut = sidecar.stream(endless());
    await cut.streamId;
    await sidecar.stop();
    await new Promise((resolve) => setImmediate(resolve));
    expect(unhandled).toEqual([]);
  });

  it("is cancelled when its loop is left", async () => {
    const sidecar = await real();
    const stream = sidecar.stream(endless());
    for await (const chunk of stream) {
      expect(chunk.delta).toBe("Hel");
      break;
    }
    expect(await stream.done).toMatchObject({ ok: false, cancelled: true, traceId: expect.any(String) });
    expect((await sidecar.ping()).activeTraces).toBe(0);
  });

  it("is not cancelled when its loop is left after the end", async () => {
    const sidecar = await fake(
      `ready(); on = ({ id, method }) => { send({ method: "saw", params: { method } }); if (method === "agent.chat.stream") { send({ id, result: { streamId: "s" } }); chunk("s", "a"); done("s"); } else send({ id, result: null }) }`,
    );
    const seen: unknown[] = [];
    sidecar.on("notification", ({ method, params }) => method === ("saw" as string) && seen.push(params));
    const stream = sidecar.stream(echo("hi"));
    await stream.done;
    await leaveAtOnce(stream);
    await sidecar.ping();
    expect(seen).toEqual([{ method: "agent.chat.stream" }, { method: "system.ping" }]);
  });

  it("ends as cancelled, without throwing, when its signal is aborted", async () => {
    const sidecar = await real();
    const controller = new AbortController();
    const stream = sidecar.stream(endless(), { signal: controller.signal });
    const text: string[] = [];
    for await (const chunk of stream) {
      text.push(chunk.delta ?? "");
      if (text.length === 2) controller.abort();
    }
    expect(text.join("")).toBe("Hello");
    expect(await stream.text()).toBe("Hello");
    expect(await stream.done).toMatchObject({ ok: false, cancelled: true });
  });

  it("never begins under a signal that was aborted before", async () => {
    const sidecar = await real();
    const stream = sidecar.stream(endless(), { signal: AbortSignal.abort() });
    expect(await collect(stream)).toEqual([]);
    expect(await stream.done).toEqual({ ok: false, cancelled: true });
    await expect(stream.streamId).rejects.toMatchObject({ kind: "cancelled" });
    expect((await sidecar.traces.list()).traces).toEqual([]);
  });

  it("leaves no stream behind when it is aborted while the call is on its way", async () => {
    const sidecar = await real();
    for (let round = 0; round < 20; round++) {
      const controller = new AbortController();
      const stream = sidecar.stream(endless(), { signal: controller.signal });
      setImmediate(() => controller.abort());
      expect(await stream.done).toMatchObject({ ok: false, cancelled: true });
      await stream.cancel();
    }
    await expect.poll(async () => (await sidecar.ping()).activeTraces).toBe(0);
  });

  it("is cancelled when the signal comes in the moment of the reply", async () => {
    const controller = new AbortController();
    const asked: unknown[] = [];
    const peer = {
      request(method: string, params: unknown) {
        asked.push([method, params]);
        queueMicrotask(() => controller.abort());
        return Promise.resolve({ streamId: "s" });
      },
    };
    const streams = new Streams();
    const stream = startTurn(streams, () => peer as unknown as Peer, echo("hi"), { signal: controller.signal, timeoutMs: 1_000 });
    expect(await stream.streamId).toBe("s");
    await expect.poll(() => asked.at(-1)).toEqual(["agent.chat.cancel", { streamId: "s" }]);
    streams.receive("stream.done", { streamId: "s", seq: 0, ok: false, cancelled: true });
    expect(await stream.done).toEqual({ ok: false, cancelled: true });
  });

  it("ends without the sidecar's word when a cancelled stream gets none in five seconds", { timeout: 60_000 }, async () => {
    const sidecar = await fake(
      `ready(); on = ({ id, method }) => { if (method === "agent.chat.stream") { send({ id, result: { streamId: "s" } }); chunk("s", "a"); } }`,
      { health: false },
    );
    const stream = sidecar.stream(echo("hi"));
    await leaveAtOnce(stream);
    expect(await stream.done).toEqual({ ok: false, cancelled: true });
  });

  it("cancels at the sidecar what is named after the host has given up", async () => {
    const body = `ready(); on = ({ id, method, params }) => {
      if (method === "$/cancelRequest") send({ id: params.id, result: { streamId: "late" } });
      if (method === "agent.chat.cancel") send({ method: "saw", params });
    }`;
    const sidecar = await fake(body);
    const told = next(sidecar, "notification");
    await expect(sidecar.stream(echo("hi"), { timeoutMs: 50 }).done).rejects.toMatchObject({ kind: "timeout" });
    expect(await told).toMatchObject({ params: { streamId: "late" } });
  });

  it("is cancelled by hand, twice without harm", async () => {
    const sidecar = await real();
    const stream = sidecar.stream(endless());
    await stream.streamId;
    await Promise.all([stream.cancel(), stream.cancel()]);
    expect(await stream.done).toMatchObject({ cancelled: true });
    await stream.cancel();
  });

  it("lets a waiting consumer go when somebody returns the iterator", async () => {
    const sidecar = await real();
    const stream = sidecar.stream(endless());
    const iterator = stream[Symbol.asyncIterator]();
    await iterator.next();
    await iterator.next();
    const waiting = iterator.next();
    await iterator.return?.();
    expect(await waiting).toMatchObject({ done: true });
    expect(await stream.done).toMatchObject({ cancelled: true });
  });

  it("loses nothing that comes before the reply", async () => {
    const sidecar = await fake(
      `ready(); on = ({ id, method }) => { if (method !== "agent.chat.stream") return; chunk("other", "no"); chunk("s", "ear"); chunk("s", "ly"); done("s"); done("other"); send({ id, result: { streamId: "s" } }) }`,
    );
    const stream = sidecar.stream(echo("hi"));
    expect((await collect(stream)).map((chunk) => chunk.delta)).toEqual(["ear", "ly"]);
    expect(await stream.done).toEqual({ ok: true });
  });

  it("ends when the sidecar dies", async () => {
    const sidecar = await real({ restart: false });
    const stream = sidecar.stream(endless());
    const iterator = stream[Symbol.asyncIterator]();
    await iterator.next();
    await iterator.next();
    const waiting = iterator.next();
    process.kill(sidecar.pid!, "SIGKILL");
    await expect(waiting).rejects.toMatchObject({ kind: "transport_closed", data: { signal: "SIGKILL" } });
    expect(await iterator.next()).toMatchObject({ done: true });
    await expect(stream.done).rejects.toMatchObject({ kind: "transport_closed" });
  });

  it("loses nothing of what a sidecar had sent that then died", async () => {
    const body = `ready(); on = ({ id, method }) => { if (method !== "agent.chat.stream") return; send({ id, result: { streamId: "s" } }); for (let n = 0; n < 5000; n++) chunk("s", n + " "); done("s"); process.stdout.write("", () => process.kill(process.pid, "SIGKILL")) }`;
    const sidecar = await fake(body, { restart: false });
    const stream = sidecar.stream(echo("hi"));
    expect(await stream.text()).toBe(Array.from({ length: 5000 }, (_, n) => `${n} `).join(""));
    expect(await stream.done).toEqual({ ok: true });
  });

  it("gets its terminal when the sidecar is stopped", async () => {
    const sidecar = await real();
    const stream = sidecar.stream(endless());
    await stream.streamId;
    const [end] = await Promise.all([stream.done, sidecar.stop()]);
    expect(end).toMatchObject({ ok: false, cancelled: true, traceId: expect.any(String) });
  });

  it("ends by itself when the sidecar gives no terminal to a cancelled stream and is then gone", async () => {
    const sidecar = await fake(
      `ready(); on = ({ id, method }) => { if (method === "agent.chat.stream") { send({ id, result: { streamId: "s" } }); chunk("s", "a"); } if (method === "agent.chat.cancel") process.exit(7) }`,
      { restart: false },
    );
    const stream = sidecar.stream(echo("hi"));
    await leaveAtOnce(stream);
    expect(await stream.done).toEqual({ ok: false, cancelled: true });
  });

  it("is cancelled at the end of its block", async () => {
    const sidecar = await real();
    const stream = sidecar.stream(endless());
    await stream.streamId;
    await stream[Symbol.asyncDispose]();
    expect(await stream.done).toMatchObject({ cancelled: true });
  });
});

async function collect(stream: ChatStream): Promise<StreamChunk[]> {
  const chunks: StreamChunk[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return chunks;
}

async function leaveAtOnce(stream: ChatStream): Promise<void> {
  for await (const chunk of stream) if (chunk.seq >= 0) break;
}
