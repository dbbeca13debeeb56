import { hash } from "@node-rs/argon2";
import { describe, expect, it } from "vitest";
import { HOST } from "../../../../src/contract/caller.ts";
import { createAuthenticator } from "../../../../src/listeners/http/guards/keys.ts";
import { createLog } from "../../../../src/log.ts";
import { CHALLENGE, cheap, makeAuthenticator, makeHeld, settled, unauthorized, useUp } from "./authenticator.ts";
import { quiet } from "./setup.ts";

describe("a key", () => {
  it("is known by its argon2id hash, and gives its subject what its entry says", async () => {
    const [alice, bob] = await Promise.all([hash("key-of-alice", cheap), hash("key-of-bob", cheap)]);
    const authenticator = createAuthenticator({
      mode: "StaticKeys",
      keys: [
        { subject: "alice", key_hash: alice, scopes: ["read", "write"] },
        { subject: "bob", key_hash: bob, scopes: ["*"] },
      ],
      now: () => 0,
      log: quiet,
    });
    const ask = async (key: string) => authenticator.authenticate(`bearer ${key}`, "127.0.0.1");
    expect(await ask("key-of-alice")).toEqual({ caller: { subject: "alice", scopes: new Set(["read", "write"]) } });
    expect(await ask("key-of-bob")).toEqual({ caller: { subject: "bob", scopes: new Set(["read", "write", "admin"]) } });
    expect(await ask("key-of-carol")).toEqual(unauthorized);
  });

  it("is asked for where there is none, or no key in the header, without a check and without a count", async () => {
    const { authenticator, ask, compared } = makeAuthenticator();
    for (let at = 0; at < 50; at++) {
      for (const header of [undefined, "", "Basic dTpw", "Bearer", "Bearer  key-of-alice", `Bearer ${"k".repeat(5_000)}`]) {
        expect(authenticator.authenticate(header, "127.0.0.1")).toEqual({ refused: "unauthorized", challenge: CHALLENGE });
      }
    }
    expect(compared).toEqual([]);
    expect(await ask("key-of-alice")).toMatchObject({ caller: { subject: "alice" } });
  });

  it("is compared with every hash, wherever the one that fits stands", async () => {
    for (const [key, times] of [
      ["key-of-a", 3],
      ["key-of-c", 3],
      ["wrong", 3],
    ] as const) {
      const { ask, compared } = makeAuthenticator({ keys: ["a", "b", "c"] });
      await ask(key);
      expect(compared).toHaveLength(times);
    }
  });

  it("is checked once for five minutes after its last use", async () => {
    const { authenticator, ask, clock, compared } = makeAuthenticator();
    await ask("key-of-alice");
    for (let at = 0; at < 3; at++) {
      clock.pass(299_999);
      // At once, not by a promise.
      expect(authenticator.authenticate("Bearer key-of-alice", "10.0.0.1")).toMatchObject({ caller: { subject: "alice" } });
    }
    expect(compared).toHaveLength(1);
    clock.pass(300_000);
    expect(await ask("key-of-alice")).toMatchObject({ caller: { subject: "alice" } });
    expect(compared).toHaveLength(2);
  });

  it("is checked once for all requests that bring it at the same time, and none of them counts as a guess", async () => {
    const { ask, held } = makeHeld();
    const asked = Array.from({ length: 100 }, () => ask("key-of-alice"));
    await settled();
    expect(held).toHaveLength(1);
    held[0]?.end(true);
    for (const verdict of await Promise.all(asked)) expect(verdict).toMatchObject({ caller: { subject: "alice" } });
    // None of the hundred counts.
    const wrong = Array.from({ length: 20 }, async (_, at) => ask(`wrong-${at}`));
    await settled();
    for (let at = 1; at <= 20; at++) {
      held[at]?.end(false);
      await settled();
    }
    for (const verdict of await Promise.all(wrong)) expect(verdict).toEqual(unauthorized);
  });

  it("that is wrong is checked once a minute, however often it comes", async () => {
    const { ask, clock, compared } = makeAuthenticator();
    for (let at = 0; at < 200; at++) await ask("wrong", `10.0.0.${at}`);
    expect(compared).toEqual(["wrong"]);
    clock.pass(60_000);
    await ask("wrong", "10.0.1.1");
    expect(compared).toEqual(["wrong", "wrong"]);
  });

  it("that is wrong counts for each request that waits for the same check", async () => {
    const { ask, held } = makeHeld();
    const asked = Array.from({ length: 30 }, () => ask("wrong"));
    await settled();
    held[0]?.end(false);
    const verdicts = await Promise.all(asked);
    expect(verdicts.filter((verdict) => "refused" in verdict && verdict.refused === "unauthorized")).toHaveLength(20);
    expect(verdicts.filter((verdict) => "refused" in verdict && verdict.refused === "rate_limited")).toHaveLength(10);
  });

  it("lets nobody in when its hash cannot be read, which is logged once, and leaves the others alone", async () => {
    const lines: string[] = [];
    const log = createLog({ level: "INFO", write: (line) => lines.push(line) });
    const authenticator = createAuthenticator({
      mode: "StaticKeys",
      keys: [
        { subject: "broken", key_hash: "$argon2id$v=19$m=8", scopes: ["*"] },
        { subject: "bob", key_hash: await hash("key-of-bob", cheap), scopes: ["read"] },
      ],
      now: () => 0,
      log,
    });
    expect(await authenticator.authenticate("Bearer wrong", "127.0.0.1")).toEqual(unauthorized);
    expect(await authenticator.authenticate("Bearer key-of-bob", "127.0.0.1")).toMatchObject({ caller: { subject: "bob" } });
    await log.flush();
    expect(lines).toHaveLength(1);
    expect(JSON.parse(lines[0] ?? "")).toMatchObject({ level: "ERROR", key: "broken" });
  });

  it("is not needed where keys are off", () => {
    const { authenticator } = makeAuthenticator({ mode: "Disabled" });
    for (const header of [undefined, "Bearer wrong", "nonsense"]) {
      expect(authenticator.authenticate(header, "127.0.0.1")).toEqual({ caller: { subject: "anonymous", scopes: new Set(["read", "write", "admin"]) } });
    }
  });
});

describe("the token", () => {
  it("stands for the host, at once, beside the keys", async () => {
    const { authenticator, ask, compared } = makeAuthenticator({ token: "the-token" });
    expect(authenticator.authenticate("Bearer the-token", "127.0.0.1")).toEqual({ caller: HOST });
    expect(compared).toEqual([]);
    expect(await ask("key-of-alice")).toMatchObject({ caller: { subject: "alice" } });
    for (const wrong of ["the-toke", "the-token2", "The-token"]) expect(await ask(wrong)).toEqual(unauthorized);
  });

  it("alone needs no argon2 to know what is wrong, and passes where guesses no longer do", async () => {
    const { authenticator, ask, compared } = makeAuthenticator({ keys: [], token: "the-token" });
    await useUp(ask);
    expect(await ask("wrong")).toEqual({ refused: "rate_limited", retryAfterMs: 60_000 });
    expect(compared).toEqual([]);
    expect(authenticator.authenticate("Bearer the-token", "127.0.0.1")).toEqual({ caller: HOST });
  });
});
