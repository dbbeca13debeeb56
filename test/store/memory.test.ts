import { expect, it } from "vitest";
import { openMemoryStore } from "../../src/store/memory.ts";
import { describeStore } from "./conformance.ts";
import { START_MS, traceRecord } from "./records.ts";

describeStore("memory", (options) => openMemoryStore({ path: ":memory:", ...options }));

it("memory does not grow with the number of traces", async () => {
  const store = await openMemoryStore({ path: ":memory:", keepTraces: 10, now: () => START_MS });
  for (let index = 0; index < 1000; index++) await store.saveTrace(traceRecord(`tr${index}`));
  const { items } = await store.listTraces({ limit: 1000 });
  expect(items.length).toBeGreaterThanOrEqual(10);
  expect(items.length).toBeLessThan(200);
  expect(items[0]?.traceId).toBe("tr999");
  await expect(store.getTrace("tr0")).rejects.toMatchObject({ errorName: "trace_not_found" });
});
