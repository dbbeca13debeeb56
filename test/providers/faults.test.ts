import { describe, expect, it } from "vitest";
import { bodyFailure, connectionFailure, messageIn, statusFailure, waitOf } from "../../src/providers/faults.ts";
import { MASK, registerSecret } from "../../src/redact.ts";

const url = new URL("https://models.example:8443/v1/chat/completions");
const coded = (code: string) => Object.assign(new Error("at Socket.connect (/secret/path.js)"), { code });
const parserError = (reason: string) => Object.assign(new Error(`Response does not match the HTTP/1.1 protocol (${reason})`), { name: "HTTPParserError" });
const now = Date.parse("2026-01-01T10:00:00Z");

describe("failures of the connection", () => {
  it.each([
    ["ECONNREFUSED", "connect_failed"],
    ["ECONNRESET", "connect_failed"],
    ["UND_ERR_SOCKET", "connect_failed"],
    ["UND_ERR_CONNECT_TIMEOUT", "connect_failed"],
    ["EHOSTUNREACH", "connect_failed"],
    ["SOMETHING_NEW", "connect_failed"],
    ["ENOTFOUND", "dns_failed"],
    ["EAI_AGAIN", "dns_failed"],
    ["DEPTH_ZERO_SELF_SIGNED_CERT", "tls_failed"],
    ["UNABLE_TO_VERIFY_LEAF_SIGNATURE", "tls_failed"],
    ["CERT_HAS_EXPIRED", "tls_failed"],
    ["ERR_TLS_CERT_ALTNAME_INVALID", "tls_failed"],
    ["ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION", "tls_failed"],
    ["EPROTO", "tls_failed"],
    ["UND_ERR_INVALID_ARG", "invalid_params"],
  ])("%s is %s, and its message names neither stack nor path", (code, kind) => {
    const failure = connectionFailure(coded(code), url, false);
    expect(failure.kind).toBe(kind);
    expect(failure.message).not.toMatch(/\bat |path|\/v1/);
  });

  it("finds the code of an error inside another", () => {
    expect(connectionFailure(new Error("outer", { cause: coded("ENOTFOUND") }), url, false).kind).toBe("dns_failed");
  });

  it("names the proxy when there is one, and does not try again without a password", () => {
    expect(connectionFailure(coded("ECONNREFUSED"), url, true).message).toBe(
      "Could not connect to models.example:8443 through the proxy: connection refused (ECONNREFUSED)",
    );
    const login = Object.assign(new Error("Proxy response (407) !== 200 when HTTP Tunneling"), { code: "UND_ERR_ABORTED" });
    expect(connectionFailure(login, url, true)).toMatchObject({ kind: "connect_failed", retryable: false });
  });

  it("tells a broken body from one that is not HTTP", () => {
    expect(bodyFailure(coded("ECONNRESET")).kind).toBe("truncated");
    expect(bodyFailure(parserError("Invalid EOF state")).kind).toBe("truncated");
    expect(bodyFailure(parserError("Invalid character in chunk size")).kind).toBe("malformed_response");
    expect(connectionFailure(parserError("Invalid EOF state"), url, false).kind).toBe("connect_failed");
    expect(connectionFailure(parserError("Expected HTTP/"), url, false).kind).toBe("malformed_response");
  });
});

describe("failures by status", () => {
  it.each([
    [400, "upstream_rejected", undefined],
    [401, "auth_failed", undefined],
    [403, "auth_failed", undefined],
    [404, "upstream_rejected", undefined],
    [408, "upstream_rejected", true],
    [422, "upstream_rejected", undefined],
    [429, "rate_limited", undefined],
    [500, "upstream_failed", undefined],
    [503, "upstream_failed", undefined],
    [529, "upstream_failed", undefined],
  ])("%i is %s", (status, kind, retryable) => {
    expect(statusFailure(status, "", undefined, now)).toEqual({
      kind,
      status,
      message: expect.stringContaining(`(${status})`),
      ...(retryable === undefined ? {} : { retryable }),
    });
  });

  it("does not try again when the account has no credit", () => {
    expect(statusFailure(429, '{"error":{"message":"You exceeded your quota","code":"insufficient_quota"}}', undefined, now).retryable).toBe(false);
  });

  it("takes Retry-After as seconds or as a date, from 429 and 5xx only", () => {
    expect(statusFailure(429, "", "3", now).retryAfterMs).toBe(3000);
    expect(statusFailure(503, "", "Thu, 01 Jan 2026 10:00:05 GMT", now).retryAfterMs).toBe(5000);
    expect(statusFailure(400, "", "3", now)).not.toHaveProperty("retryAfterMs");
  });

  it.each(["-1", "1e3", "NaN", "Infinity", "soon", "", "Thu, 01 Jan 2026 09:59:59 GMT", "Sat, 03 Jan 2026 10:00:00 GMT", "9".repeat(400)])(
    "leaves out a Retry-After of %s",
    (value) => {
      expect(waitOf(value, now)).toBeUndefined();
    },
  );

  it("accepts the ends of the range", () => {
    expect([waitOf("0", now), waitOf(" 60 ", now), waitOf("0.5", now), waitOf("86400", now)]).toEqual([0, 60_000, 500, 86_400_000]);
  });
});

describe("what the model server says", () => {
  it.each([
    ['{"error":{"message":"no such model","type":"x"}}', "no such model"],
    ['{"error":"no such model"}', "no such model"],
    ['{"message":"no such model"}', "no such model"],
    ['{"object":"error","message":"no such model","code":404}', "no such model"],
    ['{"detail":[{"loc":["body"],"msg":"field required"}]}', "field required"],
    ['[{"error":{"code":400,"message":"no such model"}}]', "no such model"],
    ["  no such\n  model ", "no such model"],
  ])("is found in %s", (body, said) => {
    expect(statusFailure(400, body, undefined, now).message).toBe(`The model server refused the request (400): ${said}`);
  });

  it.each(["<html><body>502</body></html>", "{}", '{"error":{}}', "", '{"a":'])("is left out where there is nothing to show: %s", (body) => {
    expect(statusFailure(502, body, undefined, now).message).toBe("The model server failed (502)");
  });

  it("is capped, and masked before it is capped", () => {
    registerSecret("opensesame-of-the-server");
    const message = messageIn({ error: { message: `${"x".repeat(490)} opensesame-of-the-server and Bearer abcdefghijkl` } });
    expect(message?.length).toBeLessThanOrEqual(500);
    expect(message).not.toContain("open");
    expect(messageIn("the key opensesame-of-the-server and sk-1234567890abcdef")).toBe(`the key ${MASK} and ${MASK}`);
  });
});
