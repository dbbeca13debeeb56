import { createServer, type AddressInfo } from "node:net";
import { describe, expect, it, onTestFinished } from "vitest";
import { spawnSidecar } from "../support/sidecar.ts";

/** A port of 127.0.0.1 that somebody else listens on. */
async function takenPort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => void server.close());
  return (server.address() as AddressInfo).port;
}

/** What a sidecar leaves on stderr that cannot listen. It must say nothing on stdout. */
async function failure(args: readonly string[]): Promise<string> {
  const sidecar = spawnSidecar({ args: ["--storage-path", ":memory:", ...args] });
  expect(await sidecar.exit).toEqual({ code: 1, signal: null });
  expect(sidecar.lines).toEqual([]);
  return sidecar.stderr;
}

describe("a listener that cannot be opened", { timeout: 60_000 }, () => {
  it("says in one line that the port is taken, and ends with 1", async () => {
    const port = await takenPort();
    const line = `steerable-sidecar: the HTTP listener cannot be opened on 127.0.0.1:${port}: the port is taken\n`;
    expect(await failure(["--http", String(port)])).toBe(line);
    expect(await failure(["--http", String(port), "--http-only"])).toBe(line);
    expect(await failure(["--port", String(port), "--host", "127.0.0.1", "--log-level", "ERROR"])).toBe(line);
  });

  it("says that the address is none of this machine", async () => {
    expect(await failure(["--http", "192.0.2.1:8900", "--auth-token", "a-token-for-the-net"])).toBe(
      "steerable-sidecar: the HTTP listener cannot be opened on 192.0.2.1:8900: this machine has no such address\n",
    );
  });

  it("says that the name cannot be resolved", async () => {
    const said = await failure(["--http", "no-such-host.invalid:8900", "--auth-token", "a-token-for-the-net"]);
    expect(said).toBe("steerable-sidecar: the HTTP listener cannot be opened on no-such-host.invalid:8900: the name of the host cannot be resolved\n");
  });
});
