import { once } from "node:events";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { echo, endless, fake, next, real, signal, temporaryFolder } from "./sidecars.ts";

const quick = { baseDelayMs: 10 };

describe("a sidecar that dies", () => {
  it("takes everything pending with it, is started again, and knows its sessions", async () => {
    const sidecar = await real({ storagePath: join(temporaryFolder(), "sessions.db"), restart: quick });
    const { sessionId } = await sidecar.sessions.create();
    await sidecar.stream({ ...echo("remember me"), sessionId }).text();
    const stream = sidecar.stream({ ...endless(), sessionId });
    await stream.streamId;
    const before = sidecar.pid!;
    const [exited, restarting, ready] = [next(sidecar, "exit"), next(sidecar, "restart"), next(sidecar, "ready")];
    // Stopped first, so that the call is certainly pending when it dies.
    signal(before, "SIGSTOP");
    const pending = sidecar.ping();
    signal(before, "SIGKILL");
    await expect(pending).rejects.toMatchObject({ kind: "transport_closed", data: { signal: "SIGKILL" } });
    await expect(stream.done).rejects.toMatchObject({ kind: "transport_closed" });
    expect(await exited).toEqual({ code: null, signal: "SIGKILL", reason: "unexpected", willRestart: true });
    expect(await restarting).toEqual({ attempt: 1, delayMs: 10 });
    expect(await ready).toEqual({ pid: sidecar.pid, attempt: 1 });
    expect(sidecar.pid).not.toBe(before);
    const { messages } = await sidecar.sessions.get(sessionId);
    expect(messages.map((message) => [message.role, message.turnStatus])).toEqual([
      ["user", "completed"],
      ["assistant", "completed"],
      ["user", "interrupted"],
      ...(messages.length > 3 ? [["assistant", "interrupted"]] : []),
    ]);
  });

  it("is waited for by the calls and streams that come while it is away", async () => {
    const sidecar = await real({ restart: { baseDelayMs: 100 } });
    const exited = next(sidecar, "exit");
    signal(sidecar.pid!, "SIGKILL");
    await exited;
    expect(sidecar.pid).toBeUndefined();
    const [health, text] = await Promise.all([sidecar.ping(), sidecar.stream(echo("still there")).text()]);
    expect(health.pid).toBe(sidecar.pid);
    expect(text).toBe("still there");
  });

  it("is not waited for beyond the deadline or the signal of a call", async () => {
    const sidecar = await real({ restart: { baseDelayMs: 60_000 } });
    const exited = next(sidecar, "exit");
    signal(sidecar.pid!, "SIGKILL");
    await exited;
    await expect(sidecar.ping({ timeoutMs: 30 })).rejects.toMatchObject({ kind: "timeout" });
    const controller = new AbortController();
    const call = sidecar.ping({ signal: controller.signal });
    controller.abort();
    await expect(call).rejects.toMatchObject({ kind: "cancelled" });
    const waiting = sidecar.ping();
    expect(await sidecar.stop()).toEqual({ code: null, signal: "SIGKILL", how: "exited" });
    await expect(waiting).rejects.toMatchObject({ kind: "transport_closed", message: "The sidecar was stopped" });
  });

  it("comes back after delays that double up to the cap, until it is given up", async () => {
    // Exits as soon as it is asked anything.
    const sidecar = await fake(`ready(); on = () => process.exit(9)`, { restart: { baseDelayMs: 8, maxDelayMs: 20, maxRestarts: 4 }, health: false });
    const delays: number[] = [];
    sidecar.on("restart", ({ delayMs }) => delays.push(delayMs));
    const exits: boolean[] = [];
    sidecar.on("exit", ({ willRestart }) => exits.push(willRestart));
    for (let life = 0; life < 5; life++) await expect(sidecar.ping()).rejects.toMatchObject({ kind: "transport_closed", data: { exitCode: 9 } });
    await expect.poll(() => exits).toEqual([true, true, true, true, false]);
    expect(delays).toEqual([8, 16, 20, 20]);
    await expect(sidecar.ping()).rejects.toMatchObject({ kind: "transport_closed", data: { exitCode: 9 } });
  });

  it("begins anew with the shortest delay after it was up for a while", async () => {
    const sidecar = await fake(`ready(); on = () => process.exit(9)`, { restart: { baseDelayMs: 8, resetAfterMs: 0 }, health: false });
    const attempts: number[] = [];
    sidecar.on("restart", ({ attempt }) => attempts.push(attempt));
    for (let life = 0; life < 3; life++) await expect(sidecar.ping()).rejects.toMatchObject({ kind: "transport_closed" });
    expect(attempts).toEqual([1, 1, 1]);
  });

  it("stays dead when restarts are off", async () => {
    const sidecar = await real({ restart: false });
    const exited = next(sidecar, "exit");
    signal(sidecar.pid!, "SIGKILL");
    expect(await exited).toMatchObject({ willRestart: false });
    await expect(sidecar.ping()).rejects.toMatchObject({ kind: "transport_closed" });
  });

  it("stays dead when the host itself asked it to shut down", async () => {
    const sidecar = await real({ restart: quick });
    const exited = next(sidecar, "exit");
    await sidecar.call("system.shutdown");
    expect(await exited).toEqual({ code: 0, signal: null, reason: "stopped", willRestart: false });
  });
});

describe("a sidecar that hangs", () => {
  it.skipIf(process.platform === "win32")("is killed after three missed pings and started again", async () => {
    const sidecar = await real({ restart: quick, health: { intervalMs: 100, timeoutMs: 2_000 } });
    const before = sidecar.pid!;
    const [exited, ready] = [next(sidecar, "exit"), next(sidecar, "ready")];
    signal(before, "SIGSTOP");
    expect(await exited).toEqual({ code: null, signal: "SIGKILL", reason: "unresponsive", willRestart: true });
    await ready;
    expect((await sidecar.ping()).pid).not.toBe(before);
  });

  it("lives when it answers one ping in three", async () => {
    const body = `let pings = 0; ready(); on = ({ id, method }) => { if (method !== "system.ping") return; if (++pings % 3 === 0) send({ id, result: {} }); if (pings === 7) send({ method: "saw seven" }) }`;
    const sidecar = await fake(body, { health: { intervalMs: 10, timeoutMs: 2_000, misses: 3 }, restart: false });
    const exited = next(sidecar, "exit").then(() => "exited");
    expect(await Promise.race([exited, next(sidecar, "notification")])).toMatchObject({ method: "saw seven" });
  });

  it("lives when it answers pings with an error", async () => {
    const sidecar = await fake(`ready(); on = ({ id, method }) => { send({ id, error: { code: -32601, message: "no" } }); send({ method: "saw" }) }`, {
      health: { intervalMs: 20, timeoutMs: 20_000, misses: 1 },
      restart: false,
    });
    for (let ping = 0; ping < 5; ping++) await once(sidecar, "notification");
    expect(sidecar.pid).toBeDefined();
    await expect(sidecar.ping()).rejects.toMatchObject({ kind: "method_not_found" });
  });

  it("is taken for dead when it has closed its stdout", async () => {
    const sidecar = await fake(`ready(); on = ({ method }) => { if (method === "system.info") require("node:fs").closeSync(1) }; forever()`, {
      health: { intervalMs: 30, timeoutMs: 10_000, misses: 2 },
      restart: false,
    });
    const exited = next(sidecar, "exit");
    await expect(sidecar.info()).rejects.toMatchObject({ kind: "transport_closed" });
    expect(await exited).toMatchObject({ signal: "SIGKILL", reason: "unresponsive" });
  });
});
