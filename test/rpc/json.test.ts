import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { deeperThan, encodeJson, rawIntegerId } from "../../src/rpc/json.ts";

describe("encodeJson", () => {
  it("keeps every well-formed value, on one line, without line separators or lone surrogates", { timeout: 120_000 }, () => {
    fc.assert(
      fc.property(fc.jsonValue({ stringUnit: "binary" }), (value) => {
        const text = encodeJson(value);
        expect(text).not.toMatch(/[\n\r\u2028\u2029]/);
        expect(JSON.stringify(JSON.parse(text))).toEqual(JSON.stringify(value));
      }),
    );
  });

  it("puts U+FFFD where a surrogate stands alone and leaves text that spells an escape", () => {
    expect(JSON.parse(encodeJson(["a\ud800b", "\\ud800", "\\\\ud800", "\ud83d\ude00", "x\udc00"]))).toEqual([
      "a\ufffdb",
      "\\ud800",
      "\\\\ud800",
      "\ud83d\ude00",
      "x\ufffd",
    ]);
    expect(encodeJson("\ud800\ud800\\")).toBe('"\ufffd\ufffd\\\\"');
  });
});

describe("deeperThan", () => {
  it("counts nesting outside of strings", () => {
    const nested = (levels: number) => `${"[".repeat(levels)}${"]".repeat(levels)}`;
    expect(deeperThan(nested(256), 256)).toBe(false);
    expect(deeperThan(nested(257), 256)).toBe(true);
    expect(deeperThan(JSON.stringify({ text: "[".repeat(2000) }), 256)).toBe(false);
    expect(deeperThan(JSON.stringify({ text: '"[\\'.repeat(500) }), 2)).toBe(false);
    expect(deeperThan(`[${"[],".repeat(400)}[]]`, 2)).toBe(false);
  });
});

describe("rawIntegerId", () => {
  it("finds the id of the frame itself, exactly as it was written", () => {
    expect(rawIntegerId('{"jsonrpc":"2.0","id" : 9007199254740993,"method":"x"}')).toBe("9007199254740993");
    expect(rawIntegerId('{"params":{"id":1},"a":"\\"id\\":2","id":-12345678901234567890}')).toBe("-12345678901234567890");
    expect(rawIntegerId('{"id":1,"id":18446744073709551615}')).toBe("18446744073709551615");
    expect(rawIntegerId('{"params":{"id":9007199254740993,"deeper":{"id":2}}}')).toBe("9007199254740993");
    expect(rawIntegerId('{"params":{"deeper":{"id":9007199254740993}}}')).toBeUndefined();
  });
});
