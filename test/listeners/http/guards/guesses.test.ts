import { hash } from "@node-rs/argon2";
import { describe, expect, it } from "vitest";
import { createAuthenticator } from "../../../../src/listeners/http/guards/keys.ts";
import { AT_ONCE, MOST_WAITING } from "../../../../src/listeners/http/guards/verifier.ts";
import { createLog } from "../../../../src/log.ts";
import { makeAuthenticator, makeHeld, settled, unauthorized, useUp } from "./authenticator.ts";
import { quiet } from "./setup.ts";

describe("an address that guesses", () => {
  it("is told to wait after 20 wrong keys in any minute, before they are checked", async () => {
    const { ask, clock, compared } = makeAuthenticator();
    for (let at = 0; at < 10; at++) await ask(`early-${at}`);
    clock.pass(30_000);
    for (let at = 0; at < 10; at++) await ask(`late-${at}`);
    for (let at = 0; at < 100; at++) expect(await ask(`more-${at}`)).toEqual({ refused: "rate_limited", retryAfterMs: 3_000 });
    expect(await ask("late-1")).toEqual({ refused: "rate_limited", retryAfterMs: 30_000 });
    expect(compared).toHaveLength(20);
    expect(await ask("other", "10.0.0.1")).toEqual(unauthorized);
    clock.pass(30_000);
    for (let at = 0; at < 10; at++) expect(await ask(`next-${at}`)).toEqual(unauthorized);
    expect(await ask("one-more")).toMatchObject({ refused: "rate_limited" });
  });

  it("has no more checks by asking for all of them at the same time", async () => {
    const { ask, held } = makeHeld();
    const asked = Array.from({ length: 100 }, (_, at) => ask(`wrong-${at}`));
    for (let at = 0; at < 100; at++) {
      await settled();
      held[at]?.end(false);
    }
    expect((await Promise.all(asked)).filter((verdict) => "refused" in verdict && verdict.refused === "rate_limited")).toHaveLength(80);
    expect(held).toHaveLength(20);
  });

  it("is a whole /64 where it is of IPv6, and the same in both spellings of IPv4", async () => {
    const { ask } = makeAuthenticator();
    await useUp(ask, "2001:db8:1:2::1");
    expect(await ask("wrong", "2001:db8:1:2:ffff::9")).toMatchObject({ refused: "rate_limited" });
    expect(await ask("wrong", "2001:db8:1:3::1")).toEqual(unauthorized);
    await useUp(ask, "::ffff:10.0.0.7");
    expect(await ask("wrong", "10.0.0.7")).toMatchObject({ refused: "rate_limited" });
  });

  it("does not keep those out who are known", async () => {
    const { ask } = makeAuthenticator();
    await ask("key-of-alice");
    await useUp(ask);
    expect(await ask("unknown")).toMatchObject({ refused: "rate_limited" });
    expect(await ask("key-of-alice")).toMatchObject({ caller: { subject: "alice" } });
  });

  it("does not keep a good key out that comes again after the wait that it was told", async () => {
    const { ask, clock, compared } = makeAuthenticator();
    await useUp(ask);
    expect(await ask("key-of-alice")).toEqual({ refused: "rate_limited", retryAfterMs: 3_000 });
    clock.pass(1_000);
    expect(await ask("key-of-alice")).toEqual({ refused: "rate_limited", retryAfterMs: 2_000 });
    clock.pass(2_000);
    expect(compared).toHaveLength(20);
    expect(await ask("key-of-alice")).toMatchObject({ caller: { subject: "alice" } });
  });

  it("does not keep a good key out by going on with 200 new ones a second, and has few of them checked", async () => {
    const { ask, clock, compared } = makeAuthenticator();
    await useUp(ask);
    let guesses = 0;
    const hammer = async (ms: number) => {
      for (let passed = 0; passed < ms; passed += 5) {
        clock.pass(5);
        await ask(`guess-${guesses++}`);
      }
    };
    await hammer(2_000);
    let tries = 0;
    let verdict = await ask("key-of-alice");
    while ("refused" in verdict && tries++ < 3) {
      await hammer(Math.ceil((verdict.retryAfterMs ?? 0) / 1000) * 1000);
      verdict = await ask("key-of-alice");
    }
    expect(verdict).toMatchObject({ caller: { subject: "alice" } });
    expect(compared).toHaveLength(21);
  });

  it("has at most one key checked in three seconds when each of its guesses comes twice", async () => {
    const { ask, clock, compared } = makeAuthenticator();
    await useUp(ask);
    // 50 seconds, in which the first 20 still count.
    for (let second = 0; second < 50; second++) {
      for (let at = 0; at < 20; at++) await ask(`guess-${second}-${at}`);
      for (let at = 0; at < 20; at++) if (second >= 3) await ask(`guess-${second - 3}-${at}`);
      clock.pass(1_000);
    }
    expect(compared.length - 20).toBeGreaterThan(10);
    expect(compared.length - 20).toBeLessThanOrEqual(17);
  });

  it("is logged once, without the key", async () => {
    const lines: string[] = [];
    const log = createLog({ level: "DEBUG", write: (line) => lines.push(line) });
    const { ask } = makeAuthenticator({ log });
    await useUp(ask);
    for (let at = 0; at < 10; at++) await ask(`more-${at}`);
    await log.flush();
    expect(lines.map((line) => JSON.parse(line))).toMatchObject([{ level: "WARNING", address: "127.0.0.1" }]);
    expect(lines.join("")).not.toMatch(/wrong-|more-/);
  });
});

describe("the line of keys", () => {
  it("checks a few at a time, lets some wait, and sends the others away", async () => {
    const { ask, held } = makeHeld();
    const asked = Array.from({ length: 200 }, (_, at) => ask(`wrong-${at}`, `10.0.0.${at}`));
    await settled();
    expect(held).toHaveLength(AT_ONCE);
    expect(AT_ONCE).toBeLessThanOrEqual(4);
    for (let at = 0; at < AT_ONCE + MOST_WAITING; at++) {
      held[at]?.end(false);
      await settled();
    }
    const verdicts = await Promise.all(asked);
    expect(held).toHaveLength(AT_ONCE + MOST_WAITING);
    for (const verdict of verdicts.slice(0, AT_ONCE + MOST_WAITING)) expect(verdict).toEqual(unauthorized);
    for (const verdict of verdicts.slice(AT_ONCE + MOST_WAITING)) expect(verdict).toEqual({ refused: "overloaded", retryAfterMs: 1_000 });
    // It is free again, and those who were sent away have no guess against them.
    const next = ask("key-of-alice", "10.0.0.199");
    await settled();
    held.at(-1)?.end(true);
    expect(await next).toMatchObject({ caller: { subject: "alice" } });
  });

  it("sends those away who have waited too long", async () => {
    const { ask, held, clock } = makeHeld();
    const asked = Array.from({ length: AT_ONCE + 5 }, (_, at) => ask(`wrong-${at}`));
    await settled();
    clock.pass(10_001);
    held[0]?.end(false);
    await settled();
    for (const verdict of await Promise.all(asked.slice(AT_ONCE))) expect(verdict).toMatchObject({ refused: "overloaded" });
    expect(held).toHaveLength(AT_ONCE);
    for (const { end } of held) end(false);
    for (const verdict of await Promise.all(asked.slice(0, AT_ONCE))) expect(verdict).toEqual(unauthorized);
  });

  it("leaves the event loop free while 200 wrong keys come in", { timeout: 60_000 }, async () => {
    // As `hash-key` makes it: a comparison takes milliseconds, of another thread.
    const authenticator = createAuthenticator({
      mode: "StaticKeys",
      keys: [{ subject: "alice", key_hash: await hash("key-of-alice"), scopes: ["read"] }],
      // The clock stands still, so that nobody has waited too long on a slow machine.
      now: () => 0,
      log: quiet,
    });
    let isOver = false;
    let timers = 0;
    const tick = () => {
      timers++;
      if (!isOver) setTimeout(tick, 0);
    };
    setTimeout(tick, 0);
    const verdicts = await Promise.all(Array.from({ length: 200 }, async (_, at) => authenticator.authenticate(`Bearer wrong-${at}`, `10.0.0.${at}`)));
    isOver = true;
    const checked = verdicts.filter((verdict) => "refused" in verdict && verdict.refused === "unauthorized").length;
    expect(checked).toBe(AT_ONCE + MOST_WAITING);
    // Comparisons on this thread would let no timer in between: one or two at most. Where the processors are
    // busy with other things, there is one for each round of comparisons, or somewhat fewer.
    expect(timers).toBeGreaterThan(checked / AT_ONCE / 2);
  });
});
