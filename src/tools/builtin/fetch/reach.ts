import { lookup } from "node:dns/promises";
import { isIP } from "node:net";
import { connectionFailure } from "../../../providers/faults.ts";
import { ToolFailure } from "../../tool.ts";
import { until } from "../../waiting.ts";
import { isLocalName, isPublic } from "./addresses.ts";

export interface Address {
  address: string;
  family: number;
}

/** What may be reached, and how names become addresses. */
export interface Reach {
  /** Addresses that are not public may be reached too. */
  allowPrivate: boolean;
  isPublic(address: string): boolean;
  /** Every address of a name. Rejects with the error of the system. */
  resolve(hostname: string): Promise<readonly Address[]>;
}

/** As the system resolves names, and as the registries of IANA tell public addresses. */
export function reachOf(allowPrivate: boolean): Reach {
  return { allowPrivate, isPublic, resolve: (hostname) => lookup(hostname, { all: true, verbatim: true }) };
}

/** The URL of a request. Throws a `ToolFailure` unless it is one of http or https without a password in it. */
export function checkedUrl(given: string, base?: URL): URL {
  if (given.length > LONGEST_URL) throw new ToolFailure(`The URL is longer than ${LONGEST_URL} characters`, "invalid_params");
  if (!URL.canParse(given, base?.href)) throw new ToolFailure("This is not a URL; it has to be whole: https://example.com/page", "invalid_params");
  const url = new URL(given, base);
  if (url.protocol !== "http:" && url.protocol !== "https:") throw new ToolFailure("Only http and https URLs can be fetched", "invalid_params");
  if (url.username !== "" || url.password !== "") throw new ToolFailure("The URL must not hold a user name or password", "invalid_params");
  url.hash = "";
  return url;
}

/**
 * The addresses to connect to, and no others: a name that is looked up again may have another answer.
 * Throws a `ToolFailure` when one of them may not be reached, or the reason of the signal.
 */
export async function addressesOf(url: URL, reach: Reach, signal: AbortSignal): Promise<readonly Address[]> {
  const hostname = url.hostname.replace(/^\[(.*)\]$/, "$1");
  if (!reach.allowPrivate && isLocalName(hostname)) throw notPublic(url);
  const family = isIP(hostname);
  const addresses = family === 0 ? await resolved(hostname, url, reach, signal) : [{ address: hostname, family }];
  if (!reach.allowPrivate && !addresses.every(({ address }) => reach.isPublic(address))) throw notPublic(url);
  return addresses;
}

const LONGEST_URL = 8192;

async function resolved(hostname: string, url: URL, reach: Reach, signal: AbortSignal): Promise<readonly Address[]> {
  try {
    const addresses = await until(reach.resolve(hostname), signal);
    if (addresses.length > 0) return addresses;
  } catch (error) {
    signal.throwIfAborted();
    throw new ToolFailure(connectionFailure(error, url, false).message);
  }
  throw new ToolFailure(`The name of ${url.host} has no address`);
}

function notPublic(url: URL): ToolFailure {
  return new ToolFailure(`${url.host} is not on the public internet; only addresses that are may be fetched (tools.fetch.allowPrivate)`);
}
