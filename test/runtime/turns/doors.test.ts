import { describe, expect, it } from "vitest";
import { type Caller, HOST } from "../../../src/contract/caller.ts";
import { at, startModel } from "../../support/agent.ts";
import { startApp } from "../app.ts";
import { ask, openDoor, refusal } from "../door.ts";

const ann: Caller = { subject: "ann", scopes: new Set(["read", "write"]) };
const bob: Caller = { subject: "bob", scopes: new Set(["read", "write"]) };
const root: Caller = { subject: "root", scopes: new Set(["read", "write", "admin"]) };

/** An app, and a model that waits before each of its answers until it is told to go on. */
async function start() {
  const waiting: (() => void)[] = [];
  const model = await startModel(async () => {
    await new Promise<void>((resolve) => waiting.push(resolve));
    return "Hello";
  });
  const { app } = await startApp({ config: { tools: { builtin: ["get_time"] }, allowedBaseUrls: [model.url] } });
  const params = (more: object = {}) => at(model, { messages: [{ role: "user", content: "Hi" }], ...more }) as never;
  const goOn = async (answers = 1): Promise<void> => {
    await expect.poll(() => waiting.length, { timeout: 10_000 }).toBe(answers);
    for (const go of waiting.splice(0)) go();
  };
  return { app, model, params, goOn };
}

const HELLO = ["delta Hello", "chunk stop", "done"];

describe("a stream", () => {
  it("is told through the door that it was asked for through, and nowhere else", async () => {
    const { app, params, goOn } = await start();
    const [anns, bobs] = [openDoor(ann), openDoor(bob)];
    const { streamId } = await ask(app, anns.door, "agent.chat.stream", params());
    const other = await ask(app, bobs.door, "agent.chat.stream", params());
    expect([anns.released, bobs.released]).toEqual([[streamId], [other.streamId]]);
    await goOn(2);
    expect(await anns.ended(streamId)).toEqual(HELLO);
    expect(await bobs.ended(other.streamId)).toEqual(HELLO);
    expect([anns.told(other.streamId), bobs.told(streamId)]).toEqual([[], []]);
  });

  it("tells what it waits for where the door says so", async () => {
    const { app, params, goOn } = await start();
    const [curious, other] = [openDoor(ann, { tellsStatus: true }), openDoor(ann)];
    for (const one of [curious, other]) {
      const { streamId } = await ask(app, one.door, "agent.chat.stream", params());
      await goOn();
      const told = await one.ended(streamId);
      expect(told.filter((line) => line.startsWith("status")).length > 0).toBe(one === curious);
      expect(told.filter((line) => !line.startsWith("status"))).toEqual(HELLO);
    }
  });

  it("of somebody else cannot be steered, and cancelling it answers as if it were not there, and does nothing", async () => {
    const { app, params, goOn } = await start();
    const anns = openDoor(ann);
    const { streamId } = await ask(app, anns.door, "agent.chat.stream", params({ streamId: "anns" }));
    const bobs = openDoor(bob).door;
    for (const id of [streamId, "nope"]) {
      expect(await refusal(ask(app, bobs, "agent.chat.steer", { streamId: id, content: "stop" }))).toEqual({
        name: "stream_not_found",
        data: { streamId: id },
      });
      expect(await ask(app, bobs, "agent.chat.cancel", { streamId: id })).toBeNull();
    }
    await goOn();
    expect(await anns.ended(streamId)).toEqual(HELLO);
  });

  it("of somebody else cannot be cancelled while it begins, either", async () => {
    const { app, params, goOn } = await start();
    const anns = openDoor(ann);
    const { sessionId } = await ask(app, anns.door, "agent.session.create", {});
    // What is loaded on first use is there from here on, so the next turn begins in the steps that are tried below.
    await ask(app, anns.door, "agent.chat.complete", { provider: "echo", messages: [{ role: "user", content: "Hi" }], sessionId });
    const state = { isBegun: false };
    const begun = ask(app, anns.door, "agent.chat.stream", params({ streamId: "anns", sessionId })).finally(() => {
      state.isBegun = true;
    });
    for (let tries = 0; !state.isBegun; tries++) {
      await ask(app, openDoor(bob).door, "agent.chat.cancel", { streamId: "anns" });
      if (tries % 50 === 49) await new Promise((resolve) => setImmediate(resolve));
    }
    await begun;
    await goOn();
    expect(await anns.ended("anns")).toEqual(HELLO);
  });

  it("is cancelled by its owner, by callers with admin, and by the host", async () => {
    const { app, params } = await start();
    for (const caller of [ann, root, HOST]) {
      const anns = openDoor(ann);
      const { streamId } = await ask(app, anns.door, "agent.chat.stream", params());
      expect(await ask(app, openDoor(caller).door, "agent.chat.cancel", { streamId })).toBeNull();
      expect((await anns.ended(streamId)).at(-1)).toBe("cancelled");
    }
  });

  it("is not taken over by a name that somebody else has chosen as well", async () => {
    const { app, params, goOn } = await start();
    const anns = openDoor(ann);
    await ask(app, anns.door, "agent.chat.stream", params({ streamId: "same" }));
    const bobs = openDoor(bob);
    expect(await refusal(ask(app, bobs.door, "agent.chat.stream", params({ streamId: "same" })))).toMatchObject({
      name: "invalid_params",
      data: { path: "streamId" },
    });
    expect(bobs.told("same")).toEqual([]);
    await goOn();
    expect(await anns.ended("same")).toEqual(HELLO);
  });
});

describe("a turn that is asked for again with its key", () => {
  const key = { idempotencyKey: "k" };

  it("is told to the end at the door that asks, once it has ended, and goes on at the first", async () => {
    const { app, model, params, goOn } = await start();
    const [first, second] = [openDoor(ann), openDoor(ann)];
    const { streamId } = await ask(app, first.door, "agent.chat.stream", params(key));
    expect(await ask(app, second.door, "agent.chat.stream", params(key))).toEqual({ streamId });
    await goOn();
    expect(await first.ended(streamId)).toEqual(HELLO);
    expect(await second.ended(streamId)).toEqual(HELLO);
    const third = openDoor(ann);
    expect(await ask(app, third.door, "agent.chat.stream", params(key))).toEqual({ streamId });
    expect(await third.ended(streamId)).toEqual(HELLO);
    expect(third.released).toEqual([streamId]);
    expect(first.told(streamId)).toHaveLength(1);
    expect(model.requests).toHaveLength(1);
  });

  it("is told once where several doors have one outlet", async () => {
    const { app, params, goOn } = await start();
    const outlet = {};
    const [first, second] = [openDoor(ann, { outlet }), openDoor(ann, { outlet })];
    const { streamId } = await ask(app, first.door, "agent.chat.stream", params(key));
    expect(await ask(app, second.door, "agent.chat.stream", params(key))).toEqual({ streamId });
    await goOn();
    expect(await first.ended(streamId)).toEqual(HELLO);
    expect(second.told(streamId)).toEqual([]);
  });

  it("is told at a door where the first call only waited for the answer", async () => {
    const { app, params, goOn } = await start();
    const [silent, doors] = [openDoor(ann), [openDoor(ann), openDoor(ann)]];
    const answer = ask(app, silent.door, "agent.chat.complete", params({ ...key, streamId: "s" }));
    for (const { door } of doors) expect(await ask(app, door, "agent.chat.stream", params(key))).toEqual({ streamId: "s" });
    await goOn();
    expect(await answer).toMatchObject({ message: { content: "Hello" }, streamId: "s" });
    for (const one of doors) expect(await one.ended("s")).toEqual(HELLO);
    expect(silent.told("s")).toEqual([]);
  });

  it("ends at every door when it is cancelled", async () => {
    const { app, params } = await start();
    const doors = [openDoor(ann), openDoor(ann)];
    let streamId = "";
    for (const { door } of doors) ({ streamId } = await ask(app, door, "agent.chat.stream", params(key)));
    await ask(app, openDoor(ann).door, "agent.chat.cancel", { streamId });
    for (const one of doors) expect((await one.ended(streamId)).at(-1)).toBe("cancelled");
  });

  it("is another one for each subject, and that of the host is kept under the key as it is", async () => {
    const { app, model, params, goOn } = await start();
    const turns = [ann, bob, HOST].map((caller) => ask(app, openDoor(caller).door, "agent.chat.complete", params(key)));
    await goOn(3);
    const streams = (await Promise.all(turns)).map(({ streamId }) => streamId);
    expect(new Set(streams).size).toBe(3);
    expect((await app.store()?.findTurn("k"))?.streamId).toBe(streams[2]);
    const again = await ask(app, openDoor(bob).door, "agent.chat.complete", params(key));
    expect(again.streamId).toBe(streams[1]);
    expect(model.requests).toHaveLength(3);
    // The key of another is free, whatever was asked with it.
    const changed = ask(app, openDoor(root).door, "agent.chat.complete", params({ ...key, temperature: 1 }));
    await goOn();
    expect(await changed).toMatchObject({ message: { content: "Hello" } });
    expect(await refusal(ask(app, openDoor(bob).door, "agent.chat.complete", params({ ...key, temperature: 1 })))).toMatchObject({ name: "invalid_params" });
  });
});

describe("a tool call that is made again with its key", () => {
  it("is another one for each subject", async () => {
    const { app } = await start();
    const invoke = async (caller: Caller) =>
      (await ask(app, openDoor(caller).door, "tool.invoke", { name: "get_time", arguments: {}, idempotencyKey: "k" })).data?.["traceId"];
    const traces = [await invoke(ann), await invoke(bob), await invoke(HOST)];
    expect(new Set(traces).size).toBe(3);
    expect([await invoke(ann), await invoke(bob), await invoke(HOST)]).toEqual(traces);
    expect(await app.store()?.beginCall({ key: "k", digest: "d" })).toMatchObject({ result: { data: { traceId: traces[2] } } });
  });
});
