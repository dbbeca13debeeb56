import type { Dispatcher } from "undici";
import Agent from "undici/lib/dispatcher/agent.js";
import { compileParser } from "./parser.ts";

/**
 * The pooled connections for a way to the model server: directly or through `proxy`.
 *
 * undici's own header and body timeouts are off: they count comments and pings as a sign of life.
 * TLS is verified, because no option says otherwise.
 */
export async function connectionsVia(proxy: URL | undefined, connectTimeoutMs: number): Promise<Dispatcher> {
  const key = `${connectTimeoutMs} ${proxy?.href ?? "direct"}`;
  const pooled = pools.get(key);
  if (pooled !== undefined) return pooled;

  compileParser();
  const made = proxy === undefined ? new Agent(options(connectTimeoutMs)) : await openProxy(proxy, connectTimeoutMs);
  // A second caller may have made the same pool while the proxy's module was loading.
  const first = pools.get(key) ?? made;
  pools.set(key, first);
  return first;
}

const pools = new Map<string, Dispatcher>();

async function openProxy(proxy: URL, connectTimeoutMs: number): Promise<Dispatcher> {
  const { ProxyAgent, tunnelPool } = await import("./tunnel.ts");
  const tls = { timeout: connectTimeoutMs };
  return new ProxyAgent({
    ...options(connectTimeoutMs),
    uri: proxy.href,
    // Plain http is forwarded, not tunnelled: many proxies allow CONNECT to port 443 only.
    proxyTunnel: false,
    requestTls: tls,
    proxyTls: tls,
    clientFactory: (origin, clientOptions) => tunnelPool(origin, clientOptions, connectTimeoutMs),
  });
}

function options(connectTimeoutMs: number) {
  return { headersTimeout: 0, bodyTimeout: 0, connect: { timeout: connectTimeoutMs } };
}
