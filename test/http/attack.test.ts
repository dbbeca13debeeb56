import { spawn } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { hash } from "@node-rs/argon2";
import { describe, expect, it, onTestFinished } from "vitest";
import { spawnHttp } from "../support/http.ts";
import { keyOf } from "../support/keys.ts";
import { temporaryFolder } from "../support/sidecar.ts";

const GUESSES = 1000;

/**
 * Sends 200 wrong keys a second for five seconds, each tenth of a second from other addresses where there are some, and prints how
 * often each status came. A process of its own, so that the test has time to measure.
 */
const guesser = `
  const { request } = require("node:http");
  const seen = {};
  let made = 0;
  const guess = () => {
    made++;
    const from = process.platform === "linux" ? { localAddress: "127.0.1." + (1 + (made % 100)) } : {};
    const note = (status) => { seen[status] = (seen[status] ?? 0) + 1; };
    request(process.argv[1] + "/v1/info", { agent: false, headers: { authorization: "Bearer a-wrong-key-" + made }, ...from }, (response) => {
      note(response.statusCode);
      response.resume();
    }).on("error", () => note("error")).end();
  };
  const timer = setInterval(() => {
    for (let i = 0; i < 2 && made < ${GUESSES}; i++) guess();
    if (made >= ${GUESSES}) clearInterval(timer);
  }, 10);
  process.on("exit", () => console.log(JSON.stringify(seen)));
`;

describe("keys under attack", { timeout: 90_000 }, () => {
  it("200 wrong keys a second from many addresses hold up neither the host nor those who know a key", async () => {
    // As hash-key makes them: what a check costs is the point.
    const key_hash = await hash(keyOf("ann"), { algorithm: 2, memoryCost: 19_456, timeCost: 2, parallelism: 1 });
    const file = join(temporaryFolder(), "config.yaml");
    writeFileSync(file, JSON.stringify({ api: { auth: { keys: [{ subject: "ann", key_hash, scopes: ["read"] }] } } }));
    const { url, call, sidecar } = await spawnHttp({ args: ["--config", file, "--rate-limit", "0"] });
    // Known from here on.
    expect((await call("GET", "/v1/info", { key: keyOf("ann") })).status).toBe(200);

    const child = spawn(process.execPath, ["-e", guesser, url], { stdio: ["ignore", "pipe", "inherit"] });
    onTestFinished(() => void child.kill("SIGKILL"));
    let printed = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      printed += text;
    });
    const ended = once(child, "close");
    const pings: number[] = [];
    const known = new Set<number>();
    while (child.exitCode === null) {
      const from = performance.now();
      expect((await sidecar.request("system.ping")).error).toBeUndefined();
      pings.push(performance.now() - from);
      if (pings.length % 10 === 0) known.add((await call("GET", "/v1/info", { key: keyOf("ann") })).status);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    await ended;
    const seen = JSON.parse(printed) as Record<string, number>;
    expect(Object.values(seen).reduce((sum, count) => sum + count, 0)).toBe(GUESSES);
    expect(Object.keys(seen).filter((status) => !["401", "429", "503"].includes(status))).toEqual([]);
    expect([...known]).toEqual([200]);
    // The goal is 100 ms for 99 of 100; a machine that does other things as well takes longer, and now and then stands still.
    // Were the keys checked on the thread that answers, there would be few answers, and nearly all of them late.
    const p90 = pings.toSorted((a, b) => a - b)[Math.floor(pings.length * 0.9)];
    expect(p90).toBeLessThan(1_000);
  });
});
