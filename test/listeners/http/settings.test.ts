import { describe, expect, it } from "vitest";
import { Config } from "../../../src/contract/config.ts";
import { parseFlags } from "../../../src/flags.ts";
import { listensOnLoopback } from "../../../src/listeners/http/guards/hosts.ts";
import { httpSettings, SettingsError } from "../../../src/listeners/http/settings.ts";
import { redactText } from "../../../src/redact.ts";

interface Said {
  flags?: string;
  api?: object;
  env?: NodeJS.ProcessEnv;
}

function settle({ flags = "", api = {}, env = {} }: Said) {
  const parsed = parseFlags(flags.split(" ").filter((word) => word !== ""));
  if (!("quietReady" in parsed)) throw new Error(`not flags: ${JSON.stringify(parsed)}`);
  return httpSettings(parsed.http, Config.parse({ api }).api, env);
}

function refusal(said: Said): string {
  try {
    settle(said);
  } catch (error) {
    if (error instanceof SettingsError) return error.message;
    throw error;
  }
  throw new Error(`accepted: ${JSON.stringify(said)}`);
}

const key = { subject: "ann", key_hash: "$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$aGFzaA", scopes: ["read"] };
const withKey = { auth: { keys: [key] } };

describe("the settings of the HTTP listener", () => {
  it("are none where nothing opens it", () => {
    expect(settle({})).toBeUndefined();
    expect(settle({ api: { listen_addr: "0.0.0.0:1" }, env: { SIDECAR_PORT: "1", STEERABLE_AUTH_TOKEN: "abcdefgh" } })).toBeUndefined();
  });

  it.each(["--http-only", "--no-auth", "--auth-token abcdefgh", "--max-sessions 1", "--max-body-mb 1", "--rate-limit 1"])(
    "are refused where nothing opens it, but %s says how",
    (flags) => {
      expect(refusal({ flags })).toMatch(/nothing opens: add --http/);
      expect(settle({ flags, api: { enabled: true } })).toMatchObject({ host: "127.0.0.1", port: 8900 });
    },
  );

  it("hold the defaults", () => {
    expect(settle({ api: { enabled: true } })).toEqual({
      host: "127.0.0.1",
      port: 8900,
      auth: { mode: "StaticKeys", keys: [] },
      isPublic: { status: false, metrics: false },
      allowedHosts: [],
      cors: { allowedOrigins: [], allowCredentials: false },
      limits: { maxBodyBytes: 1_048_576, maxConcurrentRequests: 64, requestsPerMinute: 120, dispatchesPerMinute: 30 },
      requestTimeoutMs: 300_000,
      arrival: { headMs: 10_000, requestMs: 60_000, keepAliveMs: 30_000 },
      shutdownGraceMs: 30_000,
      maxSessions: 64,
    });
  });

  it("take what the configuration says, and flags over it", () => {
    const api = {
      enabled: true,
      listen_addr: "[::1]:9000",
      ...withKey,
      public: ["metrics"],
      allowed_hosts: ["sidecar.example"],
      cors: { allowed_origins: ["https://app.example"], allow_credentials: true },
      limits: { max_body_bytes: 5, max_concurrent_requests: 6, rate_limit_per_minute: 7, dispatch_limit_per_minute: 4, max_sessions: 8 },
      request_timeout_seconds: 0.5,
      head_timeout_seconds: 1.5,
      receive_timeout_seconds: 2.3,
      keep_alive_seconds: 75,
      shutdown_grace_seconds: 0,
    };
    expect(settle({ api })).toEqual({
      host: "::1",
      port: 9000,
      auth: { mode: "StaticKeys", keys: [key] },
      isPublic: { status: false, metrics: true },
      allowedHosts: ["sidecar.example"],
      cors: { allowedOrigins: ["https://app.example"], allowCredentials: true },
      limits: { maxBodyBytes: 5, maxConcurrentRequests: 6, requestsPerMinute: 7, dispatchesPerMinute: 4 },
      requestTimeoutMs: 500,
      arrival: { headMs: 1500, requestMs: 2300, keepAliveMs: 75_000 },
      shutdownGraceMs: 0,
      maxSessions: 8,
    });
    expect(settle({ api, flags: "--http 0 --auth-token abcdefgh --max-sessions 1 --max-body-mb 2 --rate-limit 3" })).toMatchObject({
      host: "127.0.0.1",
      port: 0,
      auth: { mode: "StaticKeys", keys: [key], token: "abcdefgh" },
      limits: { maxBodyBytes: 2_097_152, requestsPerMinute: 3, dispatchesPerMinute: 4 },
      maxSessions: 1,
    });
    expect(settle({ api, flags: "--port 1" })).toMatchObject({ host: "::1", port: 1 });
  });

  it("know no limit of requests for 0 and null", () => {
    for (const said of [{ flags: "--http 1 --rate-limit 0" }, { flags: "--http 1", api: { limits: { rate_limit_per_minute: null } } }])
      expect(settle(said)?.limits).toMatchObject({ requestsPerMinute: undefined, dispatchesPerMinute: undefined });
    expect(settle({ flags: "--http 1 --rate-limit 1" })?.limits).toMatchObject({ dispatchesPerMinute: 1 });
  });

  it("take the port from the first who names one: flag, configuration, SIDECAR_PORT, sleeve", () => {
    const env = { SIDECAR_PORT: "7000", SLEEVE_NAME: "blue" };
    expect(settle({ flags: "--port 1", api: { listen_addr: "2" }, env })?.port).toBe(1);
    expect(settle({ flags: "--host localhost", api: { listen_addr: "2" }, env })?.port).toBe(2);
    expect(settle({ flags: "--host localhost", env })?.port).toBe(7000);
    expect(settle({ flags: "--host localhost", env: { SLEEVE_NAME: "blue", SIDECAR_PORT: "" } })?.port).toBe(8080);
    expect(settle({ flags: "--host localhost" })?.port).toBe(8900);
  });

  it("are refused with a reason where a value cannot be", () => {
    expect(refusal({ api: { enabled: true, listen_addr: "localhost" } })).toMatch(/^api\.listen_addr must be host:port/);
    expect(refusal({ flags: "--host ::1", env: { SIDECAR_PORT: "http" } })).toMatch(/SIDECAR_PORT/);
    const short = refusal({ flags: "--http 1", env: { STEERABLE_AUTH_TOKEN: "pa ss phrase" } });
    expect(short).toMatch(/STEERABLE_AUTH_TOKEN/);
    expect(short).not.toMatch(/phrase/);
  });

  it("take the token from the environment, where no flag has one, and ask for it whatever the mode", () => {
    const env = { STEERABLE_AUTH_TOKEN: "of-the-environment" };
    expect(settle({ flags: "--http 1", env })?.auth.token).toBe("of-the-environment");
    expect(settle({ flags: "--http 1 --auth-token of-the-flag", env })?.auth.token).toBe("of-the-flag");
    expect(settle({ flags: "--http 1", api: { auth: { mode: "Disabled" } }, env })?.auth.mode).toBe("StaticKeys");
    expect(redactText("it is of-the-environment!")).not.toContain("of-the-environment");
  });

  it("let everybody in only where they were told to", () => {
    expect(settle({ flags: "--http 1 --no-auth", api: withKey, env: { STEERABLE_AUTH_TOKEN: "abcdefgh" } })?.auth).toEqual({ mode: "Disabled", keys: [] });
    expect(settle({ flags: "--http 1", api: { auth: { mode: "Disabled" } } })?.auth).toEqual({ mode: "Disabled", keys: [] });
    expect(refusal({ flags: "--http 0.0.0.0:1 --no-auth", api: withKey })).toBe("--no-auth is for loopback addresses, and 0.0.0.0 is none");
  });

  it("open no door to the network without a key", () => {
    const doors: Said[] = [
      { flags: "--bind-all" },
      { flags: "--host 192.0.2.1" },
      { flags: "--host 0" },
      { flags: "--http [::]:1" },
      { api: { enabled: true, listen_addr: "0.0.0.0:1" } },
    ];
    for (const door of doors) {
      expect(refusal(door)).toMatch(/can be reached from elsewhere: give --auth-token/);
      expect(settle({ ...door, flags: `${door.flags ?? ""} --auth-token abcdefgh` })).toBeDefined();
      expect(settle({ ...door, api: { ...door.api, ...withKey } })).toBeDefined();
      expect(settle({ ...door, env: { STEERABLE_AUTH_TOKEN: "abcdefgh" } })).toBeDefined();
    }
    // Keys that are not asked for are none, but whoever has written `Disabled` down has meant it, unless a flag needs a key by itself.
    const disabled = { auth: { mode: "Disabled", keys: [key] } };
    expect(settle({ flags: "--host 192.0.2.1", api: disabled })).toBeDefined();
    expect(refusal({ flags: "--bind-all", api: disabled })).toMatch(/can be reached from elsewhere/);
  });
});

describe("the loopback", () => {
  it.each(["127.0.0.1", "127.255.0.3", "::1", "0:0:0:0:0:0:0:1", "::ffff:127.0.0.1", "localhost", "LocalHost"])("is %s", (host) => {
    expect(listensOnLoopback(host)).toBe(true);
  });

  it.each(["0.0.0.0", "::", "128.0.0.1", "::2", "::ffff:10.0.0.1", "localhost.example", "127.1", "0", "fe80::1%lo"])("is not %s", (host) => {
    expect(listensOnLoopback(host)).toBe(false);
  });
});
