import { writeFileSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { networkInterfaces } from "node:os";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { spawnHttp } from "../support/http.ts";
import { RawConnection } from "../support/raw.ts";
import { spawnSidecar, temporaryFolder } from "../support/sidecar.ts";

/** A port of the loopback that somebody else listens on. */
async function takenPort(host = "127.0.0.1"): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, host, resolve));
  onTestFinished(() => void server.close());
  return (server.address() as AddressInfo).port;
}

/** What a sidecar leaves on stderr that cannot listen. It must say nothing on stdout. */
async function failure(args: readonly string[], nodeArgs: string[] = []): Promise<string> {
  const sidecar = spawnSidecar({ args: ["--storage-path", ":memory:", ...args], nodeArgs });
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

const hasIpv6 = Object.values(networkInterfaces()).some((addresses) => addresses?.some(({ address }) => address === "::1"));

/** Arguments for Node with which `localhost` is these addresses, whatever the machine says. */
function localhostIs(...addresses: string[]): string[] {
  const file = join(temporaryFolder(), "localhost.cjs");
  const found = JSON.stringify(addresses.map((address) => ({ address, family: address.includes(":") ? 6 : 4 })));
  writeFileSync(file, `require("node:dns/promises").lookup = async () => ${found};`);
  return ["--require", file];
}

describe("localhost", { timeout: 60_000 }, () => {
  it.runIf(hasIpv6)("is both addresses that it may be, which behave the same in every way", async () => {
    // Some machines name an address twice.
    const { url, sidecar } = await spawnHttp({ args: ["--http", "localhost:0"], nodeArgs: localhostIs("127.0.0.1", "::1", "127.0.0.1") });
    const { port } = new URL(url);
    expect(url).toBe(`http://localhost:${port}`);
    const requests = {
      "no HTTP": "nonsense\r\n\r\n",
      "no host": "GET /health HTTP/1.1\r\nConnection: close\r\n\r\n",
      "an expectation": "GET /health HTTP/1.1\r\nHost: localhost\r\nExpect: more\r\nConnection: close\r\n\r\n",
    };
    const answers: string[][] = [];
    for (const host of ["127.0.0.1", "[::1]"]) {
      const told = Object.values(requests).map(async (request) => {
        const connection = new RawConnection(`http://${host}:${port}`);
        await connection.write(request);
        await connection.closed;
        expect(connection.text).toMatch(/^x-request-id: \S+\r$/im);
        return connection.text.replace(/[-\da-f]{36}/g, "an id").replace(/^date: .*$/im, "a date");
      });
      answers.push(await Promise.all(told));
    }
    expect(answers[0]?.map((text) => text.slice(0, 12))).toEqual(["HTTP/1.1 400", "HTTP/1.1 400", "HTTP/1.1 200"]);
    expect(answers[1]).toEqual(answers[0]);
    sidecar.child.kill("SIGTERM");
    expect(await sidecar.exit).toEqual({ code: 0, signal: null });
  });

  it.runIf(hasIpv6)("is not opened by half: nobody else may answer under the same name", async () => {
    const port = await takenPort("::1");
    const said = await failure(["--http", `localhost:${port}`], localhostIs("127.0.0.1", "::1"));
    expect(said).toBe(`steerable-sidecar: the HTTP listener cannot be opened on localhost:${port}: the port is taken\n`);
  });

  it("is what the machine has of it", async () => {
    const { call } = await spawnHttp({ args: ["--http", "localhost:0"], nodeArgs: localhostIs("192.0.2.1", "127.0.0.1") });
    expect((await call("GET", "/health")).status).toBe(200);
  });
});
