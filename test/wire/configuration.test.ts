import { existsSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { spawnSidecar, startSidecar, temporaryFolder } from "../support/sidecar.ts";

describe("the command line", () => {
  it.each([
    ["--help", /usage: steerable-sidecar/],
    ["-h", /--storage-path/],
    ["--version", /^steerable-sidecar \d+\.\d+\.\d+\n$/],
  ])("%s prints and exits with 0", async (flag, output) => {
    const sidecar = spawnSidecar({ args: [flag], unread: true });
    let stdout = "";
    sidecar.child.stdout.setEncoding("utf8").on("data", (text: string) => {
      stdout += text;
    });
    expect(await sidecar.exit).toEqual({ code: 0, signal: null });
    expect(stdout).toMatch(output);
  });

  it.each([[["--frobnicate"]], [["--log-level", "LOUD"]], [["--log-level"]], [["extra"]], [["--config", "/does/not/exist.yaml"]]])(
    "%j exits with 2 and one line",
    async (args) => {
      const sidecar = spawnSidecar({ args });
      expect(await sidecar.exit).toEqual({ code: 2, signal: null });
      expect(sidecar.stderr).toMatch(/^steerable-sidecar: [^\n]+\n$/);
      expect(sidecar.lines).toEqual([]);
    },
  );
});

describe("the configuration", () => {
  it("is made of defaults, file, environment, flags and config.set, each over the one before", async () => {
    const folder = temporaryFolder();
    const file = join(folder, "config.yaml");
    writeFileSync(file, "logLevel: ERROR\ngracePeriodSeconds: 1\nproviders: { openai: { apiKey: '{{MY_KEY}}', idleTimeoutMs: 1 } }\nstoragePath: ':memory:'\n");
    const env = {
      STEERABLE_GRACE_PERIOD_SECONDS: "2",
      STEERABLE_PROVIDERS_OPENAI_IDLE_TIMEOUT_MS: "22",
      MY_KEY: "sk-very-secret-indeed",
      STEERABLE_SIDECAR_PYTHON: "/usr/bin/python3",
    };
    const sidecar = await startSidecar({ args: ["--config", file, "--log-level", "WARNING"], env });
    await sidecar.call("config.set", { providers: { openai: { idleTimeoutMs: 333 } } });
    const effective = await sidecar.call("config.get");
    expect(effective).toMatchObject({
      version: "0.1.0",
      protocolVersion: "0.1.0",
      logLevel: "WARNING",
      gracePeriodSeconds: 2,
      storagePath: ":memory:",
      providers: { openai: { apiKey: "********", idleTimeoutMs: 333, connectTimeoutMs: 10_000 } },
    });
    expect(sidecar.lines.join("") + sidecar.stderr).not.toContain("very-secret");
  });

  it("takes back exactly what config.get gave, and keeps the secrets", async () => {
    const sidecar = await startSidecar({ env: { STEERABLE_PROVIDERS_OPENAI_API_KEY: "sk-very-secret-indeed" } });
    const before = await sidecar.call("config.get");
    expect(await sidecar.request("config.set", before)).toHaveProperty("result", null);
    expect(await sidecar.call("config.get")).toEqual(before);
  });

  it("refuses a bad value whole, names what is wrong, and stores nothing of it", async () => {
    const sidecar = await startSidecar();
    const before = await sidecar.call("config.get");
    const cases: [object, RegExp][] = [
      [{ logLevel: "LOUD" }, /logLevel/],
      [{ logLevel: "DEBUG", gracePeriodSeconds: -1 }, /gracePeriodSeconds/],
      [{ logLevle: "DEBUG" }, /logLevle.*logLevel/],
      [{ providers: { openai: { apikey: "x" } } }, /apikey.*apiKey/],
      [{ storagePath: "/tmp/elsewhere.db" }, /storagePath/],
      [{ limits: { frameBytes: 1 } }, /limits/],
    ];
    for (const [params, message] of cases) {
      const { error } = await sidecar.request("config.set", params);
      expect(error).toMatchObject({ code: -32602, kind: "invalid_params" });
      expect(error?.message).toMatch(message);
    }
    expect(await sidecar.call("config.get")).toEqual(before);
  });

  it("changes the log level while the sidecar runs", async () => {
    const sidecar = await startSidecar({ args: ["--quiet-ready", "--storage-path", ":memory:"] });
    await sidecar.call("config.set", { logLevel: "DEBUG" });
    expect((await sidecar.call("config.get"))["logLevel"]).toBe("DEBUG");
  });
});

describe("the database", () => {
  it("lies in the per-user data directory when nobody says otherwise, for its owner only", async () => {
    const home = temporaryFolder();
    const sidecar = await startSidecar({ args: [], env: { XDG_DATA_HOME: home } });
    await sidecar.call("agent.session.create");
    const folder = join(home, "steerable-sidecar");
    expect(statSync(folder).mode & 0o777).toBe(0o700);
    expect(statSync(join(folder, "sidecar.db")).mode & 0o777).toBe(0o600);
  });

  it("is not touched by a sidecar that stores nothing", async () => {
    const file = join(temporaryFolder(), "sidecar.db");
    const sidecar = await startSidecar({ args: ["--storage-path", file] });
    await sidecar.call("system.ping");
    await sidecar.call("system.shutdown");
    expect(existsSync(file)).toBe(false);
  });

  it("that is none is refused with a clear error, left as it is, and costs no chat", async () => {
    const file = join(temporaryFolder(), "sidecar.db");
    writeFileSync(file, "this is not a database, whatever its name says\n".repeat(100));
    const sidecar = await startSidecar({ args: ["--storage-path", file] });
    const { error } = await sidecar.request("agent.session.create");
    expect(error).toMatchObject({ code: -32004, kind: "storage", data: { code: "storage", reason: "corrupt" } });
    expect(error?.message).not.toContain(file);
    const streamId = await sidecar.stream({ provider: "echo", messages: [{ role: "user", content: "still here" }] });
    expect((await sidecar.terminal(streamId)).method).toBe("stream.done");
    expect(await sidecar.call("system.ping")).toMatchObject({ status: "degraded", checks: { storage: { status: "error" } } });
    expect(statSync(file).size).toBe(4700);
  });
});

describe("a database that is damaged in the middle", () => {
  it("is told as storage, corrupt, by every call that meets the damage", async () => {
    const file = join(temporaryFolder(), "sidecar.db");
    const args = ["--storage-path", file];
    const first = await startSidecar({ args });
    const sessions = Array.from({ length: 200 }, (_, index) => ({ sessionId: `s${index}`, stageData: { filler: "x".repeat(3000) } }));
    await Promise.all(sessions.map((session) => first.call("agent.session.create", session)));
    await first.call("system.shutdown");
    await first.exit;
    const bytes = readFileSync(file);
    bytes.fill("Z", Math.floor(bytes.length / 3), Math.floor((bytes.length * 2) / 3));
    writeFileSync(file, bytes);
    const second = await startSidecar({ args });
    const replies = await Promise.all([
      second.request("agent.session.list"),
      ...sessions.map(({ sessionId }) => second.request("agent.session.get", { sessionId })),
    ]);
    const errors = replies.flatMap((reply) => (reply.error === undefined ? [] : [reply.error]));
    expect(errors.length).toBeGreaterThan(0);
    for (const error of errors) expect(error).toMatchObject({ code: -32004, kind: "storage", data: { reason: "corrupt" } });
  });
});
