import { describe, expect, it } from "vitest";
import { Config } from "../../src/contract/config.ts";
import { providers } from "../../src/registry.ts";
import { Models } from "../../src/runtime/models.ts";
import { SessionModels } from "../../src/runtime/session-models.ts";
import { openMemoryStore } from "../../src/store/memory.ts";

/** A store with a clock that goes on with every session that is made. */
async function start() {
  const clock = { now: 0 };
  const store = await openMemoryStore({ path: ":memory:", keepTraces: 1, now: () => clock.now });
  const models = new SessionModels(new Models(providers, () => Config.parse({}), {}), async () => store, 3);
  const create = (sessionId: string) => {
    clock.now += 1000;
    return store.upsertSession({ sessionId, userId: "u", chatId: "c", currentStage: "s", scenario: "x", provider: "openai" });
  };
  const keyOf = async (sessionId: string) => models.of(await store.getSession(sessionId)).apiKey?.value;
  return { store, models, create, keyOf };
}

describe("what is kept of a session in memory", () => {
  it("is what was said last: what is left out stays, null takes it away", async () => {
    const { models, create } = await start();
    await create("s1");
    await models.configure({ sessionId: "s1", apiKey: "sk-the-key-1", temperature: 0.5, maxTokens: 9 });
    const session = await models.configure({ sessionId: "s1", temperature: null });
    const { apiKey, temperature, maxTokens } = models.of(session);
    expect({ apiKey: apiKey?.value, temperature, maxTokens }).toEqual({ apiKey: "sk-the-key-1", temperature: undefined, maxTokens: 9 });
    expect(models.of(undefined)).toEqual({});
  });

  it("is forgotten when the session is deleted", async () => {
    const { models, create, keyOf } = await start();
    await create("s1");
    await models.configure({ sessionId: "s1", apiKey: "sk-the-key-1" });
    expect(await keyOf("s1")).toBe("sk-the-key-1");
    models.forget("s1");
    expect(await keyOf("s1")).toBeUndefined();
  });

  it("does not count for another session of the same id, as when a second process has deleted the first", async () => {
    const { store, models, create, keyOf } = await start();
    await create("s1");
    await models.configure({ sessionId: "s1", apiKey: "sk-the-key-1", maxTokens: 9 });
    await store.deleteSession("s1");
    const session = await create("s1");
    expect(await keyOf("s1")).toBeUndefined();
    await models.configure({ sessionId: "s1", temperature: 1 });
    expect(models.of(session)).toMatchObject({ apiKey: undefined, temperature: 1, maxTokens: undefined });
  });

  it("is bounded: beyond so many sessions the one that was not used for longest is forgotten", async () => {
    const { store, models, create, keyOf } = await start();
    for (const sessionId of ["s0", "s1", "s2"]) {
      await create(sessionId);
      await models.configure({ sessionId, apiKey: "sk-the-key-1" });
    }
    models.of(await store.getSession("s0"));
    await create("last");
    await models.configure({ sessionId: "last", apiKey: "sk-the-key-1" });
    const kept = await Promise.all(["s0", "s1", "s2", "last"].map(async (sessionId) => (await keyOf(sessionId)) !== undefined));
    expect(kept).toEqual([true, false, true, true]);
  });
});
