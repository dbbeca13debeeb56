/** Binds the port. */
import type { AddressInfo } from "node:net";
import type { FastifyInstance } from "fastify";
import { bracketed } from "./guards/hosts.ts";
import type { HttpSettings } from "./settings.ts";

/** The listener cannot be opened. The message is one line for stderr. */
export class ListenError extends Error {
  override name = "ListenError";
}

/** Resolves with the URL. Rejects with `ListenError`. */
export async function listen(server: FastifyInstance, { host, port }: HttpSettings): Promise<string> {
  try {
    await server.listen({ host, port });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const why = bindFaults[code ?? ""] ?? `cannot listen (${code ?? "unknown reason"})`;
    throw new ListenError(`the HTTP listener cannot be opened on ${bracketed(host)}:${port}: ${why}`);
  }
  return `http://${bracketed(host)}:${(server.server.address() as AddressInfo).port}`;
}

const bindFaults: Record<string, string> = {
  EADDRINUSE: "the port is taken",
  EACCES: "no permission for this port",
  EADDRNOTAVAIL: "this machine has no such address",
  ENOTFOUND: "the name of the host cannot be resolved",
  EAI_AGAIN: "the name of the host cannot be resolved",
};
