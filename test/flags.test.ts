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
        "--http [HOST:]PORT",
        "--host HOST",
        "--port PORT",
        "--bind-all",
        "--http-only",
        "--auth-token TOKEN",
        "--no-auth",
        "--max-sessions N",
        "--max-body-mb N",
        "--rate-limit N",
      ]) {
        expect(stdout).toContain(`  ${name}`);
      }
      expect(stdout).toContain(`Default: ${defaults.logLevel}.`);
      const { listen_addr, max_sessions, max_body_bytes, rate_limit_per_minute } = defaults.api;
      expect(stdout).toContain(`Default: ${listen_addr.split(":")[0]}.`);
      expect(stdout).toContain(`else ${listen_addr.split(":")[1]}.`);
      for (const value of [max_sessions, max_body_bytes / 1024 / 1024, rate_limit_per_minute]) expect(stdout).toContain(`Default: ${value}.`);
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

  it("hands the arguments of hash-key on, whatever they are", () => {
    expect(parseFlags(["hash-key", "--generate", "-x"])).toEqual({ subcommand: "hash-key", args: ["--generate", "-x"] });
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

describe("the flags of the HTTP listener", () => {
  const plain = { opens: true, only: false, bindsAll: false, noAuth: false };
  const http = (...argv: string[]) => {
    const parsed = parseFlags(argv);
    if (!("quietReady" in parsed)) throw new Error(`refused: ${JSON.stringify(parsed)}`);
    return parsed.http;
  };

  it("are absent where none is given", () => {
    expect(http("--quiet-ready")).toBeUndefined();
  });

  it.each([
    ["8900", { host: "127.0.0.1", port: 8900 }],
    [":8900", { host: "127.0.0.1", port: 8900 }],
    ["0", { host: "127.0.0.1", port: 0 }],
    ["localhost:65535", { host: "localhost", port: 65_535 }],
    ["0.0.0.0:80", { host: "0.0.0.0", port: 80 }],
    ["[::1]:0", { host: "::1", port: 0 }],
    ["[fe80::1%eth0]:1", { host: "fe80::1%eth0", port: 1 }],
    ["my-host.example:8080", { host: "my-host.example", port: 8080 }],
  ])("take %s as an address, a port alone as one of the loopback", (address, meant) => {
    expect(http("--http", address)).toEqual({ ...plain, ...meant });
  });

  it.each([
    "65536",
    "x",
    "localhost",
    "::1:0",
    "[::1]",
    "[::1",
    "[127.0.0.1]:1",
    "http://localhost:1",
    "a b:1",
    "-1",
    "1.5",
    "0x10",
    "localhost:",
    "a:1:2",
    "*:80",
  ])("refuse %s as an address", (address) => {
    expect(exitOf(`--http=${address}`)).toEqual({
      code: 2,
      stderr: `steerable-sidecar: --http must be [host:]port, as 8900, 0.0.0.0:8900 or [::1]:8900, not ${address}\n`,
    });
  });

  it("open it by host, port and bind-all too, and leave the rest to the configuration", () => {
    expect(http("--host", "::1")).toEqual({ ...plain, host: "::1" });
    expect(http("--port", "0")).toEqual({ ...plain, port: 0 });
    expect(http("--bind-all")).toEqual({ ...plain, host: "0.0.0.0", bindsAll: true });
    expect(http("--http-only", "--max-sessions", "5", "--max-body-mb=10", "--rate-limit", "0")).toEqual({
      ...plain,
      opens: false,
      only: true,
      maxSessions: 5,
      maxBodyBytes: 10 * 1024 * 1024,
      requestsPerMinute: 0,
    });
  });

  it("may say one thing twice, but not two", () => {
    expect(http("--http", "9000", "--host", "::1", "--port", "9000")).toEqual({ ...plain, host: "::1", port: 9000 });
    expect(http("--http", "0.0.0.0:1", "--bind-all", "--host=0.0.0.0")).toMatchObject({ host: "0.0.0.0", port: 1 });
    const contradictions: [string, string[]][] = [
      ["--http and --host", ["--http", "127.0.0.1:1", "--host", "::1"]],
      ["--http and --port", ["--port", "2", "--http", "1"]],
      ["--http and --bind-all", ["--http", "localhost:1", "--bind-all"]],
      ["--bind-all and --host", ["--host", "127.0.0.1", "--bind-all"]],
      ["--no-auth and --auth-token", ["--auth-token", "abcdefgh", "--no-auth"]],
    ];
    for (const [what, argv] of contradictions) expect(exitOf(...argv)).toEqual({ code: 2, stderr: `steerable-sidecar: ${what} contradict each other\n` });
  });

  it.each([
    ["--port", "65536", "0 to 65535"],
    ["--port", "80a", "0 to 65535"],
    ["--max-sessions", "0", "1 to 1000000"],
    ["--max-body-mb", "0.5", "1 to 512"],
    ["--max-body-mb", "513", "1 to 512"],
    ["--rate-limit", "1e3", "0 to 1000000000"],
  ])("refuse %s %s", (name, value, bounds) => {
    expect(exitOf(`${name}=${value}`)).toEqual({ code: 2, stderr: `steerable-sidecar: ${name} must be a whole number from ${bounds}, not ${value}\n` });
  });

  it("never show a token, right or wrong", () => {
    expect(http("--auth-token", "open-sesame-1")).toMatchObject({ opens: false, token: "open-sesame-1" });
    for (const argv of [
      ["--auth-token", "open-sesame-2", "--nonsense-open-sesame-2"],
      ["--auth-token=open sesame-2"],
      ["--auth-token", "open-sesame-2\n"],
      ["--auth-token", "\u00f6pen-sesame-2"],
      ["--auth-token", "short"],
      ["--auth-token", "x".repeat(1025)],
    ]) {
      const { code, stderr = "" } = exitOf(...argv);
      expect(code).toBe(2);
      expect(stderr).not.toMatch(/sesame-2|short|xxx/);
    }
  });
});
