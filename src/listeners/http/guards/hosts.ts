import { isIPv4, isIPv6 } from "node:net";

/** A host in one spelling: lower case, without the dot of the root, an IPv6 address in brackets and in its short form. */
export interface ParsedHost {
  name: string;
  /** Digits without leading zeros; empty where there is none. */
  port: string;
}

/** Reads `name`, `name:port`, `1.2.3.4:port`, `[::1]:port`. Undefined for everything else, user info, lists and blanks included. */
export function parseHost(text: string): ParsedHost | undefined {
  const [, host, digits = ""] = /^(\[[0-9a-f:.]{2,45}\]|[a-z0-9_.-]{1,254})(?::(\d{0,5}))?$/.exec(text.toLowerCase()) ?? [];
  const name = host === undefined ? undefined : normalName(host);
  if (name === undefined || Number(digits) > 65_535) return undefined;
  return { name, port: digits === "" ? "" : String(Number(digits)) };
}

/** A host as it stands in a URL: in a configuration an IPv6 address may stand without its brackets. */
export function bracketed(host: string): string {
  return /^[^[\]]*:[^[\]]*:/.test(host) ? `[${host}]` : host;
}

/** 127.0.0.0/8, `::1` and `localhost`, in the spelling of `parseHost`. */
export function isLoopback(name: string): boolean {
  return name === "localhost" || name === "[::1]" || (isIPv4(name) && name.startsWith("127."));
}

/** Whether only this machine reaches what listens on this host. A name other than `localhost` may come to mean anything. */
export function listensOnLoopback(host: string): boolean {
  const parsed = parseHost(bracketed(host.replace(/%.*$/, "")));
  return parsed !== undefined && isLoopback(parsed.name);
}

function normalName(host: string): string | undefined {
  if (!host.startsWith("[")) {
    // `localhost.` is the same name, written to its end.
    const name = host.endsWith(".") ? host.slice(0, -1) : host;
    return name === "" || name.startsWith(".") || host.includes("..") ? undefined : name;
  }
  if (!isIPv6(host.slice(1, -1))) return undefined;
  const name = new URL(`http://${host}`).hostname;
  // An IPv4 address that is written as IPv6 is that address: what listens on both sees it so.
  const [, high, low] = /^\[::ffff:([0-9a-f]{1,4}):([0-9a-f]{1,4})\]$/.exec(name) ?? [];
  if (high === undefined || low === undefined) return name;
  const bits = (Number.parseInt(high, 16) << 16) | Number.parseInt(low, 16);
  return [24, 16, 8, 0].map((shift) => (bits >>> shift) & 0xff).join(".");
}
