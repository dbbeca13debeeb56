import { once } from "node:events";
import type { IncomingMessage } from "node:http";
import { describe, expect, it, onTestFinished } from "vitest";
import { at } from "../support/agent.ts";
import { until } from "../support/until.ts";
import { follow, type SeenEvent } from "../support/event-source.ts";
import { type HttpSidecar, spawnHttp } from "../support/http.ts";
import { configFile, keyOf } from "../support/keys.ts";
import { type ModelServer, openaiStream, startModelServer } from "../support/model-server.ts";

const LIMITLESS = ["--rate-limit", "0"];

/** Starts a stream; resolves with its id. */
async function start({ call }: HttpSidecar, params: Record<string, unknown>, key?: string): Promise<string> {
  const frame = { jsonrpc: "2.0", id: 1, method: "agent.chat.stream", params };
  const { body } = await call<{ result: { streamId: string } }>("POST", "/rpc", { body: frame, ...(key === undefined ? {} : { key }) });
  return body.result.streamId;
}

/** Resolves when no turn runs any more. */
async function idle({ sidecar }: HttpSidecar): Promise<void> {
  await until(async () => ((await sidecar.call("system.ping"))["activeTraces"] === 0 ? true : undefined), "every turn to be over");
}

/** A model server that says its pieces one by one, each when it is let. */
async function startStepwise(pieces: readonly string[]): Promise<{ server: ModelServer; say(count?: number): void }> {
  const waiting: (() => void)[] = [];
  let ahead = 0;
  const permission = () =>
    new Promise<void>((resolve) => {
      if (ahead === 0) waiting.push(resolve);
      else {
        ahead--;
        resolve();
      }
    });
  const say = (count = 1) => {
    ahead += count;
    for (; ahead > 0 && waiting.length > 0; ahead--) waiting.shift()?.();
  };
  const server = await startModelServer(async (_, answer) => {
    await answer.head(200);
    for (const part of openaiStream(pieces)) {
      await permission();
      await answer.chunk(part);
    }
    await answer.end();
  });
  onTestFinished(() => server.close());
  return { server, say };
}

/** The text of a stream, whose events have to follow each other without a gap or a repetition. */
function textOf(events: readonly SeenEvent[]): string {
  expect(events.map(({ id }) => id)).toEqual(events.map((_, index) => String(index)));
  expect(events.map(({ data }) => data["seq"])).toEqual(events.map((_, index) => index));
  return events.map(({ data }) => data["delta"] ?? "").join("");
}

/** Where the first event of a response ends. */
const firstEvent = (text: string): number | undefined => {
  const end = text.indexOf("\n\n");
  return end === -1 ? undefined : end + 2;
};

describe("GET /v1/streams/{streamId}/events", () => {
  it("tells a stream from its beginning to its end: event, id and data are name, seq and params of the notification", async () => {
    const sidecar = await spawnHttp({ args: LIMITLESS });
    const streamId = await start(sidecar, { provider: "echo", messages: [{ role: "user", content: "Hello over there" }] });
    const { events, connections, gaveUp } = follow(sidecar.url, streamId, { key: sidecar.token });
    expect(await gaveUp).toBe(204);
    expect(textOf(events)).toBe("Hello over there");
    expect(events.at(-1)).toMatchObject({ event: "stream.done", data: { streamId, ok: true, finishReason: "stop", traceId: expect.any(String) } });
    expect(events.slice(0, -1).every(({ event, data }) => event === "stream.chunk" && data["streamId"] === streamId)).toBe(true);
    expect(connections).toEqual([undefined, events.at(-1)?.id]);
  });

  it("is an event stream that no cache and no proxy holds back", async () => {
    const sidecar = await spawnHttp();
    const streamId = await start(sidecar, { provider: "echo", messages: [{ role: "user", content: "Hi" }] });
    const { status, headers, text } = await sidecar.call("GET", `/v1/streams/${streamId}/events`);
    expect(status).toBe(200);
    expect(headers).toMatchObject({
      "content-type": "text/event-stream; charset=utf-8",
      "cache-control": "no-store",
      "x-accel-buffering": "no",
      "x-content-type-options": "nosniff",
      "x-request-id": expect.any(String),
    });
    expect(text).toMatch(/^(?:id: \d+\nevent: stream\.chunk\ndata: \{.*\}\n\n)+id: \d+\nevent: stream\.done\ndata: \{.*\}\n\n$/);
  });

  it.each([
    ["right behind each event", (text: string) => firstEvent(text)],
    [
      "in the middle of the second event",
      (text: string) => (text.indexOf("\ndata: ", firstEvent(text) ?? text.length) === -1 ? undefined : text.indexOf("\ndata: ", firstEvent(text))),
    ],
  ])("goes on behind the last event where the connection breaks %s, without loss or repetition", async (_, breakAfter) => {
    const pieces = Array.from({ length: 12 }, (_unused, index) => `piece ${index}, ¡olé! `);
    const { server, say } = await startStepwise(pieces);
    const sidecar = await spawnHttp({ args: LIMITLESS });
    const streamId = await start(sidecar, at(server));
    const { events, connections, gaveUp, seen } = follow(sidecar.url, streamId, { key: sidecar.token, breakAfter });
    // Half of it is read while it comes, the other half when it is over.
    say(7);
    await seen(5);
    say(20);
    expect(await gaveUp).toBe(204);
    expect(textOf(events)).toBe(pieces.join(""));
    expect(events.at(-1)).toMatchObject({ event: "stream.done", data: { ok: true } });
    expect(events.filter(({ event }) => event !== "stream.chunk")).toHaveLength(1);
    expect(connections.length).toBeGreaterThan(events.length);
    expect(connections.slice(1)).toEqual(connections.slice(1).toSorted((a, b) => Number(a) - Number(b)));
  });

  it("tells the same to two readers at a time, and to one who comes when it is over", async () => {
    const pieces = ["one ", "two ", "three "];
    const { server, say } = await startStepwise(pieces);
    const sidecar = await spawnHttp({ args: LIMITLESS });
    const streamId = await start(sidecar, at(server));
    const early = follow(sidecar.url, streamId, { key: sidecar.token });
    say(2);
    await early.seen(1);
    const late = follow(sidecar.url, streamId, { key: sidecar.token, breakAfter: firstEvent });
    await late.seen(1);
    say(10);
    expect(await Promise.all([early.gaveUp, late.gaveUp])).toEqual([204, 204]);
    const after = follow(sidecar.url, streamId, { key: sidecar.token });
    expect(await after.gaveUp).toBe(204);
    expect(textOf(early.events)).toBe(pieces.join(""));
    expect(late.events).toEqual(early.events);
    expect(after.events).toEqual(early.events);
  });

  it("tells how it ended: with an error, or because somebody cancelled it", async () => {
    const { server, say } = await startStepwise(["one "]);
    const broken = await startModelServer((_, answer) => answer.respond(400, { error: { message: "no" } }));
    onTestFinished(() => broken.close());
    const sidecar = await spawnHttp({ args: LIMITLESS });
    const failing = follow(sidecar.url, await start(sidecar, at(broken)), { key: sidecar.token });
    expect(await failing.gaveUp).toBe(204);
    expect(failing.events).toEqual([{ event: "stream.error", id: "0", data: expect.objectContaining({ kind: "upstream_rejected", seq: 0 }) }]);
    const streamId = await start(sidecar, at(server));
    const cancelled = follow(sidecar.url, streamId, { key: sidecar.token });
    say(2);
    await cancelled.seen(1);
    await sidecar.call("POST", "/rpc", { body: { jsonrpc: "2.0", id: 1, method: "agent.chat.cancel", params: { streamId } } });
    expect(await cancelled.gaveUp).toBe(204);
    expect(cancelled.events.map(({ event }) => event)).toEqual(["stream.chunk", "stream.done"]);
    expect(cancelled.events.at(-1)?.data).toMatchObject({ ok: false, cancelled: true });
    await server.requests[0]?.closed;
  });

  it("goes on when its readers leave", async () => {
    const { server, say } = await startStepwise(["one ", "two ", "three "]);
    const sidecar = await spawnHttp({ args: LIMITLESS });
    const streamId = await start(sidecar, at(server));
    const leaving = follow(sidecar.url, streamId, { key: sidecar.token });
    say(2);
    await leaving.seen(1);
    leaving.close();
    say(10);
    const { events, gaveUp } = follow(sidecar.url, streamId, { key: sidecar.token });
    expect(await gaveUp).toBe(204);
    expect(textOf(events)).toBe("one two three ");
  });

  it("keeps no more than 4 MiB of a stream that nobody reads, and says so to those who come for what is gone", { timeout: 60_000 }, async () => {
    const piece = "x".repeat(64 * 1024);
    const server = await startModelServer((_, answer) => answer.sse(openaiStream(Array.from({ length: 160 }, () => piece))));
    onTestFinished(() => server.close());
    const sidecar = await spawnHttp({ args: LIMITLESS });
    const streamId = await start(sidecar, at(server));
    const path = `/v1/streams/${streamId}/events`;
    await idle(sidecar);
    const from = (id: string | undefined) =>
      sidecar.call<{ error: { code: string; message: string } }>("GET", path, { headers: id === undefined ? {} : { "last-event-id": id } });
    const gone = await from(undefined);
    expect(gone).toMatchObject({
      status: 410,
      body: { error: { code: "events_gone", message: expect.stringMatching(/^The events before \d+ are no longer kept$/) } },
    });
    const oldest = Number(/before (\d+) are/.exec(gone.body.error.message)?.[1]);
    expect((await from(String(oldest - 2))).status).toBe(410);
    const kept = await from(String(oldest - 1));
    expect(kept.status).toBe(200);
    const ids = [...kept.text.matchAll(/^id: (\d+)$/gm)].map(([, id]) => Number(id));
    expect(ids).toEqual(ids.map((_, index) => oldest + index));
    expect(kept.text.slice(kept.text.lastIndexOf("event: "))).toMatch(/^event: stream\.done\n/);
    expect(kept.text.length).toBeLessThan(4.5 * 1024 * 1024);
    expect(kept.text.length).toBeGreaterThan(3.5 * 1024 * 1024);
    expect((await from(String(ids.at(-1)))).status).toBe(204);
  });

  it("pauses the model server while a reader is slow, who then misses nothing", { timeout: 120_000 }, async () => {
    const count = 1000;
    let sent = 0;
    const server = await startModelServer(async (_, answer) => {
      await answer.head(200);
      for (const part of openaiStream(Array.from({ length: count }, (_unused, index) => `${index};`.padEnd(64 * 1024, "x")))) {
        await answer.chunk(part);
        sent++;
      }
      await answer.end();
    });
    onTestFinished(() => server.close());
    const sidecar = await spawnHttp({ args: LIMITLESS });
    const streamId = await start(sidecar, at(server));
    const [response] = (await once(sidecar.open("GET", `/v1/streams/${streamId}/events`), "response")) as [IncomingMessage];
    response.pause();
    let before = 0;
    let calm = 0;
    await until(() => {
      calm = sent > 0 && sent === before ? calm + 1 : 0;
      before = sent;
      return calm > 40 ? true : undefined;
    }, "the model server to be paused");
    expect(sent).toBeLessThan(count);
    let text = "";
    for await (const part of response.setEncoding("utf8")) text += part;
    const numbers = [...text.matchAll(/"delta":"(\d+);x/g)].map(([, number]) => Number(number));
    expect(numbers).toEqual(Array.from({ length: count }, (_, index) => index));
    expect(text.slice(text.lastIndexOf("event: "))).toMatch(/^event: stream\.done\n/);
  });

  it("is for those whose stream it is, with a key that may read", async () => {
    const args = await configFile({ ann: ["read", "write"], bob: ["read", "write"], root: ["*"], reader: ["read"], writer: ["write"] });
    const sidecar = await spawnHttp({ args: [...args, ...LIMITLESS] });
    const params = { provider: "echo", messages: [{ role: "user", content: "Hi" }], streamId: "mine" };
    await start(sidecar, params, keyOf("ann"));
    const statuses = async (streamId: string, ...subjects: string[]) => {
      const all = subjects.map(
        async (subject) => (await sidecar.call("GET", `/v1/streams/${streamId}/events`, { key: subject === "" ? null : keyOf(subject) })).status,
      );
      return Promise.all(all);
    };
    expect(await statuses("mine", "ann", "bob", "root", "reader", "writer", "")).toEqual([200, 404, 200, 404, 403, 401]);
    expect(await statuses("never", "ann", "root")).toEqual([404, 404]);
    // What somebody else calls a stream takes nothing away.
    await start(sidecar, { ...params, messages: [{ role: "user", content: "Bob's" }] }, keyOf("bob"));
    const events = async (subject: string) => (await sidecar.call("GET", "/v1/streams/mine/events", { key: keyOf(subject) })).text;
    expect(await events("ann")).toContain('"delta":"Hi"');
    expect(await events("bob")).toContain('"delta":"Bob');
  });

  it("knows nothing of streams that were started on stdin", async () => {
    const { sidecar, call } = await spawnHttp();
    await sidecar.call("agent.chat.stream", { provider: "echo", messages: [{ role: "user", content: "Hi" }], streamId: "s1" });
    expect(await call("GET", "/v1/streams/s1/events")).toMatchObject({ status: 404, body: { error: { code: "stream_not_found" } } });
  });

  it("refuses a Last-Event-ID that is no id of the stream", async () => {
    const sidecar = await spawnHttp({ args: LIMITLESS });
    const streamId = await start(sidecar, { provider: "echo", messages: [{ role: "user", content: "Hi" }] });
    for (const id of ["-1", "1.5", "abc", "1e3", "9".repeat(16), "99", "0x1", "1,2"]) {
      const { status, body } = await sidecar.call("GET", `/v1/streams/${streamId}/events`, { headers: { "last-event-id": id } });
      expect({ id, status, body }).toMatchObject({
        status: 400,
        body: { error: { code: "invalid_params", message: expect.stringContaining("Last-Event-ID") } },
      });
    }
  });
});

describe("a stream that is asked for again with its idempotencyKey", () => {
  it("is the one that runs: whoever reads it goes on where it was", async () => {
    const pieces = ["one ", "two ", "three "];
    const { server, say } = await startStepwise(pieces);
    const sidecar = await spawnHttp({ args: LIMITLESS });
    const params = at(server, { idempotencyKey: "k1" });
    const streamId = await start(sidecar, params);
    const reading = follow(sidecar.url, streamId, { key: sidecar.token, breakAfter: firstEvent });
    say(3);
    await reading.seen(2);
    expect(await start(sidecar, params)).toBe(streamId);
    say(10);
    expect(await reading.gaveUp).toBe(204);
    expect(textOf(reading.events)).toBe(pieces.join(""));
    expect(server.requests).toHaveLength(1);
  });

  it("is the one that has ended, as long as its events are kept", async () => {
    const pieces = ["one ", "two ", "three "];
    const { server, say } = await startStepwise(pieces);
    const sidecar = await spawnHttp({ args: LIMITLESS });
    const params = at(server, { idempotencyKey: "k1" });
    const streamId = await start(sidecar, params);
    say(10);
    const first = follow(sidecar.url, streamId, { key: sidecar.token });
    expect(await first.gaveUp).toBe(204);
    expect(await start(sidecar, params)).toBe(streamId);
    const { status, text } = await sidecar.call("GET", `/v1/streams/${streamId}/events`, { headers: { "last-event-id": "1" } });
    expect({ status, text: text.slice(0, 6) }).toEqual({ status: 200, text: "id: 2\n" });
    const again = follow(sidecar.url, streamId, { key: sidecar.token });
    expect(await again.gaveUp).toBe(204);
    expect(again.events).toEqual(first.events);
    expect(server.requests).toHaveLength(1);
  });
});
