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
  const servers: Server[] = [];
  let bound = port;
  let absent: unknown;
  try {
    for (const address of await addressesOf(host)) {
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
  } catch (error) {
    for (const server of servers) server.close();
    const { code } = error as NodeJS.ErrnoException;
    const why = bindFaults[code ?? ""] ?? `cannot listen (${code ?? "unknown reason"})`;
    throw new ListenError(`the HTTP listener cannot be opened on ${bracketed(host)}:${bound}: ${why}`);
  }
  return { url: `http://${bracketed(host)}:${bound}`, servers };
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
