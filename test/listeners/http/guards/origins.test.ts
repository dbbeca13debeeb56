import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parseHost } from "../../../../src/listeners/http/guards/hosts.ts";
import { createOriginGuard, type OriginGuardOptions } from "../../../../src/listeners/http/guards/origins.ts";

const makeGuard = (options: Partial<OriginGuardOptions> = {}) =>
  createOriginGuard({ boundHost: "127.0.0.1", allowedHosts: [], allowedOrigins: [], ...options });

const broken = [
  "",
  " ",
  ".",
  "..",
  "localhost..",
  ".localhost",
  "user@localhost",
  "user:pass@127.0.0.1:80",
  "localhost, localhost",
  "localhost:80:80",
  "localhost:x",
  "localhost:65536",
  "localhost:-1",
  "localhost/",
  "localhost?x",
  "localhost#x",
  "local host",
  "localhost\n",
  "[::1",
  "::1",
  "[::1]x",
  "[1]",
  "[fe80::1%25lo]",
  "http://localhost",
  "löcalhost",
  "%6cocalhost",
  "a".repeat(300),
];

describe("the name that a request is addressed to", () => {
  it.each([
    "127.0.0.1",
    "127.0.0.1:8900",
    "127.255.0.3:1",
    "localhost",
    "LocalHost:4321",
    "localhost.",
    "localhost:",
    "localhost.:8900",
    "[::1]",
    "[::1]:8900",
    "[0:0:0:0:0:0:0:1]",
    "[::ffff:127.0.0.1]:80",
  ])("may be %s on the loopback, at any port", (host) => {
    expect(makeGuard().check({ host, origin: undefined })).toBeUndefined();
  });

  it.each([
    "evil.example",
    "evil.example:8900",
    "127.0.0.1.evil.example",
    "localhost.evil.example",
    "evil-localhost",
    "127.evil.example",
    "128.0.0.1",
    "0.0.0.0",
    "127.1",
    "2130706433",
    "0177.0.0.1",
    "[::]",
    "[::2]",
    "192.168.0.2",
  ])("may not be %s there", (host) => {
    expect(makeGuard().check({ host, origin: undefined })).toBe("forbidden_host");
  });

  it.each(broken)("is refused everywhere when it is none: %j", (host) => {
    expect(makeGuard().check({ host, origin: undefined })).toBe("forbidden_host");
    expect(makeGuard({ boundHost: "0.0.0.0" }).check({ host, origin: undefined })).toBe("forbidden_host");
  });

  it("may be missing only where it is not checked", () => {
    for (const host of [undefined, []]) {
      expect(makeGuard().check({ host, origin: undefined })).toBe("forbidden_host");
      expect(makeGuard({ boundHost: "0.0.0.0" }).check({ host, origin: undefined })).toBeUndefined();
      expect(makeGuard({ boundHost: "0.0.0.0", allowedHosts: ["app.example"] }).check({ host, origin: undefined })).toBe("forbidden_host");
    }
  });

  it("may stand there once", () => {
    expect(makeGuard().check({ host: ["localhost"], origin: undefined })).toBeUndefined();
    expect(makeGuard().check({ host: ["localhost", "localhost"], origin: undefined })).toBe("forbidden_host");
    expect(makeGuard({ boundHost: "::" }).check({ host: ["a.example", "b.example"], origin: undefined })).toBe("forbidden_host");
  });

  it("may be one that was allowed, or the one that is listened on", () => {
    const guard = makeGuard({ boundHost: "Box.Local", allowedHosts: ["App.Example", "tunnel.example:443", "fd00::1"] });
    for (const host of ["app.example", "APP.EXAMPLE.:1", "tunnel.example:8443", "[fd00:0::1]:80", "box.local", "localhost"]) {
      expect(guard.check({ host, origin: undefined })).toBeUndefined();
    }
    expect(guard.check({ host: "sub.app.example", origin: undefined })).toBe("forbidden_host");
  });

  it.each(["127.0.0.1", "127.9.9.9", "localhost", "LOCALHOST", "::1", "[::1]", "0:0:0:0:0:0:0:1"])("is checked where %s is listened on", (boundHost) => {
    expect(makeGuard({ boundHost }).check({ host: "evil.example", origin: undefined })).toBe("forbidden_host");
    expect(makeGuard({ boundHost }).check({ host: "localhost", origin: undefined })).toBeUndefined();
  });

  it.each(["0.0.0.0", "::", "192.168.0.2", "box.local"])("may be anything where others reach us, at %s, until a list says otherwise", (boundHost) => {
    expect(makeGuard({ boundHost }).check({ host: "whatever.example:1", origin: undefined })).toBeUndefined();
    expect(makeGuard({ boundHost, allowedHosts: ["app.example"] }).check({ host: "whatever.example:1", origin: undefined })).toBe("forbidden_host");
  });

  it("does not start with an allowed host that no request can name", () => {
    for (const entry of ["", "https://app.example", "a b", "*"]) expect(() => makeGuard({ allowedHosts: [entry] })).toThrow("api.allowed_hosts");
  });

  it("is never taken for the loopback's when a page could have chosen it", () => {
    const label = fc.stringMatching(/^[a-z0-9-]{1,10}$/);
    fc.assert(
      fc.property(fc.array(label, { minLength: 1, maxLength: 4 }), fc.stringMatching(/^[a-z]{2,6}$/), fc.boolean(), (labels, top, dot) => {
        fc.pre(top !== "localhost");
        const host = `${[...labels, top].join(".")}${dot ? "." : ""}:8900`;
        expect(makeGuard().check({ host, origin: undefined })).toBe("forbidden_host");
      }),
    );
  });

  it("is read the same way however often", () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.webAuthority({ withPort: true }),
          fc.ipV6().map((ip) => `[${ip}]:1`),
          fc.string(),
        ),
        (text) => {
          const host = parseHost(text);
          if (host !== undefined) expect(parseHost(`${host.name}:${host.port}`)).toEqual(host);
        },
      ),
    );
  });
});

describe("the page that a request comes from", () => {
  it("may be none, or one that was served here", () => {
    const guard = makeGuard();
    for (const [host, origin] of [
      ["127.0.0.1:8900", undefined],
      ["127.0.0.1:8900", "http://127.0.0.1:8900"],
      ["LOCALHOST:8900", "http://localhost:8900"],
      ["localhost", "http://localhost"],
      ["localhost:80", "http://localhost"],
      ["localhost", "https://localhost"],
      ["localhost:443", "https://localhost"],
      ["[::1]:8900", "http://[::1]:8900"],
    ] as const) {
      expect(guard.check({ host, origin })).toBeUndefined();
    }
  });

  it.each([
    "null",
    "",
    "https://evil.example",
    "http://localhost:8901",
    "http://localhost",
    "http://127.0.0.1:8900",
    "http://localhost:8900/",
    "http://localhost:8900, http://localhost:8900",
    "http://user@localhost:8900",
    "localhost:8900",
    "//localhost:8900",
    "file://localhost:8900",
    "http://localhost:8900.evil.example",
  ])("may not be %j", (origin) => {
    expect(makeGuard().check({ host: "localhost:8900", origin })).toBe("forbidden_origin");
  });

  it("may be one that is listed, in any case, port and scheme included", () => {
    const guard = makeGuard({ allowedOrigins: ["https://App.Example", "http://dev.example:3000/", "tauri://localhost", "chrome-extension://abcdef"] });
    const check = (origin: string) => guard.check({ host: "localhost:8900", origin });
    for (const origin of ["https://app.example", "HTTPS://APP.EXAMPLE:443", "http://dev.example:3000", "tauri://localhost", "chrome-extension://abcdef"]) {
      expect(check(origin)).toBeUndefined();
      expect(guard.isListed(origin)).toBe(true);
    }
    for (const origin of ["http://app.example", "https://sub.app.example", "https://app.example:8443", "http://dev.example", "tauri://other", "null"]) {
      expect(check(origin)).toBe("forbidden_origin");
      expect(guard.isListed(origin)).toBe(false);
    }
    // Served here, but not to be read by way of CORS.
    expect(guard.isListed("http://localhost:8900")).toBe(false);
  });

  it("may be any where the list says so, but the name is checked all the same", () => {
    const guard = makeGuard({ allowedOrigins: ["*"] });
    expect(guard.check({ host: "localhost", origin: "https://any.example" })).toBeUndefined();
    expect(guard.check({ host: "localhost", origin: "null" })).toBeUndefined();
    expect(guard.check({ host: "evil.example", origin: "http://evil.example" })).toBe("forbidden_host");
  });

  it("is compared with nothing where the request names no host", () => {
    expect(makeGuard({ boundHost: "0.0.0.0" }).check({ host: undefined, origin: "http://a.example" })).toBe("forbidden_origin");
  });

  it("does not start with a listed origin that no page can have", () => {
    for (const entry of ["", "null", "app.example", "https://app.example/path", "https://*.example", "https://a b"]) {
      expect(() => makeGuard({ allowedOrigins: [entry] })).toThrow("api.cors.allowed_origins");
    }
  });
});
