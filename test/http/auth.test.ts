import { spawn } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { type Answer, askerOf, spawnHttp } from "../support/http.ts";
import { configFile, keyOf } from "../support/keys.ts";
import { root } from "../support/root.ts";
import { cleanEnv, spawnSidecar, temporaryFolder } from "../support/sidecar.ts";

const everything = ["read", "write", "admin"];

/** Whom the listener takes the bearer of a key for; a number is the status of a refusal. */
async function whoIs({ call }: Pick<Awaited<ReturnType<typeof spawnHttp>>, "call">, key: string | null | undefined, headers: Record<string, string> = {}) {
  const { status, body } = await call("POST", "/v1/auth/check", { ...(key === undefined ? {} : { key }), headers });
  return status === 200 ? body : status;
}

function expectRefusal(answer: Answer, challenge: string): void {
  const { error } = answer.body as { error: { code: string; message: string; request_id: string } };
  expect(answer.status).toBe(401);
  expect(answer.headers["www-authenticate"]).toBe(challenge);
  expect(error).toEqual({ code: "unauthorized", message: "A valid key is needed", request_id: answer.headers["x-request-id"] });
}

describe("the key of the listener", () => {
  it("is made for this run and handed to the host where none was given", async () => {
    const [one, other] = await Promise.all([spawnHttp(), spawnHttp()]);
    expect(one.token).toMatch(/^[\w-]{43}$/);
    expect(other.token).not.toBe(one.token);
    expect(await whoIs(one, one.token)).toEqual({ subject: "local", scopes: everything });
    expect(await whoIs(one, other.token)).toBe(401);
    expect(await whoIs(one, null)).toBe(401);
    expect(one.sidecar.stderr).not.toContain(one.token);
  });

  it("is told on stderr, and nothing on stdout, with --http-only", async () => {
    const sidecar = spawnSidecar({ args: ["--storage-path", ":memory:", "--http", "127.0.0.1:0", "--http-only"] });
    // A container has no stdin.
    sidecar.child.stdin.end();
    await sidecar.until(() => sidecar.stderr.includes("__SIDECAR_READY__:"), "the ready marker");
    const [, url = "", token] = /listening on (http:\S+) with the token (\S+)\n/.exec(sidecar.stderr) ?? [];
    const asker = askerOf(url, token);
    expect(await whoIs(asker, undefined)).toEqual({ subject: "local", scopes: everything });
    expect(await whoIs(asker, null)).toBe(401);
    expect(sidecar.lines).toEqual([]);
    expect(sidecar.child.exitCode).toBeNull();
  });

  it("is the token of --auth-token or STEERABLE_AUTH_TOKEN, the flag first, which nobody is told again", async () => {
    const args = ["--auth-token", "token-of-the-flag"];
    const env = { STEERABLE_AUTH_TOKEN: "token-of-the-environment" };
    const [flag, variable, both] = await Promise.all([spawnHttp({ args }), spawnHttp({ env }), spawnHttp({ args, env })]);
    for (const { token } of [flag, variable, both]) expect(token).toBeUndefined();
    expect(await whoIs(flag, "token-of-the-flag")).toEqual({ subject: "local", scopes: everything });
    expect(await whoIs(variable, "token-of-the-environment")).toEqual({ subject: "local", scopes: everything });
    expect(await whoIs(both, "token-of-the-flag")).toEqual({ subject: "local", scopes: everything });
    expect(await whoIs(both, "token-of-the-environment")).toBe(401);
    for (const { sidecar } of [flag, variable, both]) expect(`${sidecar.stderr}${sidecar.lines.join()}`).not.toMatch(/token-of-the/);
  });

  it("is one whose hash hash-key has made, with its subject and its scopes, beside a token", async () => {
    const key_hash = await hashKey("a-key-that-was-hashed");
    const file = join(temporaryFolder(), "config.yaml");
    writeFileSync(file, JSON.stringify({ api: { auth: { keys: [{ subject: "ann", key_hash, scopes: ["read"] }] } } }));
    const listener = await spawnHttp({ args: ["--config", file, "--auth-token", "the-token-beside-it"] });
    expect(listener.token).toBeUndefined();
    expect(await whoIs(listener, "a-key-that-was-hashed")).toEqual({ subject: "ann", scopes: ["read"] });
    expect(await whoIs(listener, "the-token-beside-it")).toEqual({ subject: "local", scopes: everything });
    expect(await whoIs(listener, key_hash)).toBe(401);
  });

  it("is one of several, each with a subject of its own", async () => {
    const listener = await spawnHttp({ args: await configFile({ ann: ["read", "write"], bob: ["write"], root: ["*"] }) });
    expect(listener.token).toBeUndefined();
    expect(await whoIs(listener, keyOf("ann"))).toEqual({ subject: "ann", scopes: ["read", "write"] });
    expect(await whoIs(listener, keyOf("root"))).toEqual({ subject: "root", scopes: everything });
    // Who may not read may not ask who it is either, but is known.
    expect(await whoIs(listener, keyOf("bob"))).toBe(403);
    expect(await whoIs(listener, keyOf("eve"))).toBe(401);
  });

  it("is not asked for with --no-auth, nor where the configuration says Disabled", async () => {
    const listeners = await Promise.all([
      spawnHttp({ args: ["--no-auth"] }),
      spawnHttp({ args: await configFile({ ann: ["read"] }, { auth: { mode: "Disabled" } }) }),
    ]);
    for (const listener of listeners) {
      expect(listener.token).toBeUndefined();
      for (const key of [null, "any-key-at-all"]) expect(await whoIs(listener, key)).toEqual({ subject: "anonymous", scopes: everything });
    }
  });
});

describe("a listener that would be open to the network", () => {
  it.each([
    [["--http", "0.0.0.0:0", "--no-auth"], "--no-auth is for loopback addresses, and 0.0.0.0 is none"],
    [["--bind-all", "--port", "0"], "0.0.0.0 can be reached from elsewhere: give --auth-token, or configure api.auth.keys"],
    [["--http", "[::]:0"], ":: can be reached from elsewhere: give --auth-token, or configure api.auth.keys"],
  ])("does not start: %j", async (args, line) => {
    const sidecar = spawnSidecar({ args });
    expect(await sidecar.exit).toEqual({ code: 2, signal: null });
    expect(sidecar.stderr).toBe(`steerable-sidecar: ${line}\n`);
    expect(sidecar.lines).toEqual([]);
  });

  it("starts with a token", async () => {
    const sidecar = spawnSidecar({ args: ["--storage-path", ":memory:", "--bind-all", "--port", "0", "--auth-token", "the-token-of-the-net"] });
    const { params } = await sidecar.notification("lifecycle.ready");
    const { url } = (params as { listenInfo: { http: { url: string } } }).listenInfo.http;
    expect(url).toMatch(/^http:\/\/0\.0\.0\.0:\d+$/);
    const asker = askerOf(url.replace("0.0.0.0", "127.0.0.1"), "the-token-of-the-net");
    expect(await whoIs(asker, undefined)).toEqual({ subject: "local", scopes: everything });
    expect(await whoIs(asker, null)).toBe(401);
  });
});

describe("the Authorization header", () => {
  it("names its scheme in any case", async () => {
    const { token, call } = await spawnHttp();
    for (const scheme of ["Bearer", "bearer", "BEARER", "bEaReR"]) {
      const { status } = await call("GET", "/v1/info", { key: null, headers: { authorization: `${scheme} ${token}` } });
      expect(status, scheme).toBe(200);
    }
  });

  it("is refused with a challenge when it is missing, malformed or wrong", { timeout: 60_000 }, async () => {
    const { token = "", call } = await spawnHttp();
    const malformed = [
      "",
      "Bearer",
      "Bearer ",
      token,
      `Basic ${Buffer.from(`local:${token}`).toString("base64")}`,
      `Token ${token}`,
      `Bearer  ${token}`,
      `Bearer\t${token}`,
      `Bearer ${token} ${token}`,
      `Bearer ${token},Bearer ${token}`,
      `Bearer:${token}`,
      `Bearer ${"x".repeat(5000)}`,
      `Bearer ${token}\u00e9`,
    ];
    expectRefusal(await call("GET", "/v1/info", { key: null }), 'Bearer realm="steerable-sidecar"');
    for (const authorization of malformed)
      expectRefusal(await call("GET", "/v1/info", { key: null, headers: { authorization } }), 'Bearer realm="steerable-sidecar"');
    for (const key of [`${token}x`, token.slice(1), token.toUpperCase(), `"${token}"`])
      expectRefusal(await call("GET", "/v1/info", { key }), 'Bearer realm="steerable-sidecar", error="invalid_token"');
    expect((await call("GET", "/v1/info")).status).toBe(200);
  });

  it("counts once only: two of it are none", async () => {
    const { url, token } = await spawnHttp();
    const answer = await fetch(`${url}/v1/info`, {
      headers: [
        ["authorization", `Bearer ${token}`],
        ["authorization", `Bearer ${token}`],
      ],
    });
    expect(answer.status).toBe(401);
  });

  it("is wanted where there is nothing as well, so that nobody learns what there is", async () => {
    const { call } = await spawnHttp();
    for (const path of ["/", "/nothing", "/v1/sessions/none", "/v1//health", "//health", "/health/", "/HEALTH", "/%2e%2e/etc/passwd"])
      expect((await call("GET", path, { key: null })).status, path).toBe(401);
    expect(await call("GET", "/nothing")).toMatchObject({ status: 404, body: { error: { code: "not_found" } } });
    expect(await call("PUT", "/v1/sessions")).toMatchObject({ status: 404, body: { error: { code: "not_found" } } });
  });
});

/** What `steerable-sidecar hash-key` prints for a key. */
function hashKey(key: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [join(root, "bin/steerable-sidecar.js"), "hash-key"], { env: cleanEnv() });
    let text = "";
    child.stdout.setEncoding("utf8").on("data", (part: string) => {
      text += part;
    });
    child.once("error", reject);
    child.once("close", (code) => (code === 0 ? resolve(text.trim()) : reject(new Error(`hash-key ended with ${code}`))));
    child.stdin.end(`${key}\n`);
  });
}
