import { describe, expect, it } from "vitest";
import { type Answer, spawnHttp } from "../support/http.ts";
import { configFile } from "../support/keys.ts";
import { spawnSidecar } from "../support/sidecar.ts";

const page = "https://app.example";
const corsHeaders = (answer: Answer) => Object.keys(answer.headers).filter((name) => name.startsWith("access-control-"));

describe("the Host header", () => {
  it("has to be one of the loopback's, on every route and before the key", async () => {
    const { url, call } = await spawnHttp();
    const { port } = new URL(url);
    for (const host of [`127.0.0.1:${port}`, `localhost:${port}`, `LOCALHOST.:${port}`, "[::1]:1", "127.0.0.2", "localhost"])
      expect((await call("GET", "/v1/info", { headers: { host } })).status, host).toBe(200);
    for (const host of ["evil.example", `evil.example:${port}`, "127.0.0.1.evil.example", "localhost.evil.example", "10.0.0.1", "[::2]", "user@127.0.0.1"]) {
      for (const path of ["/v1/info", "/health", "/docs", "/nothing"]) {
        const answer = await call<{ error: { code: string; message: string } }>("GET", path, { key: null, headers: { host } });
        expect({ host, path, status: answer.status, code: answer.body.error?.code }).toEqual({ host, path, status: 403, code: "forbidden" });
        expect(answer.body.error.message).toBe("This host name is not one that is served here");
        expect(answer.headers["x-request-id"]).toBeDefined();
      }
    }
  });

  it("may be one that is configured", async () => {
    const { call } = await spawnHttp({ args: await configFile({}, { allowed_hosts: ["sidecar.example"] }) });
    for (const host of ["sidecar.example", "sidecar.example:8443", "127.0.0.1"])
      expect((await call("GET", "/health", { headers: { host } })).status, host).toBe(200);
    expect((await call("GET", "/health", { headers: { host: "other.example" } })).status).toBe(403);
  });
});

describe("the Origin header", () => {
  it("has to be the listener's own where no origins are listed, and CORS stays off", async () => {
    const { url, call } = await spawnHttp();
    const { port } = new URL(url);
    for (const origin of [url, `http://localhost:${port}`]) {
      const answer = await call("GET", "/v1/info", { headers: { origin, host: new URL(origin).host } });
      expect({ origin, status: answer.status, cors: corsHeaders(answer) }).toEqual({ origin, status: 200, cors: [] });
    }
    const others = [page, "null", "http://127.0.0.1:1", `http://127.0.0.1.evil.example:${port}`, "file://", "not an origin"];
    for (const origin of others) {
      for (const [method, path] of [
        ["GET", "/v1/info"],
        ["GET", "/health"],
        ["POST", "/rpc"],
        ["OPTIONS", "/rpc"],
      ] as const) {
        const answer = await call<{ error?: { message: string } }>(method, path, { headers: { origin } });
        expect({ origin, path, status: answer.status, cors: corsHeaders(answer) }).toEqual({ origin, path, status: 403, cors: [] });
        expect(answer.body.error?.message).toBe("Pages of this origin may not ask");
      }
    }
  });

  it("may be one that is listed: preflights are answered without a key, and answers can be read", async () => {
    const { call } = await spawnHttp({ args: await configFile({}, { cors: { allowed_origins: [page] } }) });
    const preflight = await call("OPTIONS", "/v1/completions", {
      key: null,
      headers: { origin: page, "access-control-request-method": "POST", "access-control-request-headers": "authorization,content-type" },
    });
    expect(preflight.status).toBe(204);
    expect(preflight.headers).toMatchObject({ "access-control-allow-origin": page, "access-control-max-age": "600" });
    expect(String(preflight.headers["access-control-allow-methods"]).split(/,\s*/)).toEqual(["GET", "POST", "DELETE"]);
    expect(String(preflight.headers["access-control-allow-headers"]).split(/,\s*/)).toEqual(["authorization", "content-type", "accept", "last-event-id"]);
    expect(preflight.headers).not.toHaveProperty("access-control-allow-credentials");
    expect(preflight.headers["vary"]).toMatch(/origin/i);
    // Without what a browser asks with it is no preflight, but no error of another kind either.
    expect((await call("OPTIONS", "/v1/completions", { key: null, headers: { origin: page } })).status).toBe(204);

    const told = { "access-control-allow-origin": page, "access-control-expose-headers": "x-request-id, retry-after" };
    const headers = { origin: page };
    expect((await call("GET", "/v1/info", { headers })).headers).toMatchObject(told);
    const stream = await call("POST", "/v1/completions", { headers, body: { prompt: "Hi", model: "echo:any", stream: true } });
    expect(stream.headers).toMatchObject({ ...told, "content-type": "text/event-stream; charset=utf-8" });
    expect(stream.text).toContain("event: finished");
    const errors = [
      await call("GET", "/v1/info", { key: null, headers }),
      await call("GET", "/nothing", { headers }),
      await call("POST", "/v1/completions", { headers, body: "{" }),
      await call("POST", "/v1/completions", { headers, body: "x".repeat(1_048_577) }),
      await call("POST", "/v1/completions", { headers: { ...headers, "content-type": "text/plain" }, body: "Hi" }),
    ];
    expect(errors.map(({ status }) => status)).toEqual([401, 404, 400, 413, 415]);
    for (const answer of errors) expect(answer.headers).toMatchObject(told);

    for (const origin of ["https://other.example", "http://app.example", "https://app.example:8443", "null"]) {
      const other = await call("GET", "/v1/info", { headers: { origin } });
      expect({ origin, status: other.status, cors: corsHeaders(other) }).toEqual({ origin, status: 403, cors: [] });
    }
    const program = await call("GET", "/v1/info");
    expect({ status: program.status, cors: corsHeaders(program) }).toEqual({ status: 200, cors: [] });
  });

  it("is refused where it is not listed, in preflights as everywhere", async () => {
    const { call } = await spawnHttp({ args: await configFile({}, { cors: { allowed_origins: [page] } }) });
    const preflight = (headers: Record<string, string>) =>
      call("OPTIONS", "/v1/completions", { key: null, headers: { "access-control-request-method": "POST", ...headers } });
    const refusals = [
      [await preflight({ origin: "https://other.example" }), 403, "forbidden"],
      [await preflight({ origin: page, host: "other.example" }), 403, "forbidden"],
      // No page has asked, so it is no preflight.
      [await preflight({}), 401, "unauthorized"],
    ] as const;
    for (const [{ status, headers, body }, expected, code] of refusals) {
      expect(status).toBe(expected);
      expect(body).toEqual({ error: { code, message: expect.any(String), request_id: headers["x-request-id"] } });
    }
  });

  it("that is none, in the configuration, is told as a mistake there", async () => {
    const sidecar = spawnSidecar({ args: ["--http", "0", ...(await configFile({}, { cors: { allowed_origins: ["app.example"] } }))] });
    expect(await sidecar.exit).toEqual({ code: 2, signal: null });
    expect(sidecar.stderr).toBe('steerable-sidecar: api.cors.allowed_origins: "app.example" is no origin; write it as https://app.example\n');
  });

  it("may be any where all are listed, also with credentials; the log warns of that", async () => {
    const { call, sidecar } = await spawnHttp({ args: await configFile({}, { cors: { allowed_origins: ["*"], allow_credentials: true } }) });
    for (const origin of [page, "https://other.example"]) {
      const { status, headers } = await call("GET", "/v1/info", { headers: { origin } });
      expect(status).toBe(200);
      expect(headers).toMatchObject({ "access-control-allow-origin": origin, "access-control-allow-credentials": "true" });
    }
    await sidecar.until(() => /"level":"WARNING".*"msg":"pages of every origin may ask/.test(sidecar.stderr), "the warning");
  });
});
