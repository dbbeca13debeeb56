import { describe, expect, it } from "vitest";
import { isLoopback, proxyFor } from "../../src/providers/proxy.ts";

const both = { HTTP_PROXY: "http://plain.proxy:3128", HTTPS_PROXY: "http://tls.proxy:3129" };
const chosen = (url: string, environment: Record<string, string>) => proxyFor(new URL(url), environment)?.host;

describe("proxyFor", () => {
  it("takes HTTP_PROXY for http and HTTPS_PROXY for https", () => {
    expect(chosen("http://models.example/v1", both)).toBe("plain.proxy:3128");
    expect(chosen("https://models.example/v1", both)).toBe("tls.proxy:3129");
    expect(chosen("https://models.example/v1", { HTTP_PROXY: "http://plain.proxy:3128" })).toBeUndefined();
    expect(chosen("https://models.example/v1", {})).toBeUndefined();
  });

  it("reads lower case as well, and prefers it", () => {
    expect(chosen("https://models.example/", { https_proxy: "http://lower.proxy:1" })).toBe("lower.proxy:1");
    expect(chosen("https://models.example/", { ...both, https_proxy: "http://lower.proxy:1" })).toBe("lower.proxy:1");
    expect(chosen("https://models.example/", { ...both, https_proxy: "" })).toBeUndefined();
  });

  it("accepts a proxy without a scheme, and throws on nonsense", () => {
    expect(chosen("http://models.example/", { HTTP_PROXY: "proxy:3128" })).toBe("proxy:3128");
    expect(() => chosen("http://models.example/", { HTTP_PROXY: "http://" })).toThrow(TypeError);
  });

  it.each([
    "http://127.0.0.1:11434",
    "http://127.8.9.10",
    "http://localhost:8080",
    "http://LOCALHOST",
    "http://app.localhost",
    "http://[::1]:8080",
    "http://[::ffff:127.0.0.1]",
    "https://localhost.",
  ])("never goes through a proxy to %s", (url) => {
    expect(chosen(url, { ...both, NO_PROXY: "" })).toBeUndefined();
  });

  it.each(["http://128.0.0.1", "http://notlocalhost", "http://localhost.example.com", "http://[::2]", "http://10.0.0.1"])(
    "does not take %s for this machine",
    (url) => {
      expect(chosen(url, both)).toBe("plain.proxy:3128");
    },
  );

  it.each([
    ["models.example", "http://models.example", true],
    ["models.example", "http://eu.models.example", true],
    [".models.example", "http://eu.models.example", true],
    ["*.models.example", "http://eu.models.example", true],
    ["models.example", "http://othermodels.example", false],
    ["MODELS.example", "http://models.EXAMPLE", true],
    ["a.example, models.example", "http://models.example", true],
    ["a.example models.example", "http://models.example", true],
    ["models.example:8080", "http://models.example:8080", true],
    ["models.example:8080", "http://models.example", false],
    ["models.example:80", "http://models.example", true],
    ["*", "http://anything.example", true],
    ["10.0.0.0/8", "http://10.1.2.3", true],
    ["10.0.0.0/8", "http://11.1.2.3", false],
    ["10.0.0.0/99", "http://10.1.2.3", false],
    ["fd00::/8", "http://[fd12::1]", true],
    ["[fd12::1]:8080", "http://[fd12::1]:8080", true],
    ["fd12::1", "http://[fd12::1]:8080", true],
    ["0.0.1", "http://10.0.0.1", false],
    ["", "http://models.example", false],
  ])("NO_PROXY=%s and %s: direct is %s", (noProxy, url, direct) => {
    expect(chosen(url, { ...both, NO_PROXY: noProxy }) === undefined).toBe(direct);
  });
});

describe("isLoopback", () => {
  it("does not take a name that begins like an address for one", () => {
    expect(isLoopback("127.0.0.1.example.com")).toBe(false);
  });
});
