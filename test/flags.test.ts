import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { defaults } from "../src/contract/defaults.ts";
import { parseFlags } from "../src/flags.ts";

function exitOf(...argv: string[]) {
  const parsed = parseFlags(argv);
  if (!("exit" in parsed)) throw new Error(`accepted: ${JSON.stringify(parsed)}`);
  return parsed.exit;
}

describe("the command line", () => {
  it("says nothing when it is empty", () => {
    expect(parseFlags([])).toEqual({ quietReady: false });
  });

  it("takes values after a space or an equals sign", () => {
    const meant = { quietReady: true, logLevel: "DEBUG", storagePath: "a=b.db", config: "c.yaml" };
    expect(parseFlags(["--log-level", "DEBUG", "--quiet-ready", "--storage-path", "a=b.db", "--config", "c.yaml"])).toEqual(meant);
    expect(parseFlags(["--log-level=DEBUG", "--quiet-ready", "--storage-path=a=b.db", "--config=c.yaml"])).toEqual(meant);
  });

  it("takes a level in any case and :memory: as a path", () => {
    expect(parseFlags(["--log-level", "warning", "--storage-path", ":memory:"])).toEqual({ quietReady: false, logLevel: "WARNING", storagePath: ":memory:" });
  });

  it("lets the last of two equal flags win", () => {
    expect(parseFlags(["--log-level=DEBUG", "--log-level", "ERROR"])).toEqual({ quietReady: false, logLevel: "ERROR" });
  });

  it("takes a file whose name starts with a dash after an equals sign", () => {
    expect(parseFlags(["--config=-odd.yaml"])).toEqual({ quietReady: false, config: "-odd.yaml" });
  });

  it("prints help with every flag and the defaults, and exits with 0", () => {
    for (const flag of ["-h", "--help"]) {
      const { code, stdout = "", stderr } = exitOf(flag);
      expect(code).toBe(0);
      expect(stderr).toBeUndefined();
      expect(stdout.startsWith("usage: steerable-sidecar [-h]")).toBe(true);
      for (const name of [
        "-h, --help",
        "--version",
        "--log-level {DEBUG,INFO,WARNING,ERROR}",
        "--quiet-ready",
        "--storage-path FILE|:memory:",
        "--config FILE",
      ]) {
        expect(stdout).toContain(`  ${name}`);
      }
      expect(stdout).toContain(`Default: ${defaults.logLevel}.`);
      expect(stdout.endsWith("\n")).toBe(true);
    }
  });

  it("prints the version of package.json", () => {
    const { version } = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8")) as { version: string };
    expect(exitOf("--version")).toEqual({ code: 0, stdout: `steerable-sidecar ${version}\n` });
  });

  it.each([
    [["--foo"], "unknown flag --foo (try --help)"],
    [["--log-leve", "DEBUG"], "unknown flag --log-leve (did you mean --log-level? Try --help)"],
    [["--storage", "x"], "unknown flag --storage (did you mean --storage-path? Try --help)"],
    [["--quiet_ready"], "unknown flag --quiet_ready (did you mean --quiet-ready? Try --help)"],
    [["-x"], "unknown flag -x (try --help)"],
    [["--config"], "--config needs a value (try --help)"],
    [["--config="], "--config needs a value (try --help)"],
    [["--config", "--quiet-ready"], "--config needs a value (try --help)"],
    [["--log-level", "LOUD"], "--log-level must be one of DEBUG, INFO, WARNING, ERROR, not LOUD"],
    [["--quiet-ready=yes"], "--quiet-ready takes no value"],
    [["serve"], "unexpected argument serve (try --help)"],
    [["--"], "unexpected argument -- (try --help)"],
    [[""], 'unexpected argument "" (try --help)'],
    [["--foo", "--help"], "unknown flag --foo (try --help)"],
  ])("refuses %j with one line and exit code 2", (argv, message) => {
    expect(exitOf(...argv)).toEqual({ code: 2, stderr: `steerable-sidecar: ${message}\n` });
  });

  it("keeps its complaint on one short line without secrets, whatever was typed", () => {
    for (const argument of ["a\nb\u2028c\u001b[2J", "x".repeat(10_000), "sk-abcdefghijklmnop", "--api-key=hunter2hunter2"]) {
      const { stderr = "" } = exitOf(argument);
      expect(stderr.trimEnd().split(/[\n\r\u2028\u2029]/)).toHaveLength(1);
      expect(stderr.length).toBeLessThan(200);
      expect(stderr).not.toMatch(/abcdefghijklmnop|hunter2/);
      expect(stderr).not.toContain("\u001b");
    }
  });
});
