import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { fake, next, real, signal, temporaryFolder } from "./sidecars.ts";

const deadlines = { shutdownMs: 200, eofMs: 200, sigtermMs: 200 };
const refuses = `on = ({ id }) => send({ id, error: { code: -32601, message: "no" } });`;

describe("stop", () => {
  it("ends a real sidecar by asking it", async () => {
    const sidecar = await real();
    const exited = next(sidecar, "exit");
    expect(await sidecar.stop()).toEqual({ code: 0, signal: null, how: "shutdown" });
    expect(await exited).toEqual({ code: 0, signal: null, reason: "stopped", willRestart: false });
    await expect(sidecar.ping()).rejects.toMatchObject({ kind: "transport_closed", message: "The sidecar was stopped" });
    await expect(sidecar.stream({ provider: "echo", messages: [{ role: "user", content: "hi" }] }).text()).rejects.toMatchObject({ kind: "transport_closed" });
  });

  it("gives everybody the same end", async () => {
    const sidecar = await real();
    const [first, second] = await Promise.all([sidecar.stop(), sidecar.stop()]);
    expect(second).toBe(first);
    expect(await sidecar.stop()).toBe(first);
  });

  it("closes stdin when the request is refused, without waiting for its deadline", async () => {
    const sidecar = await fake(`${refuses} process.stdin.on("end", () => process.exit(4)); ready()`, {
      stop: { ...deadlines, shutdownMs: 600_000, eofMs: 20_000 },
    });
    expect(await sidecar.stop()).toEqual({ code: 4, signal: null, how: "eof" });
  });

  it("sends SIGTERM when the end of stdin does not help", async () => {
    const sidecar = await fake(`${refuses} forever(); ready()`, { stop: { ...deadlines, sigtermMs: 20_000 } });
    expect(await sidecar.stop()).toEqual({ code: null, signal: "SIGTERM", how: "sigterm" });
  });

  it("kills what ignores everything", async () => {
    const sidecar = await fake(`process.on("SIGTERM", () => {}); forever(); ready()`, { stop: deadlines });
    const pending = sidecar.ping();
    const refused = expect(pending).rejects.toMatchObject({ kind: "transport_closed" });
    expect(await sidecar.stop()).toEqual({ code: null, signal: "SIGKILL", how: "sigkill" });
    await refused;
  });

  it.skipIf(process.platform === "win32")("ends a sidecar that does not even run", async () => {
    const sidecar = await real({ stop: deadlines });
    signal(sidecar.pid!, "SIGSTOP");
    expect(await sidecar.stop()).toEqual({ code: null, signal: "SIGKILL", how: "sigkill" });
  });

  it("does not wait for a process of the sidecar's own that holds its pipes", async () => {
    const body = `const { spawn } = require("node:child_process"); const kept = spawn(process.execPath, ["-e", "setInterval(() => {}, 1000)"], { stdio: "inherit", detached: true });
      on = ({ id, method }) => { send({ id, result: kept.pid }); if (method === "system.shutdown") process.exit(0) }; ready()`;
    const sidecar = await fake(body);
    const pid = (await sidecar.ping()) as unknown as number;
    try {
      expect(await sidecar.stop()).toEqual({ code: 0, signal: null, how: "shutdown" });
      expect(signal(pid, 0)).toBe(true);
    } finally {
      signal(pid, "SIGKILL");
    }
  });

  it("ends a sidecar that is being restarted", async () => {
    const sidecar = await fake(
      `const fs = require("node:fs"); if (fs.existsSync(process.env.MARK)) forever(); else { fs.writeFileSync(process.env.MARK, ""); ready() } on = () => process.exit(5)`,
      {
        env: { MARK: join(temporaryFolder(), "started-once") },
        restart: { baseDelayMs: 1 },
        stop: deadlines,
        health: false,
      },
    );
    await expect(sidecar.ping()).rejects.toMatchObject({ kind: "transport_closed" });
    const waiting = sidecar.ping();
    const refused = expect(waiting).rejects.toMatchObject({ message: "The sidecar was stopped" });
    await expect.poll(() => sidecar.pid).toBeDefined();
    await sidecar.stop();
    await refused;
    expect(sidecar.pid).toBeUndefined();
  });

  it("is what the end of an `await using` block does", async () => {
    const sidecar = await real();
    const pid = sidecar.pid!;
    await sidecar[Symbol.asyncDispose]();
    expect(signal(pid, 0)).toBe(false);
  });
});
