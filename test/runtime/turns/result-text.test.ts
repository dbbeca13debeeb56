import { describe, expect, it } from "vitest";
import { resultText, toolMessage } from "../../../src/runtime/turns/result-text.ts";

describe("a result for the model", () => {
  it("is plain text where it is nothing but text", () => {
    expect(resultText({ success: true, data: { value: "hi", durationMs: 3 } })).toBe("hi");
    expect(resultText({ success: true, data: { text: "hi", durationMs: 3 } })).toBe("hi");
  });

  it("is JSON otherwise, without what is meant for hosts only", () => {
    expect(resultText({ success: true, data: { value: 5, durationMs: 3 } })).toBe('{"success":true,"data":{"value":5}}');
    expect(resultText({ success: true, data: { value: "hi", more: 1, durationMs: 3 } })).toBe('{"success":true,"data":{"value":"hi","more":1}}');
    expect(resultText({ success: true, message: "done", data: { value: "hi" } })).toBe('{"success":true,"message":"done","data":{"value":"hi"}}');
    expect(resultText({ success: true, terminal: true, data: { text: "hi" } })).toContain('"terminal":true');
    expect(resultText({ success: true, data: { durationMs: 3 } })).toBe('{"success":true}');
    expect(resultText({ success: false, needsFollowup: true, error: "no", kind: "tool_failed", data: { durationMs: 3 } })).toBe(
      '{"success":false,"error":"no","kind":"tool_failed"}',
    );
  });

  it("keeps its beginning and its end when it is too long, and says how much is missing", () => {
    const text = `first ${"x".repeat(200_000)} last`;
    const shown = resultText({ success: true, data: { value: text } });
    expect(shown.length).toBeLessThan(100_100);
    expect(shown).toMatch(/^first x+\n\[… 100011 characters left out …\]\nx+ last$/);
    expect(resultText({ success: true, data: { value: "y".repeat(100_000) } })).toBe("y".repeat(100_000));
  });

  it("does not tear a character apart", () => {
    for (const before of ["", "x"]) {
      const shown = resultText({ success: true, data: { value: `${before}${"😀".repeat(100_000)}` } });
      expect(shown).toBe(Buffer.from(shown).toString());
      const missing = Number(/… (\d+) characters/.exec(shown)?.[1]);
      expect(missing + (shown.match(/😀/g)?.length ?? 0) * 2 + before.length).toBe(200_000 + before.length);
    }
  });

  it("is the message of its call, with the whole of it and its doubt where they belong", () => {
    const result = { success: false, outcomeUnknown: true, error: "cut" };
    expect(toolMessage("c", result, true)).toMatchObject({ role: "tool", toolCallId: "c", outcomeUnknown: true, result });
    expect(toolMessage("c", { success: true }, false)).toEqual({ role: "tool", toolCallId: "c", content: '{"success":true}' });
  });
});
