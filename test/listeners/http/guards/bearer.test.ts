import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { bearerKey, isKey, MOST_KEY_LENGTH } from "../../../../src/listeners/http/guards/bearer.ts";

const visible = fc.string({ minLength: 1, maxLength: 200, unit: fc.integer({ min: 0x21, max: 0x7e }).map((code) => String.fromCharCode(code)) });

describe("the key of a request", () => {
  it("is what follows the scheme, in any case, and one space", () => {
    fc.assert(
      fc.property(visible, fc.constantFrom("Bearer", "bearer", "BEARER", "bEaReR"), (key, scheme) => {
        expect(bearerKey(`${scheme} ${key}`)).toBe(key);
      }),
    );
    const longest = "k".repeat(MOST_KEY_LENGTH);
    expect(bearerKey(`Bearer ${longest}`)).toBe(longest);
  });

  it.each([
    ["nothing", undefined],
    ["an empty header", ""],
    ["the scheme alone", "Bearer"],
    ["no key", "Bearer "],
    ["two spaces", "Bearer  key"],
    ["a tab", "Bearer\tkey"],
    ["a space in the key", "Bearer a b"],
    ["a space after the key", "Bearer key "],
    ["two schemes", "Bearer Bearer key"],
    ["another scheme", "Basic dTpw"],
    ["a longer scheme", "Bearers key"],
    ["no scheme", "key"],
    ["a space in front", " Bearer key"],
    ["a control character", "Bearer k\u0007y"],
    ["a letter outside of ASCII", "Bearer kéy"],
    ["a line break", "Bearer key\n"],
    ["4,097 characters", `Bearer ${"k".repeat(MOST_KEY_LENGTH + 1)}`],
  ])("is not there with %s", (_, header) => {
    expect(bearerKey(header)).toBeUndefined();
  });

  it("is read from no header that a key could not be written into", () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.integer({ min: 0, max: 0x17f }).map((code) => String.fromCharCode(code)), maxLength: 12 }), (text) => {
        expect(bearerKey(`Bearer ${text}`)).toBe(isKey(text) ? text : undefined);
      }),
    );
  });
});
