import { describe, expect, it, onTestFinished } from "vitest";
import { Connection } from "../../src/store/sqlite/connection.ts";
import { loadDriver } from "../../src/store/sqlite/driver.ts";
import { lockDatabase } from "../support/lock.ts";
import { until } from "../support/until.ts";
import { hangingTurn, scriptedConfig } from "../support/script.ts";
import { type Frame, startSidecar, type TestSidecar } from "../support/sidecar.ts";

const request = (id: string, method: string, params: object = {}) => ({ jsonrpc: "2.0", id, method, params });
const turn = (id: string, provider: string, more: object = {}) =>
  request(id, "agent.chat.stream", { provider, streamId: id, messages: [{ role: "user", content: "hi" }], ...more });

/** Several frames in one write, so that nothing can come between them. */
function together(sidecar: TestSidecar, ...frames: unknown[]): void {
  sidecar.sendRaw(frames.map((frame) => `${JSON.stringify(frame)}\n`).join(""));
}

/** What came, in words: `reply a`, `done a`, `error a`, … Chunks are left out. */
function story(sidecar: TestSidecar): string[] {
  return sidecar.frames
    .flat()
    .filter((frame) => frame.method !== "stream.chunk" && frame.method !== "lifecycle.ready")
    .map((frame: Frame) =>
      frame.method === undefined ? `reply ${frame.id}` : `${frame.method.split(".").at(-1)} ${frame.params?.["streamId"] ?? frame.params?.["reason"]}`,
    );
}

describe("a shutdown that meets a turn which is just starting", () => {
  it.each(["echo", "scripted"])("answers it first, and ends it before the last words if it was acknowledged (%s)", async (provider) => {
    const { args } = scriptedConfig([hangingTurn]);
    for (const session of [{}, { sessionId: "s" }]) {
      const sidecar = await startSidecar({ args });
      await sidecar.call("agent.session.create", { sessionId: "s" });
      together(sidecar, turn("t", provider, session), request("bye", "system.shutdown"));
      expect(await sidecar.exit).toEqual({ code: 0, signal: null });
      const acknowledged = (await sidecar.reply("t")).error === undefined;
      expect(story(sidecar).slice(1)).toEqual(
        acknowledged ? ["reply t", "done t", "reply bye", "shutdown normal"] : ["reply t", "reply bye", "shutdown normal"],
      );
    }
  });

  it("answers it, ends it and exits at once for system.shutdown_now", async () => {
    const { args } = scriptedConfig([hangingTurn]);
    const sidecar = await startSidecar({ args });
    await sidecar.call("agent.session.create", { sessionId: "s" });
    together(sidecar, turn("a", "scripted"), turn("b", "scripted", { sessionId: "s" }), request("bye", "system.shutdown_now"));
    expect(await sidecar.exit).toEqual({ code: 0, signal: null });
    const events = story(sidecar);
    expect(events).toEqual(expect.arrayContaining(["reply a", "done a", "reply b", "reply bye"]));
    expect(events.indexOf("reply a")).toBeLessThan(events.indexOf("done a"));
    // The second one was either refused, or acknowledged and ended.
    const refused = (await sidecar.reply("b")).error !== undefined;
    expect(events.filter((event) => event === "done b")).toHaveLength(refused ? 0 : 1);
    expect(events.at(-1)).toBe("shutdown normal");
  });
});

describe("system.shutdown_now", () => {
  it("ends the process although the host reads nothing", async () => {
    const sidecar = await startSidecar({ unread: true });
    for (let id = 0; id < 4000; id++) sidecar.send(request(`p${id}`, "system.ping"));
    sidecar.send(request("bye", "system.shutdown_now"));
    expect(await sidecar.exit).toEqual({ code: 0, signal: null });
  });
});

describe("a database that another process holds", { timeout: 60_000 }, () => {
  it("keeps no stream from its terminal when the sidecar is shut down, and health and haste are still answered", async () => {
    const { args, database } = scriptedConfig([hangingTurn], "gracePeriodSeconds: 60\n");
    const sidecar = await startSidecar({ args });
    await sidecar.call("agent.session.create", { sessionId: "s" });
    together(sidecar, turn("t", "scripted", { sessionId: "s" }));
    await sidecar.notification("stream.chunk");
    const unlock = lockDatabase(database);
    sidecar.send(request("bye", "system.shutdown"));
    expect((await sidecar.request("system.ping")).result).toMatchObject({ status: "shutting_down" });
    expect((await sidecar.request("agent.session.list")).error).toMatchObject({ code: -32005, kind: "transport_closed" });
    expect(await sidecar.request("system.shutdown_now")).toHaveProperty("result", null);
    await sidecar.exit;
    unlock();
    expect(story(sidecar).filter((event) => event === "done t")).toHaveLength(1);
    expect(story(sidecar).at(-1)).toBe("shutdown normal");
  });

  it("keeps no stream from its terminal when the grace period is over, and the exit code tells what was cut off", async () => {
    const { args, database } = scriptedConfig([hangingTurn], "gracePeriodSeconds: 0.3\n");
    const sidecar = await startSidecar({ args });
    await sidecar.call("agent.session.create", { sessionId: "s" });
    together(sidecar, turn("t", "scripted", { sessionId: "s" }));
    await sidecar.notification("stream.chunk");
    const unlock = lockDatabase(database);
    sidecar.child.stdin.end();
    expect(await sidecar.exit).toEqual({ code: 3, signal: null });
    unlock();
    expect(story(sidecar)).toEqual(expect.arrayContaining(["done t"]));
    expect(story(sidecar).at(-1)).toBe("shutdown eof");
  });

  it("leaves no hole in the text of a turn that is killed later", async () => {
    const words = Array.from({ length: 200 }, (_, index) => `<${index}>`);
    const { args, database } = scriptedConfig([{ events: [...words.flatMap((delta) => [{ delta }, { delayMs: 25 }]), { delayMs: 600_000 }] }]);
    const sidecar = await startSidecar({ args });
    await sidecar.call("agent.session.create", { sessionId: "s" });
    together(sidecar, turn("t", "scripted", { sessionId: "s" }));
    const said = (count: number) => sidecar.until(() => sidecar.notifications("t").length >= count, `${count} chunks`);
    await said(5);
    const unlock = lockDatabase(database);
    await said(50);
    unlock();
    // A session that is asked for does not show it before the turn has ended.
    const reader = new Connection(loadDriver().open(database, { readOnly: true }));
    onTestFinished(() => reader.close());
    await until(() => reader.get("SELECT 1 FROM fragments WHERE body LIKE '%<50>%'"), "what was said meanwhile to be stored");
    sidecar.child.kill("SIGKILL");
    await sidecar.exit;
    const next = await startSidecar({ args });
    const { messages } = await next.call<{ messages: { content: string; turnStatus: string }[] }>("agent.session.get", { sessionId: "s" });
    const kept = messages[1]?.content ?? "";
    expect(words.join("").startsWith(kept)).toBe(true);
    expect(kept).toContain("<50>");
    expect(messages[1]?.turnStatus).toBe("interrupted");
  });

  it("gets the end of a turn as soon as it is let go", async () => {
    const { args, database } = scriptedConfig([hangingTurn]);
    const sidecar = await startSidecar({ args });
    await sidecar.call("agent.session.create", { sessionId: "s" });
    together(sidecar, turn("t", "scripted", { sessionId: "s" }));
    await sidecar.notification("stream.chunk");
    const unlock = lockDatabase(database);
    await sidecar.call("agent.chat.cancel", { streamId: "t" });
    await sidecar.terminal("t");
    unlock();
    const status = async () =>
      (await sidecar.call<{ messages: { turnStatus: string }[] }>("agent.session.get", { sessionId: "s" })).messages.map((message) => message.turnStatus);
    await expect.poll(status, { timeout: 20_000 }).toEqual(["cancelled", "cancelled"]);
  });

  it("stops no other stream through a batch that waits for it", async () => {
    const { args, database } = scriptedConfig([]);
    const sidecar = await startSidecar({ args });
    await sidecar.call("agent.session.create", { sessionId: "s" });
    const unlock = lockDatabase(database);
    const long = [{ role: "user", content: "word ".repeat(50_000) }];
    sidecar.send([turn("in the batch".replaceAll(" ", "-"), "echo", { messages: long }), request("slow", "agent.session.create", { sessionId: "s2" })]);
    const streamId = await sidecar.stream({ provider: "echo", messages: long });
    expect((await sidecar.terminal(streamId)).method).toBe("stream.done");
    expect(sidecar.notifications("in-the-batch")).toEqual([]);
    unlock();
    expect((await sidecar.terminal("in-the-batch")).method).toBe("stream.done");
  });
});

describe("two calls at once", () => {
  it("cannot have the same stream id, whichever session they are in", async () => {
    const sidecar = await startSidecar();
    for (const sessionId of ["a", "b"]) await sidecar.call("agent.session.create", { sessionId });
    const same = (id: string) => ({
      ...turn(id, "echo", { sessionId: id }),
      params: { provider: "echo", streamId: "dup", sessionId: id, messages: [{ role: "user", content: id }] },
    });
    together(sidecar, same("a"), same("b"));
    const replies = await Promise.all([sidecar.reply("a"), sidecar.reply("b")]);
    expect(replies.filter((reply) => reply.error === undefined)).toHaveLength(1);
    expect(replies.find((reply) => reply.error !== undefined)?.error).toMatchObject({ code: -32602 });
    await sidecar.terminal("dup");
    sidecar.child.stdin.end();
    expect(await sidecar.exit).toEqual({ code: 0, signal: null });
  });

  it("a turn that was cancelled before it was acknowledged leaves nothing in its session", async () => {
    const { args, database } = scriptedConfig([]);
    const sidecar = await startSidecar({ args });
    await sidecar.call("agent.session.create", { sessionId: "s" });
    const unlock = lockDatabase(database);
    // Waits in front of the turn, because calls on one session run in order.
    together(
      sidecar,
      request("first", "agent.session.close", { sessionId: "s" }),
      request("second", "agent.session.resume", { sessionId: "s" }),
      turn("t", "echo", { sessionId: "s" }),
      {
        jsonrpc: "2.0",
        method: "$/cancelRequest",
        params: { id: "t" },
      },
    );
    expect((await sidecar.reply("t")).error).toMatchObject({ code: -32800 });
    unlock();
    await sidecar.reply("second");
    expect(await sidecar.call("agent.session.get", { sessionId: "s" })).toMatchObject({ messages: [] });
  });

  it("on one session: the second does not happen when it was cancelled while it waited", async () => {
    const sidecar = await startSidecar();
    await sidecar.call("system.info");
    together(sidecar, request("c", "agent.session.create", { sessionId: "s" }), request("d", "agent.session.delete", { sessionId: "s" }), {
      jsonrpc: "2.0",
      method: "$/cancelRequest",
      params: { id: "d" },
    });
    expect((await sidecar.reply("d")).error).toMatchObject({ code: -32800 });
    expect((await sidecar.reply("c")).result).toBeDefined();
    expect((await sidecar.request("agent.session.resume", { sessionId: "s" })).result).toBeDefined();
  });
});

describe("the limit of open streams", () => {
  it("turns away what is beyond it, until one has ended", async () => {
    const { args } = scriptedConfig([hangingTurn], "limits: { streams: 2 }\n");
    const sidecar = await startSidecar({ args });
    const params = { provider: "scripted", messages: [{ role: "user", content: "hi" }] };
    const first = await sidecar.stream(params);
    await sidecar.stream(params);
    expect((await sidecar.request("agent.chat.stream", params)).error).toMatchObject({
      code: -32005,
      kind: "overloaded",
      data: { retryAfterMs: expect.any(Number) },
    });
    await sidecar.call("agent.chat.cancel", { streamId: first });
    await sidecar.terminal(first);
    await sidecar.stream(params);
  });
});
