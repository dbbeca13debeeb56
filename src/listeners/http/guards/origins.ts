/** Keeps pages of other sites from talking to us through the browser of somebody who runs a sidecar. */
import { SettingsError } from "../settings.ts";
import { bracketed, isLoopback, parseHost } from "./hosts.ts";

export interface OriginGuardOptions {
  /** The address that is listened on, as `127.0.0.1`, `::1` or `0.0.0.0`, or the name that was given for it. */
  boundHost: string;
  /** Further names that requests may be addressed to; a port among them means nothing. */
  allowedHosts: readonly string[];
  /** Origins of pages that may ask, as `https://app.example`; `*` for all. */
  allowedOrigins: readonly string[];
}

export interface RequestNames {
  /** The header; a list where there may be several of it (`request.raw.headersDistinct.host`). */
  host: string | readonly string[] | undefined;
  origin: string | undefined;
}

export interface OriginGuard {
  /** Undefined when the request may go on. */
  check(names: RequestNames): undefined | "forbidden_host" | "forbidden_origin";
  /** Whether pages of this origin may read answers (CORS). */
  isListed(origin: string): boolean;
}

/**
 * Throws a `SettingsError` that names the entry when `allowedHosts` or `allowedOrigins` holds something that no
 * request could have.
 *
 * **Host.** A page may have its own name resolve to 127.0.0.1 (DNS rebinding), and then the browser takes us
 * for the server of that page. What gives it away is the name in `Host`. Where we listen on the loopback, it has to
 * be one of the loopback's or one that was allowed; the port may be any, because a tunnel or a proxy has
 * its own. An address that others reach has names that we cannot know, and a key that such a page does not
 * have: there any name will do, unless `allowedHosts` lists some. (Where keys are off, that list is all there
 * is against such pages.) Where names are checked, a request without
 * one (HTTP/1.0) is refused as well: a proxy in front may have dropped it. One that is no name, or more than
 * one, is refused everywhere.
 *
 * **Origin.** Programs send none. A browser does, and then it is ours, the same as `Host`, or has to be listed.
 * `null`, which every sandboxed frame and file has, is refused: in the list it would mean everybody. Only `*` lets it in.
 */
export function createOriginGuard({ boundHost, allowedHosts, allowedOrigins }: OriginGuardOptions): OriginGuard {
  const bound = parseHost(bracketed(boundHost))?.name;
  const hosts = new Set(allowedHosts.map(hostEntry));
  const checksHost = hosts.size > 0 || bound === undefined || isLoopback(bound);
  const listsAll = allowedOrigins.includes("*");
  const origins = new Set(allowedOrigins.filter((entry) => entry !== "*").map(originEntry));
  const isListed = (origin: string) => listsAll || origins.has(normalOrigin(origin) ?? "");

  return {
    check({ host, origin }) {
      const given = typeof host === "object" ? host : host === undefined ? [] : [host];
      const asked = given[0] === undefined ? undefined : parseHost(given[0]);
      if (given.length > 1 || (given.length === 1 && asked === undefined)) return "forbidden_host";
      if (checksHost && (asked === undefined || !(isLoopback(asked.name) || asked.name === bound || hosts.has(asked.name)))) return "forbidden_host";
      if (origin === undefined || isListed(origin)) return undefined;
      return asked !== undefined && isSame(origin, asked) ? undefined : "forbidden_origin";
    },
    isListed,
  };
}

/** Whether a page of this origin was served under the name that the request is addressed to. */
function isSame(origin: string, host: { name: string; port: string }): boolean {
  const normal = normalOrigin(origin);
  const [, scheme, authority] = /^(https?):\/\/(.+)$/.exec(normal ?? "") ?? [];
  const own = authority === undefined ? undefined : parseHost(authority);
  if (own === undefined || own.name !== host.name) return false;
  const usual = scheme === "https" ? "443" : "80";
  // A browser leaves the usual port out; a proxy may write it.
  return (own.port || usual) === (host.port || usual);
}

/**
 * `scheme://host[:port]` in lower case, without the port that is usual for it; undefined when it is something
 * else. Schemes of apps (`tauri://localhost`, `chrome-extension://…`) are taken as well.
 */
function normalOrigin(origin: string): string | undefined {
  const [, scheme, authority] = /^([a-z][a-z0-9+.-]*):\/\/([^\s/?#@,\\*]+)$/.exec(origin.toLowerCase()) ?? [];
  if (scheme === undefined || authority === undefined) return undefined;
  if (scheme !== "http" && scheme !== "https") return `${scheme}://${authority}`;
  const host = parseHost(authority);
  if (host === undefined) return undefined;
  const isUsual = host.port === "" || host.port === (scheme === "https" ? "443" : "80");
  return `${scheme}://${host.name}${isUsual ? "" : `:${host.port}`}`;
}

function originEntry(entry: string): string {
  // An address that was copied from a browser ends in a slash.
  const origin = normalOrigin(entry.replace(/\/$/, ""));
  if (origin === undefined) throw new SettingsError(`api.cors.allowed_origins: ${JSON.stringify(entry)} is no origin; write it as https://app.example`);
  return origin;
}

function hostEntry(entry: string): string {
  const host = parseHost(bracketed(entry));
  if (host === undefined) throw new SettingsError(`api.allowed_hosts: ${JSON.stringify(entry)} is no host name; write it as app.example`);
  return host.name;
}
