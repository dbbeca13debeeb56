import type { CallToolResult } from "@modelcontextprotocol/client";
import { describe, expect, it } from "vitest";
import { Config } from "../../../src/contract/config.ts";
import { Attempts } from "../../../src/tools/mcp/attempts.ts";
import { programOf } from "../../../src/tools/mcp/program.ts";
import { resultOfCall } from "../../../src/tools/mcp/result.ts";

describe("when a server may be started", () => {
  it("is 1 s, 2 s, 4 s, … after a failure, and never more than a minute", () => {
    const attempts = new Attempts(false);
    let now = 0;
    for (const seconds of [1, 2, 4, 8, 16, 32, 60, 60, 60]) {
      attempts.failed(now, "why");
      expect(attempts.refusal(now + seconds * 1000 - 1)).toBe("why");
      now += seconds * 1000;
      expect(attempts.refusal(now)).toBeUndefined();
    }
    attempts.succeeded();
    attempts.failed(now, "again");
    expect(attempts.refusal(now + 1000)).toBeUndefined();
  });

  it("is at most five times within five minutes after the first, for programs", () => {
    const [program, remote] = [new Attempts(true), new Attempts(false)];
    for (let start = 0; start < 6; start++) {
      expect(program.refusal(start * 1000)).toBeUndefined();
      for (const attempts of [program, remote]) attempts.started(start * 1000);
    }
    expect(program.refusal(299_999)).toBe("it was restarted 5 times within 5 minutes");
    expect(remote.refusal(10_000)).toBeUndefined();
    expect(program.refusal(300_000)).toBeUndefined();
  });
});

describe("how a program is started", () => {
  const server = (command: string, args: string[] = [], env: Record<string, string> = {}) => {
    const { mcpServers } = Config.parse({ mcpServers: { s: { command, args, env } } });
    return { ...(mcpServers["s"] as (typeof mcpServers)[string]), command };
  };

  it("is as it stands in the configuration, with the variables that a program needs", () => {
    const env = { PATH: "/bin", HOME: "/home/me", OPENAI_API_KEY: "x", Path: "no" };
    expect(programOf("s", server("npx", ["-y", "a b"], { TOKEN: "t", HOME: "/else" }), env, "linux")).toEqual({
      command: "npx",
      args: ["-y", "a b"],
      cwd: undefined,
      env: { PATH: "/bin", HOME: "/else", TOKEN: "t" },
      kind: "mcp",
      name: "s",
    });
  });

  it("is through cmd.exe on Windows, where scripts are no programs, and nothing of it is a command to that", () => {
    const env = { Path: "C:\\bin", SystemRoot: "C:\\Windows", ComSpec: "C:\\cmd.exe", OPENAI_API_KEY: "x" };
    expect(programOf("s", server("npx", ["-y", 'a "b" & c', "%PATH%", "end\\"]), env, "win32")).toMatchObject({
      command: "C:\\cmd.exe",
      verbatim: true,
      args: ["/d", "/s", "/c", '"npx ^"-y^" ^"a^ \\^"b\\^"^ ^&^ c^" ^"^%PATH^%^" ^"end\\\\^""'],
      env: { Path: "C:\\bin", SystemRoot: "C:\\Windows", ComSpec: "C:\\cmd.exe" },
    });
    expect(programOf("s", server("C:\\a b\\node.EXE", ["x"]), env, "win32")).toMatchObject({ command: "C:\\a b\\node.EXE", args: ["x"] });
  });
});

describe("the result of a call", () => {
  const result = (content: CallToolResult["content"], more: Partial<CallToolResult> = {}) => resultOfCall({ content, ...more });
  const text = (value: string) => ({ type: "text" as const, text: value });

  it("joins the texts and keeps what is no text", () => {
    const link = { type: "resource_link" as const, uri: "file:///a", name: "a" };
    expect(result([text("one"), link, text("two")])).toEqual({ text: "one\ntwo", content: [link] });
    expect(result([])).toEqual({ text: "" });
    expect(result([], { structuredContent: { a: [1] } })).toEqual({ structured: { a: [1] } });
  });

  it("cuts text at 1 MiB, between two characters", () => {
    const { text: cut, ...rest } = result([text(`a${"é".repeat(600_000)}`)]);
    expect(rest).toEqual({ truncated: true, cutBytes: 1_200_001 - (1024 * 1024 - 1) });
    expect(cut).toMatch(/^aé+$/);
  });

  it("leaves structured data out that is too large, and says so", () => {
    expect(result([text("x")], { structuredContent: { a: "x".repeat(1024 * 1024) } })).toEqual({
      text: "x",
      notes: [expect.stringContaining("structured content")],
    });
  });

  it("is a failure where the server says so, with its words, cut and without secrets", () => {
    expect(() => result([text("key sk-mcp-canary-0123456789abcdef")], { isError: true })).toThrow(/^key \*+$/);
    expect(() => result([], { isError: true })).toThrow("without saying why");
    expect(() => result([text(" ")], { isError: true, structuredContent: { reason: "no sk-mcp-canary-0123456789abcdef" } })).toThrow(/^\{"reason":"no \*+"\}$/);
    expect(() => result([text("full")], { isError: true, structuredContent: { code: 7 } })).toThrow(/^full$/);
    expect(() => result([text("y".repeat(100_000))], { isError: true })).toThrow(/^y{16384}…$/);
  });
});
