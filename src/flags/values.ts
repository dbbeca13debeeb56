import { isIPv6 } from "node:net";
import { redactText } from "../redact.ts";

/** The command line is wrong. The message is one line for stderr, without secrets. */
export class BadFlag extends Error {
  override name = "BadFlag";
}

/** Where to listen. */
export interface Address {
  /** Without brackets; absent where only a port was said. */
  host?: string;
  port: number;
}

/**
 * `8900`, `:8900`, `localhost:8900`, `0.0.0.0:8900`, `[::1]:8900`. Undefined for everything else, an IPv6
 * address without brackets among it: where it ends and the port begins is anybody's guess.
 */
export function readAddress(text: string): Address | undefined {
  const [, host, port] = /^(?:(\[[^[\]]+\]|[^:[\]]*):)?(\d{1,5})$/.exec(text) ?? [];
  if (port === undefined || Number(port) > 65_535) return undefined;
  if (host === undefined || host === "") return { port: Number(port) };
  const name = readHost(host);
  return name === undefined ? undefined : { host: name, port: Number(port) };
}

/** A name or an address, with brackets or without; undefined for what can be neither. */
export function readHost(text: string): string | undefined {
  const isBracketed = text.startsWith("[") && text.endsWith("]");
  const host = isBracketed ? text.slice(1, -1) : text;
  if (isIPv6(host)) return host;
  const isName = /^(?=.{1,253}$)[a-z\d](?:[\w-]*[a-z\d])?(?:\.[a-z\d](?:[\w-]*[a-z\d])?)*$/i.test(host);
  return isName && !isBracketed ? host : undefined;
}

/** Digits only, within the bounds; undefined for everything else. */
export function readWhole(text: string, least: number, most: number): number | undefined {
  if (!/^\d{1,15}$/.test(text)) return undefined;
  const value = Number(text);
  return value >= least && value <= most ? value : undefined;
}

/** What a token may be: as a header carries it, and long enough to be known again where it must not stand. */
export function isToken(text: string): boolean {
  return /^[\x21-\x7e]{6,1024}$/.test(text);
}

export const TOKEN_RULE = "6 to 1,024 visible ASCII characters without spaces";

/** An argument as it may be shown: on one line, not too long, without a secret. */
export function shown(argument: string): string {
  const text = redactText(argument).replace(/[\p{C}\p{Zl}\p{Zp}]/gu, "?");
  return text === "" ? '""' : text.length > 80 ? `${text.slice(0, 77)}...` : text;
}
