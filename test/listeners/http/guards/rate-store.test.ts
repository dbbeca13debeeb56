import rateLimit from "@fastify/rate-limit";
import Fastify from "fastify";
import { describe, expect, it, onTestFinished } from "vitest";
import { createRateStore } from "../../../../src/listeners/http/guards/rate-store.ts";
import { makeClock } from "./setup.ts";

const figures = ["x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset", "retry-after"];

async function serve(now: () => number) {
  const server = Fastify();
  onTestFinished(async () => server.close());
  await server.register(rateLimit, { max: 2, timeWindow: 60_000, store: createRateStore({ now }) });
  server.get("/", () => "ok");
  server.get("/slow", { config: { rateLimit: { max: 1 } } }, () => "ok");
  server.get("/wrong", { config: { rateLimit: { max: 1, timeWindow: 1_000 } } }, () => "ok");
  const url = await server.listen({ host: "127.0.0.1", port: 0 });
  return async (path: string) => {
    const answer = await fetch(`${url}${path}`);
    await answer.text();
    return [answer.status, ...figures.map((name) => answer.headers.get(name))];
  };
}

describe("the store of the plugin", () => {
  it("lets the plugin count in a sliding window, and tell when the next request may come", async () => {
    const clock = makeClock();
    const ask = await serve(clock.now);
    expect(await ask("/")).toEqual([200, "2", "1", "60", null]);
    clock.pass(45_000);
    expect(await ask("/")).toEqual([200, "2", "0", "15", null]);
    expect(await ask("/")).toEqual([429, "2", "0", "15", "15"]);
    clock.pass(14_999);
    expect(await ask("/")).toEqual([429, "2", "0", "1", "1"]);
    clock.pass(1);
    // One place came back, not both, as they would in windows that begin anew.
    expect(await ask("/")).toEqual([200, "2", "0", "45", null]);
    expect(await ask("/")).toEqual([429, "2", "0", "45", "45"]);
  });

  it("counts a route with a limit of its own for itself", async () => {
    const ask = await serve(makeClock().now);
    expect(await ask("/slow")).toEqual([200, "1", "0", "60", null]);
    expect((await ask("/slow"))[0]).toBe(429);
    expect(await ask("/")).toEqual([200, "2", "1", "60", null]);
  });

  it("refuses to count by anything but the minute", async () => {
    const ask = await serve(makeClock().now);
    expect((await ask("/wrong"))[0]).toBe(500);
  });
});
