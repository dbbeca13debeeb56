/** The flags of the HTTP listener. */
import { registerSecret } from "../redact.ts";
import { type Address, BadFlag, isToken, readAddress, readHost, readWhole, shown, TOKEN_RULE } from "./values.ts";

export interface HttpFlags {
  /** One of the flags opens the listener; the others only say how. */
  opens: boolean;
  /** Serve HTTP alone. */
  only: boolean;
  /** Without brackets. */
  host?: string;
  /** 0 takes a free one. */
  port?: number;
  /** `host` is `0.0.0.0` then. */
  bindsAll: boolean;
  noAuth: boolean;
  /** Secret. */
  token?: string;
  maxSessions?: number;
  maxBodyBytes?: number;
  /** 0: no limit. */
  requestsPerMinute?: number;
}

/** What was said so far, before it is known to fit together. */
export interface SaidOfHttp extends Pick<HttpFlags, "host" | "port" | "token" | "maxSessions" | "maxBodyBytes" | "requestsPerMinute"> {
  address?: Address;
  only?: true;
  bindsAll?: true;
  noAuth?: true;
}

export const httpSwitches: Readonly<Record<string, (said: SaidOfHttp) => void>> = {
  "--http-only": (said) => {
    said.only = true;
  },
  "--bind-all": (said) => {
    said.bindsAll = true;
  },
  "--no-auth": (said) => {
    said.noAuth = true;
  },
};

export const httpReaders: Readonly<Record<string, (value: string, said: SaidOfHttp) => void>> = {
  "--http": (value, said) => {
    const address = readAddress(value);
    if (address === undefined) throw new BadFlag(`--http must be [host:]port, as 8900, 0.0.0.0:8900 or [::1]:8900, not ${shown(value)}`);
    said.address = address;
  },
  "--host": (value, said) => {
    const host = readHost(value);
    if (host === undefined) throw new BadFlag(`--host must be a name or an IP address, not ${shown(value)}`);
    said.host = host;
  },
  "--port": (value, said) => {
    said.port = whole("--port", value, 0, 65_535);
  },
  "--auth-token": (value, said) => {
    // Before anything else: whatever is complained about next must not show it.
    registerSecret(value, { forGood: true });
    if (!isToken(value)) throw new BadFlag(`--auth-token must be ${TOKEN_RULE}`);
    said.token = value;
  },
  "--max-sessions": (value, said) => {
    said.maxSessions = whole("--max-sessions", value, 1, 1_000_000);
  },
  "--max-body-mb": (value, said) => {
    said.maxBodyBytes = whole("--max-body-mb", value, 1, 512) * 1024 * 1024;
  },
  "--rate-limit": (value, said) => {
    said.requestsPerMinute = whole("--rate-limit", value, 0, 1_000_000_000);
  },
};

/** Throws `BadFlag` where flags contradict each other. Undefined when none of them was given. */
export function joinHttp(said: SaidOfHttp): HttpFlags | undefined {
  if (Object.keys(said).length === 0) return undefined;
  const { address, only, bindsAll, noAuth, host: namedHost, port: namedPort, ...rest } = said;
  if (bindsAll && (namedHost ?? ALL) !== ALL) throw new BadFlag("--bind-all and --host contradict each other");
  const host = namedHost ?? (bindsAll ? ALL : undefined);
  const otherHost = bindsAll ? "--bind-all" : "--host";
  if (host !== undefined && (address?.host ?? host) !== host) throw new BadFlag(`--http and ${otherHost} contradict each other`);
  if (namedPort !== undefined && (address?.port ?? namedPort) !== namedPort) throw new BadFlag("--http and --port contradict each other");
  if (noAuth && rest.token !== undefined) throw new BadFlag("--no-auth and --auth-token contradict each other");

  // A port alone is one of the loopback, whatever the configuration listens on.
  const finalHost = host ?? (address === undefined ? undefined : (address.host ?? LOOPBACK));
  const port = namedPort ?? address?.port;
  return {
    ...rest,
    opens: address !== undefined || finalHost !== undefined || port !== undefined,
    only: only === true,
    bindsAll: bindsAll === true,
    noAuth: noAuth === true,
    ...(finalHost === undefined ? {} : { host: finalHost }),
    ...(port === undefined ? {} : { port }),
  };
}

const ALL = "0.0.0.0";
const LOOPBACK = "127.0.0.1";

function whole(name: string, value: string, least: number, most: number): number {
  const read = readWhole(value, least, most);
  if (read === undefined) throw new BadFlag(`${name} must be a whole number from ${least} to ${most}, not ${shown(value)}`);
  return read;
}
