import { BlockList, isIP } from "node:net";

/** Variables that name proxies, in either case; lower case wins, as in curl. */
export type ProxyEnvironment = Readonly<Record<string, string | undefined>>;

/**
 * The proxy for an address, as a URL; undefined when it is reached directly.
 *
 * `HTTP_PROXY` serves http and `HTTPS_PROXY` https. `NO_PROXY` lists names (their subdomains
 * included), addresses and CIDR ranges, each with an optional port, or `*`. This machine itself is
 * never reached through a proxy. Throws a TypeError when the variable holds no URL.
 */
export function proxyFor(url: URL, environment: ProxyEnvironment): URL | undefined {
  const variable = url.protocol === "https:" ? "https_proxy" : "http_proxy";
  const proxy = read(environment, variable);
  const host = hostOf(url);
  if (proxy === "" || isLoopback(host) || isExempt(host, portOf(url), read(environment, "no_proxy"))) return undefined;
  // `proxy:3128` without a scheme is common, and would parse as one.
  return new URL(proxy.includes("://") ? proxy : `http://${proxy}`);
}

/** True for this machine: `localhost` and names below it, 127.0.0.0/8, ::1. */
export function isLoopback(host: string): boolean {
  if (host === "localhost" || host.endsWith(".localhost")) return true;
  return contains(loopback, host);
}

const loopback = new BlockList();
loopback.addSubnet("127.0.0.0", 8, "ipv4");
loopback.addAddress("::1", "ipv6");

function isExempt(host: string, port: number, noProxy: string): boolean {
  return noProxy
    .toLowerCase()
    .split(/[\s,]+/)
    .filter((entry) => entry !== "")
    .some((entry) => entry === "*" || covers(entry, host, port));
}

function covers(entry: string, host: string, port: number): boolean {
  const range = /^(.+)\/(\d{1,3})$/.exec(entry);
  if (range !== null) return isInRange(host, range[1] ?? "", Number(range[2]));

  // A bare IPv6 address has colons of its own, so its port needs brackets: `[fd00::1]:8080`.
  const parts = /^(\[.+\]|[^:]+)(?::(\d+))?$/.exec(entry);
  const name = unbracket(parts?.[1] ?? entry).replace(/^\*?\./, "");
  if (parts?.[2] !== undefined && Number(parts[2]) !== port) return false;
  return host === name || (isIP(host) === 0 && host.endsWith(`.${name}`));
}

function isInRange(host: string, network: string, prefix: number): boolean {
  const family = isIP(network);
  if (family === 0 || prefix > (family === 4 ? 32 : 128)) return false;
  const range = new BlockList();
  range.addSubnet(network, prefix, family === 4 ? "ipv4" : "ipv6");
  return contains(range, host);
}

function contains(list: BlockList, host: string): boolean {
  const family = isIP(host);
  return family !== 0 && list.check(host, family === 4 ? "ipv4" : "ipv6");
}

function read(environment: ProxyEnvironment, name: string): string {
  return (environment[name] ?? environment[name.toUpperCase()] ?? "").trim();
}

function hostOf(url: URL): string {
  return unbracket(url.hostname.toLowerCase()).replace(/\.$/, "");
}

function portOf(url: URL): number {
  if (url.port !== "") return Number(url.port);
  return url.protocol === "https:" ? 443 : 80;
}

function unbracket(host: string): string {
  return host.replace(/^\[(.*)\]$/, "$1");
}
