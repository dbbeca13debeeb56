import { once } from "node:events";
import { createServer, get, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import type { Caller } from "../../../src/contract/caller.ts";
import { EventWriter } from "../../../src/listeners/http/events/event-writer.ts";
import { KeptStreams } from "../../../src/listeners/http/events/kept-streams.ts";

const ann: Caller = { subject: "ann", scopes: new Set(["read", "write"]) };
const missing = expect.objectContaining({ errorName: "stream_not_found" });

/** Time that passes when it is told to. */
function stopClock(): void {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "setInterval", "clearInterval"] });
  onTestFinished(() => void vi.useRealTimers());
}

/** A writer, and what its client has got. */
async function connect() {
  const server = createServer();
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const asked = once(server, "request");
  const request = get({ port: (server.address() as AddressInfo).port, host: "127.0.0.1", agent: false });
  request.on("error", () => undefined);
  const [, response] = await asked;
  const writer = new EventWriter(response);
  writer.open({});
  const [incoming] = (await once(request, "response")) as [IncomingMessage];
  incoming.setEncoding("utf8");
  const next = async () => String((await once(incoming, "data"))[0]);
  return { writer, request, next };
}

describe("an event stream on which nothing happens", () => {
  it("gets a comment every 15 seconds, counted from what was sent last", async () => {
    stopClock();
    const { writer, next } = await connect();
    vi.advanceTimersByTime(14_999);
    writer.send({ event: "e", data: { a: 1 }, id: 7 });
    expect(await next()).toBe('id: 7\nevent: e\ndata: {"a":1}\n\n');
    vi.advanceTimersByTime(14_999);
    writer.send({ event: "e", data: 2 });
    expect(await next()).toBe("event: e\ndata: 2\n\n");
    vi.advanceTimersByTime(15_000);
    expect(await next()).toBe(": keep-alive\n\n");
    vi.advanceTimersByTime(15_000);
    expect(await next()).toBe(": keep-alive\n\n");
    writer.end();
    await writer.closed;
    expect(vi.getTimerCount()).toBe(0);
  });

  it("gets none once the client has gone", async () => {
    stopClock();
    const { writer, request } = await connect();
    request.destroy();
    await writer.closed;
    expect(writer.isOver).toBe(true);
    expect(vi.getTimerCount()).toBe(0);
  });
});

describe("the streams that are kept", () => {
  it("stay for a while behind their end, and as long as they run", () => {
    stopClock();
    const streams = new KeptStreams({ keptMs: 1000 });
    const sink = streams.open("s1", ann);
    sink.text("delta", "Hi");
    vi.advanceTimersByTime(5000);
    sink.done({ ok: true });
    vi.advanceTimersByTime(999);
    const found = streams.find("s1", ann);
    vi.advanceTimersByTime(1);
    expect(() => streams.find("s1", ann)).toThrow(missing);
    // Whoever reads it at that moment reads it to the end.
    const reader = found.read(0);
    expect(found.take(reader)?.toString()).toMatch(/^id: 0\nevent: stream\.chunk\ndata: .+\n\nid: 1\nevent: stream\.done\ndata: .+\n\n$/);
    expect(found.take(reader)).toBeUndefined();
  });

  it("make room for others where all together are too much: those first that have ended first, and none that runs", () => {
    const streams = new KeptStreams({ most: 14_000 });
    onTestFinished(() => streams.close());
    const sinks = ["s1", "s2", "s3"].map((streamId) => streams.open(streamId, ann));
    const isThere = (streamId: string) => {
      try {
        return streams.find(streamId, ann).streamId === streamId;
      } catch {
        // Not kept any more.
        return false;
      }
    };
    for (const sink of sinks) sink.text("delta", "x".repeat(2000));
    sinks[1]?.done({ ok: true });
    sinks[0]?.done({ ok: true });
    expect(["s1", "s2", "s3"].map(isThere)).toEqual([true, true, true]);
    sinks[2]?.text("delta", "x".repeat(5000));
    expect(["s1", "s2", "s3"].map(isThere)).toEqual([true, false, true]);
    sinks[2]?.text("delta", "x".repeat(20_000));
    expect(["s1", "s2", "s3"].map(isThere)).toEqual([false, false, true]);
    sinks[2]?.done({ ok: true });
    expect(isThere("s3")).toBe(false);
  });

  it("hold back a turn while one who reads it is more than 1 MiB behind, until that one has caught up or left", async () => {
    const streams = new KeptStreams();
    onTestFinished(() => streams.close());
    const sink = streams.open("s1", ann);
    const stream = streams.find("s1", ann);
    const fill = () => {
      for (let count = 0; count < 20; count++) sink.text("delta", "x".repeat(64 * 1024));
    };
    fill();
    // Nobody reads: it goes on.
    expect(sink.ready()).toBeUndefined();
    const [slow, fast] = [stream.read(0), stream.read(0)];
    while (stream.take(fast) !== undefined);
    const waiting = sink.ready();
    expect(waiting).toBeInstanceOf(Promise);
    while (stream.take(slow) !== undefined);
    await waiting;
    fill();
    const again = sink.ready();
    stream.leave(slow);
    stream.leave(fast);
    await again;
    expect(sink.ready()).toBeUndefined();
  });
});
