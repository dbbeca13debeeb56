/** Binds the port. */
import { lookup } from "node:dns/promises";
import { once } from "node:events";
import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import { bracketed } from "./guards/hosts.ts";
import type { HttpSettings } from "./settings.ts";

/** The listener cannot be opened. The message is one line for stderr. */
export class ListenError extends Error {
  override name = "ListenError";
}

/** Resolves with the URL, and with a server for each address that is listened on. Rejects with `ListenError`. */
export async function listen(newServer: () => Server, { host, port }: Pick<HttpSettings, "host" | "port">): Promise<{ url: string; servers: Server[] }> {
  try {
    const bound = await bind(newServer, await addressesOf(host), port);
    return { url: `http://${bracketed(host)}:${bound.port}`, servers: bound.servers };
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const why = bindFaults[code ?? ""] ?? `cannot listen (${code ?? "unknown reason"})`;
    throw new ListenError(`the HTTP listener cannot be opened on ${bracketed(host)}:${port}: ${why}`);
  }
}

/** How often a free port is looked for that has to be free on several addresses. */
const MOST_TRIES = 10;

/** All on one port. Rejects with the error of the system, and then nothing is listened on. */
async function bind(newServer: () => Server, addresses: readonly string[], port: number, triesLeft = MOST_TRIES): Promise<{ servers: Server[]; port: number }> {
  const servers: Server[] = [];
  let bound = port;
  let absent: unknown;
  try {
    for (const address of addresses) {
      const server = newServer();
      try {
        await once(server.listen({ host: address, port: bound }), "listening");
      } catch (error) {
        // A machine may know the name in a protocol that it does not have.
        if (!isAbsent(error)) throw error;
        absent = error;
        continue;
      }
      servers.push(server);
      bound = (server.address() as AddressInfo).port;
    }
    if (servers.length === 0) throw absent;
    return { servers, port: bound };
  } catch (error) {
    for (const server of servers) {
      server.close();
      server.closeAllConnections();
    }
    // What the system has chosen for the first address may be taken on the second.
    const isUnlucky = port === 0 && servers.length > 0 && (error as NodeJS.ErrnoException).code === "EADDRINUSE";
    if (isUnlucky && triesLeft > 1) return bind(newServer, addresses, port, triesLeft - 1);
    throw error;
  }
}

/** `localhost` is all that it leads to: a client may take any of them, and must not find somebody else there. */
async function addressesOf(host: string): Promise<string[]> {
  if (host.toLowerCase() !== "localhost") return [host];
  const found = await lookup(host, { all: true });
  return [...new Set(found.map(({ address }) => address))];
}

function isAbsent(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException;
  return code === "EADDRNOTAVAIL" || code === "EAFNOSUPPORT";
}

const bindFaults: Record<string, string> = {
  EADDRINUSE: "the port is taken",
  EACCES: "no permission for this port",
  EADDRNOTAVAIL: "this machine has no such address",
  EAFNOSUPPORT: "this machine has no such address",
  ENOTFOUND: "the name of the host cannot be resolved",
  EAI_AGAIN: "the name of the host cannot be resolved",
};
