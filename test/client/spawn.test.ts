import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { SidecarError, spawn } from "../../src/client/index.ts";
import { fake, fakeProgram, real, temporaryFolder } from "./sidecars.ts";

describe("spawn", () => {
  it("runs the sidecar of this package when it is told nothing else", async () => {
    const sidecar = await real();
    expect(await sidecar.info()).toMatchObject({ name: "steerable-sidecar", protocolVersion: "0.1.0", pid: sidecar.pid });
  });

  it("is ready by the notification alone", async () => {
    const sidecar = await real({ args: ["--quiet-ready"] });
    expect((await sidecar.ping()).status).toBe("ok");
  });

  it("is ready by the marker alone", async () => {
    const sidecar = await fake(`marker(); on = ({ id }) => send({ id, result: { status: "ok" } })`);
    expect((await sidecar.ping()).status).toBe("ok");
  });

  it("turns options into flags", async () => {
    const folder = temporaryFolder();
    const storagePath = join(folder, "sessions.db");
    const sidecar = await real({ storagePath, logLevel: "ERROR", cwd: folder });
    expect(await sidecar.config.get()).toMatchObject({ logLevel: "ERROR", storagePath });
  });

  it("adds to the environment of the host, and takes from it", async () => {
    process.env["CLIENT_TEST_KEPT"] = "kept";
    process.env["CLIENT_TEST_TAKEN"] = "taken";
    const body = `ready(); on = ({ id }) => send({ id, result: { kept: process.env.CLIENT_TEST_KEPT, taken: process.env.CLIENT_TEST_TAKEN ?? null, added: process.env.ADDED } })`;
    const sidecar = await fake(body, { env: { ADDED: "added", CLIENT_TEST_TAKEN: undefined } });
    expect(await sidecar.ping()).toEqual({ kept: "kept", taken: null, added: "added" });
  });

  it("says how a sidecar ended that was never ready, and what it wrote last", async () => {
    const error = await failure(spawn({ args: ["--log-level", "LOUD"] }));
    expect(error).toMatchObject({ name: "SidecarError", kind: "transport_closed", data: { exitCode: 2, signal: null } });
    expect(error.message).toMatch(/exited with code 2 before it was ready; the last it wrote to stderr:\n.*LOUD/s);
  });

  it("keeps secrets out of what it quotes", async () => {
    const error = await failure(spawn(fakeProgram(`console.error("bad key sk-abcdefghijklmnop"); process.exitCode = 1; process.stdin.destroy()`)));
    expect(error.message).toContain("bad key ****");
    expect(error.message).not.toContain("abcdefghijklmnop");
  });

  it("says when the program does not exist", async () => {
    const error = await failure(spawn({ command: join(temporaryFolder(), "nothing-here") }));
    expect(error.kind).toBe("transport_closed");
    expect(error.message).toMatch(/could not be started: spawn .*ENOENT/);
  });

  it("gives up a sidecar that is not ready in time, and ends it", async () => {
    const lines: string[] = [];
    const error = await failure(
      spawn({ ...fakeProgram(`console.error("pid " + process.pid); forever()`), readyTimeoutMs: 500, onLog: (line) => lines.push(line) }),
    );
    expect(error.kind).toBe("timeout");
    expect(error.message).toContain("took longer than 500 ms");
    // A machine that is so slow that not even the line came has nothing to show here.
    const pid = Number(lines[0]?.slice(4));
    if (lines.length > 0) await expect.poll(() => isAlive(pid), { timeout: 10_000 }).toBe(false);
  });

  it("passes on every line of stderr but the marker", async () => {
    const lines: string[] = [];
    const sidecar = await fake(
      `console.error("one"); console.error("two"); marker(); on = ({ id }) => { console.error("three"); send({ id, result: null }) }`,
      { onLog: (line) => lines.push(line) },
    );
    const third = new Promise<string>((resolve) => sidecar.on("log", resolve));
    await sidecar.ping();
    expect(await third).toBe("three");
    expect(lines).toEqual(["one", "two", "three"]);
  });

  it.each([
    ["readyTimeoutMs", { readyTimeoutMs: 0 }],
    ["health.intervalMs", { health: { intervalMs: -1 } }],
    ["health.misses", { health: { misses: Number.NaN } }],
    ["restart.baseDelayMs", { restart: { baseDelayMs: 0 } }],
    ["stop.eofMs", { stop: { eofMs: -5 } }],
  ])("refuses %s out of range", async (name, options) => {
    await expect(spawn(options)).rejects.toThrow(new RegExp(`^${name} must be`));
  });
});

async function failure(start: Promise<unknown>): Promise<SidecarError> {
  const error: unknown = await start.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(SidecarError);
  return error as SidecarError;
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
