import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { isSecretKey, MASK, redact, redactText, registerSecret } from "../src/redact.ts";

describe("names of secrets", () => {
  it.each(
    "password passwd userPassword passphrase pwd secret clientSecret client_secret token accessToken access_token refreshToken auth-token idToken tokenValue apiKey api_key x-api-key OPENAI_API_KEY Authorization proxy-authorization credentials Cookie set-cookie privateKey aws_access_key_id accessTokens".split(
      " ",
    ),
  )("%s is one", (key) => {
    expect(isSecretKey(key)).toBe(true);
  });

  it.each(
    "maxTokens max_tokens completion_tokens totalTokens promptTokens reasoningTokens tokens tokenCount tokenizer token_usage maxToken author key name bypass compass inputPerMTok".split(
      " ",
    ),
  )("%s is none", (key) => {
    expect(isSecretKey(key)).toBe(false);
  });
});

describe("redacting values", () => {
  it("masks by key name at every depth, whatever the value is", () => {
    const given = { a: [{ apiKey: "k" }, { deep: { Authorization: ["x"], credentials: { user: "u" }, pwd: 1234 } }], maxTokens: 5 };
    expect(redact(given)).toEqual({ a: [{ apiKey: MASK }, { deep: { Authorization: MASK, credentials: MASK, pwd: MASK } }], maxTokens: 5 });
  });

  it("leaves alone what tells nothing: empty values and switches", () => {
    const given = { apiKey: "", token: null, password: undefined, hasSecret: true };
    expect(redact(given)).toEqual(given);
  });

  it("does not change what it is given", () => {
    const given = { apiKey: "k", list: [1, { token: "t" }] };
    const before = structuredClone(given);
    redact(given);
    expect(given).toEqual(before);
  });

  it("ends on values that contain themselves, also many times", () => {
    const knot: Record<string, unknown> = { name: "knot" };
    for (let i = 0; i < 8; i++) knot[`self${i}`] = knot;
    expect(redact(knot)).toMatchObject({ name: "knot", self0: "[circular]", self7: "[circular]" });
    const list: unknown[] = [];
    list.push(list);
    expect(redact(list)).toEqual(["[circular]"]);
  });

  it("ends on shared parts inside shared parts, and on endless lists", () => {
    let shared: unknown = { leaf: 1 };
    for (let i = 0; i < 28; i++) shared = { a: shared, b: shared };
    expect(redact(shared)).toBeTypeOf("object");
    expect(JSON.stringify(redact(Object.assign([], { length: 1e9 })))).toContain("[left out]");
  });

  it("cuts what is too deep", () => {
    let deep: unknown = "bottom";
    for (let i = 0; i < 5000; i++) deep = { deep };
    expect(JSON.stringify(redact(deep))).toContain("[too deep]");
  });

  it("copes with everything that is not JSON", () => {
    const given = {
      error: new Error("boom Bearer abcdefghijkl"),
      gathered: Object.assign(new AggregateError([]), { code: "ECONNREFUSED" }),
      map: new Map<unknown, unknown>([
        ["apiKey", "k"],
        [1, "one"],
      ]),
      set: new Set(["a"]),
      buffer: Buffer.from("secret"),
      date: new Date(0),
      badDate: new Date(Number.NaN),
      url: new URL("https://u:p4ss@example.com/"),
      big: 10n,
      symbol: Symbol("s"),
      fn: () => 1,
      json: { toJSON: () => ({ token: "t" }) },
      throwing: {
        get x() {
          throw new Error("no");
        },
      },
      revoked: revoked(),
    };
    const out = redact(given);
    expect(out).toEqual({
      error: `boom Bearer ${MASK}`,
      gathered: "ECONNREFUSED",
      map: { apiKey: MASK, 1: "one" },
      set: ["a"],
      buffer: "[6 bytes]",
      date: "1970-01-01T00:00:00.000Z",
      badDate: null,
      url: `https://${MASK}@example.com/`,
      big: "10",
      symbol: "Symbol(s)",
      fn: "[function]",
      json: { token: MASK },
      throwing: "[unreadable]",
      revoked: "[unreadable]",
    });
    expect(() => JSON.stringify(out)).not.toThrow();
  });

  it("copies a key named __proto__ like any other", () => {
    const out = redact(JSON.parse('{"__proto__":{"polluted":true}}'));
    expect(Object.getPrototypeOf(out)).toBe(Object.prototype);
    expect(JSON.stringify(out)).toBe('{"__proto__":{"polluted":true}}');
  });

  it("never throws and always gives JSON", () => {
    fc.assert(
      fc.property(fc.anything({ withBigInt: true, withDate: true, withMap: true, withSet: true, withTypedArray: true, withNullPrototype: true }), (value) => {
        JSON.stringify(redact(value));
      }),
    );
  });
});

describe("redacting text", () => {
  it("masks registered values wherever they stand, also with characters that mean something in a pattern", () => {
    for (const secret of ["p(a[s$&s.*w+o?rd", "C:\\keys\\id", "$1$$2$`x`", "ünïcödé ☃"]) {
      registerSecret(secret);
      expect(redactText(`<${secret}> and ${secret}`)).toBe(`<${MASK}> and ${MASK}`);
    }
  });

  it("masks a registered value inside JSON text and inside an address", () => {
    const secret = 'quo"te\\and/slash';
    registerSecret(secret);
    const line = JSON.stringify({ body: secret });
    expect(redactText(line)).toBe(`{"body":"${MASK}"}`);
    expect(redactText(`http://x/?q=${encodeURIComponent(secret)}&z=1`)).toBe(`http://x/?q=${MASK}&z=1`);
  });

  it("masks the whole of a secret that starts with another", () => {
    registerSecret("prefix-secret");
    registerSecret("prefix-secret-and-more");
    expect(redactText("prefix-secret-and-more")).toBe(MASK);
  });

  it("masks a secret that came with a newline at its end", () => {
    registerSecret("from-a-file-1234\n");
    expect(redactText("x from-a-file-1234 y")).toBe(`x ${MASK} y`);
  });

  it("does not search for short values", () => {
    registerSecret("the");
    registerSecret(undefined);
    expect(redactText("the end")).toBe("the end");
  });

  it("forgets the values seen longest ago, not those seen again, nor those that were given for good", () => {
    registerSecret("seen-long-ago");
    registerSecret("seen-again");
    registerSecret("given-at-the-start", { forGood: true });
    for (let i = 0; i < 600; i++) {
      registerSecret(`filler-value-${i}`);
      registerSecret("seen-again");
    }
    expect(redactText("seen-long-ago seen-again filler-value-599 given-at-the-start")).toBe(`seen-long-ago ${MASK} ${MASK} ${MASK}`);
  });

  it.each([
    ["key sk-abcdefgh12345678 end", `key ${MASK} end`],
    ["sk_live_abcdefgh12345678", MASK],
    ["Bearer abcdef123456", `Bearer ${MASK}`],
    ["authorization: Basic dXNlcjpwYXNz", `authorization: Basic ${MASK}`],
    ["eyJhbGciOiJI.eyJzdWIiOiIx.c2lnbmF0dXJl", MASK],
    ["https://user:pa%24s@host/x", `https://${MASK}@host/x`],
    ["https://host/v1?key=abc123&x=1", `https://host/v1?key=${MASK}&x=1`],
    ["ghp_abcdefghijklmnopqrstuvwx", MASK],
    ["https://host:8080/path@2", "https://host:8080/path@2"],
    ["a task-management risk-assessment with tokens", "a task-management risk-assessment with tokens"],
    ['{"baseUrl":"http://localhost","email":"a:b@c.d"}', '{"baseUrl":"http://localhost","email":"a:b@c.d"}'],
  ])("%s", (text, expected) => {
    expect(redactText(text)).toBe(expected);
  });

  it("takes time in proportion to the text, also for text made to be slow", { timeout: 180_000 }, () => {
    const fragments = ["eyJ-", "eyJaaaaaaaa.", "sk-", "Bearer  ", "://a:", "://", "a:b@", "?key=", "authorization: ", "-----BEGIN PRIVATE KEY-----", " ", "a"];
    const longest = (count: number) =>
      Math.max(
        ...fragments.map((fragment) => {
          const text = fragment.repeat(count);
          const started = performance.now();
          redactText(text);
          return performance.now() - started;
        }),
      );
    longest(1000);
    // Quadratic work on these would be minutes, not seconds.
    expect(longest(200_000)).toBeLessThan(20_000);
  });

  it("leaves a line of JSON a line of JSON", () => {
    const text = fc.oneof(
      fc.string(),
      fc.constantFrom("http://", "a:b@", "Bearer ", "sk-abcdefghij", "authorization: ", '"', "\\", "\n", "?key=v", "eyJaaaaaaaaa.bbbbbbbbb."),
    );
    fc.assert(
      fc.property(
        fc.array(text).map((parts) => parts.join("")),
        text,
        (a, b) => {
          const line = JSON.stringify({ [a]: b, url: `http://${a}`, other: `${b}@` });
          expect(() => JSON.parse(redactText(line))).not.toThrow();
        },
      ),
      { numRuns: 500 },
    );
  });
});

function revoked(): object {
  const { proxy, revoke } = Proxy.revocable({}, {});
  revoke();
  return proxy;
}
