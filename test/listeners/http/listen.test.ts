import { createServer, type Server } from "node:http";
import { type AddressInfo, createServer as createPlain } from "node:net";
import { networkInterfaces } from "node:os";
import { expect, it, onTestFinished, vi } from "vitest";
import { listen } from "../../../src/listeners/http/listen.ts";

// Whatever the machine says.
vi.mock("node:dns/promises", () => ({ lookup: async () => [{ address: "127.0.0.1" }, { address: "::1" }] }));

const hasIpv6 = Object.values(networkInterfaces()).some((addresses) => addresses?.some(({ address }) => address === "::1"));

const portOf = (server: Pick<Server, "address">) => (server.address() as AddressInfo).port;

/** Makes servers; of the first `unlucky` ones, each loses its port on `::1` to somebody else as soon as it listens. */
function makerOf(unlucky: number): { newServer: () => Server; lost: number[]; made: Server[] } {
  const lost: number[] = [];
  const made: Server[] = [];
  const newServer = () => {
    const server = createServer();
    made.push(server);
    server.once("listening", () => {
      if (lost.length >= unlucky) return;
      lost.push(portOf(server));
      const other = createPlain().listen(portOf(server), "::1");
      onTestFinished(() => void other.close());
    });
    onTestFinished(() => void server.close());
    return server;
  };
  return { newServer, lost, made };
}

it.runIf(hasIpv6)("a port of our choice is free on all addresses", async () => {
  const { newServer, lost, made } = makerOf(3);
  const { url, servers } = await listen(newServer, { host: "localhost", port: 0 });
  expect(lost).toHaveLength(3);
  expect(servers.map((server) => (server.address() as AddressInfo).address)).toEqual(["127.0.0.1", "::1"]);
  expect(servers.map(portOf)).toEqual([Number(new URL(url).port), Number(new URL(url).port)]);
  expect(made.filter(({ listening }) => listening)).toEqual(servers);
});

it.runIf(hasIpv6)("a port that is never free on all addresses is given up", async () => {
  const { newServer, lost, made } = makerOf(Number.POSITIVE_INFINITY);
  await expect(listen(newServer, { host: "localhost", port: 0 })).rejects.toThrow("cannot be opened on localhost:0: the port is taken");
  expect(lost).toHaveLength(10);
  expect(made.filter(({ listening }) => listening)).toEqual([]);
});
