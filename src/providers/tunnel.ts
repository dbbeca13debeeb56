/** The parts of undici for proxies, loaded when one is configured. */

import type { Dispatcher } from "undici";
import connect from "undici/lib/api/api-connect.js";
import Pool from "undici/lib/dispatcher/pool.js";

export { default as ProxyAgent } from "undici/lib/dispatcher/proxy-agent.js";

/** Connections to a proxy, on which it is asked for tunnels. */
export function tunnelPool(proxy: URL, options: object, connectTimeoutMs: number): Dispatcher {
  // A proxy that never answers CONNECT would hold its connection for five minutes.
  const pool = new Pool(proxy, { ...options, headersTimeout: connectTimeoutMs });
  return Object.assign(pool, {
    // The package's index hangs this method onto its classes; imported by file, they come without it.
    connect: async (request: Dispatcher.ConnectOptions) => {
      try {
        return await connect.call(pool, request);
      } catch (error) {
        // undici takes its own code for a closed socket as a reason to connect again, at once and for ever.
        throw new Error("The proxy did not open a tunnel", { cause: error });
      }
    },
  });
}
