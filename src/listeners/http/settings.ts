/** How the HTTP listener is to be opened: flags over the configuration over the environment. */
import type { Config } from "../../contract/config.ts";
import { defaults } from "../../contract/defaults.ts";
import type { HttpFlags } from "../../flags.ts";
import { isToken, readAddress, readWhole, TOKEN_RULE } from "../../flags/values.ts";
import { registerSecret } from "../../redact.ts";
import { listensOnLoopback } from "./guards/hosts.ts";

export interface HttpSettings {
  /** A name or an address, without brackets. */
  host: string;
  /** 0 takes a free one. */
  port: number;
  auth: {
    /** `Disabled` lets everybody in; the listener makes up a token where there are neither keys nor one. */
    mode: "StaticKeys" | "Disabled";
    keys: Config["api"]["auth"]["keys"];
    /** Secret. */
    token?: string;
  };
  /** What needs no key. */
  isPublic: { status: boolean; metrics: boolean };
  /** Names that requests may be addressed to, beside the loopback and `host`. */
  allowedHosts: readonly string[];
  cors: { allowedOrigins: readonly string[]; allowCredentials: boolean };
  limits: {
    maxBodyBytes: number;
    maxConcurrentRequests: number;
    /** Of one subject, or of one address. Undefined: no limit. */
    requestsPerMinute: number | undefined;
    /** The same for dispatches. */
    dispatchesPerMinute: number | undefined;
  };
  requestTimeoutMs: number;
  arrival: ArrivalLimits;
  /** How long a signal waits for what runs. */
  shutdownGraceMs: number;
  /** Sessions made by `POST /sessions` that are open at a time. */
  maxSessions: number;
}

/** How long is waited for what a client sends. Whole milliseconds. */
export interface ArrivalLimits {
  /** The head of a request. */
  headMs: number;
  /** All of a request. */
  requestMs: number;
  /** The next request on a connection. */
  keepAliveMs: number;
}

/** The listener cannot be opened like this. The message is one line for stderr, without secrets; `main.ts` exits with 2. */
export class SettingsError extends Error {
  override name = "SettingsError";
}

/** Undefined where nothing asks for a listener. Throws `SettingsError`. */
export function httpSettings(flags: HttpFlags | undefined, api: Config["api"], env: NodeJS.ProcessEnv): HttpSettings | undefined {
  if (flags?.opens !== true && !api.enabled) {
    if (flags === undefined) return undefined;
    throw new SettingsError("these flags are about the HTTP listener, which nothing opens: add --http, or api.enabled to the configuration");
  }
  const { host, port } = addressOf(flags, api, env);
  const auth = authOf(flags, api, env);
  refuseOpenDoor(host, flags, auth);
  const { limits } = api;
  const requestsPerMinute = (flags?.requestsPerMinute ?? limits.rate_limit_per_minute) || undefined;
  return {
    host,
    port,
    auth,
    isPublic: { status: api.public.includes("status"), metrics: api.public.includes("metrics") },
    allowedHosts: api.allowed_hosts,
    cors: { allowedOrigins: api.cors.allowed_origins, allowCredentials: api.cors.allow_credentials },
    limits: {
      maxBodyBytes: flags?.maxBodyBytes ?? limits.max_body_bytes,
      maxConcurrentRequests: limits.max_concurrent_requests,
      requestsPerMinute,
      dispatchesPerMinute: limits.dispatch_limit_per_minute ?? (requestsPerMinute === undefined ? undefined : Math.ceil(requestsPerMinute / 4)),
    },
    requestTimeoutMs: api.request_timeout_seconds * 1000,
    arrival: {
      headMs: wholeMs(api.head_timeout_seconds),
      requestMs: wholeMs(api.receive_timeout_seconds),
      keepAliveMs: wholeMs(api.keep_alive_seconds),
    },
    shutdownGraceMs: api.shutdown_grace_seconds * 1000,
    maxSessions: flags?.maxSessions ?? limits.max_sessions,
  };
}

function wholeMs(seconds: number): number {
  return Math.round(seconds * 1000);
}

/** Where a sleeve is looked for. */
const SLEEVE_PORT = 8080;
const byDefault = new URL(`http://${defaults.api.listen_addr}`);

function addressOf(flags: HttpFlags | undefined, { listen_addr }: Config["api"], env: NodeJS.ProcessEnv): { host: string; port: number } {
  const configured = listen_addr === undefined ? undefined : readAddress(listen_addr);
  if (listen_addr !== undefined && configured === undefined)
    throw new SettingsError("api.listen_addr must be host:port or a port, as 0.0.0.0:8900, [::1]:8900 or 8900");
  return {
    host: flags?.host ?? configured?.host ?? byDefault.hostname,
    port: flags?.port ?? configured?.port ?? portOfEnvironment(env) ?? (env["SLEEVE_NAME"] ? SLEEVE_PORT : Number(byDefault.port)),
  };
}

function portOfEnvironment({ SIDECAR_PORT: text }: NodeJS.ProcessEnv): number | undefined {
  if (text === undefined || text === "") return undefined;
  const port = readWhole(text, 0, 65_535);
  if (port === undefined) throw new SettingsError("the variable SIDECAR_PORT has a bad value: expected a port, 0 to 65535");
  return port;
}

function authOf(flags: HttpFlags | undefined, { auth }: Config["api"], env: NodeJS.ProcessEnv): HttpSettings["auth"] {
  if (flags?.noAuth === true) return { mode: "Disabled", keys: [] };
  const token = flags?.token ?? tokenOfEnvironment(env);
  // Whoever gives a token wants it to be asked for.
  return token === undefined ? auth : { ...auth, mode: "StaticKeys", token };
}

function tokenOfEnvironment({ STEERABLE_AUTH_TOKEN: token }: NodeJS.ProcessEnv): string | undefined {
  if (token === undefined || token === "") return undefined;
  registerSecret(token, { forGood: true });
  if (!isToken(token)) throw new SettingsError(`the variable STEERABLE_AUTH_TOKEN has a bad value: expected ${TOKEN_RULE}`);
  return token;
}

/** Nobody is to open a door to the network by mistake: a token that was made up for this run is no key that anybody there could have. */
function refuseOpenDoor(host: string, flags: HttpFlags | undefined, { mode, keys, token }: HttpSettings["auth"]): void {
  if (listensOnLoopback(host)) return;
  if (flags?.noAuth === true) throw new SettingsError(`--no-auth is for loopback addresses, and ${host} is none`);
  const hasKeys = mode === "StaticKeys" && (token !== undefined || keys.length > 0);
  if (hasKeys || (mode === "Disabled" && flags?.bindsAll !== true)) return;
  throw new SettingsError(`${host} can be reached from elsewhere: give --auth-token, or configure api.auth.keys`);
}
