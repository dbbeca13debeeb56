import { execFileSync } from "node:child_process";
import { chmodSync, copyFileSync, mkdirSync, renameSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { delimiter, dirname, join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { ContainerStatus } from "../../src/contract/status.ts";
import { Connection } from "../../src/store/sqlite/connection.ts";
import { loadDriver } from "../../src/store/sqlite/driver.ts";
import { startModel } from "../support/agent.ts";
import { spawnConfigured } from "../support/completions.ts";
import { until } from "../support/until.ts";
import { askerOf, type HttpSidecar, spawnHttp } from "../support/http.ts";
import { spawnSidecar, temporaryFolder } from "../support/sidecar.ts";

interface Ready {
  ready: boolean;
  reason?: string;
}

/** A sidecar as a container starts it: HTTP alone, nothing on stdin. */
async function spawnContainer(args: string[], env: NodeJS.ProcessEnv) {
  const sidecar = spawnSidecar({ args: ["--http-only", "--storage-path", ":memory:", ...args], env });
  sidecar.child.stdin.end();
  await sidecar.until(() => sidecar.stderr.includes("__SIDECAR_READY__:"), "the ready marker");
  const [, url = "", token] = /^steerable-sidecar: listening on (\S+)(?: with the token (\S+))?$/m.exec(sidecar.stderr) ?? [];
  return { sidecar, url, token, ...askerOf(url, token) };
}

/** A port that was free a moment ago, below those that the system gives to whoever asks for any. */
async function freePort(): Promise<number> {
  const port = 20_000 + Math.floor(Math.random() * 10_000);
  const server = createServer();
  const isFree = await new Promise<boolean>((resolve) => {
    server.once("error", () => resolve(false));
    server.listen(port, "127.0.0.1", () => server.close(() => resolve(true)));
  });
  return isFree ? port : freePort();
}

/** A folder for PATH with scripts for sh, by name. */
function programs(scripts: Record<string, string>): string {
  const folder = temporaryFolder();
  for (const [name, script] of Object.entries(scripts)) {
    writeFileSync(join(folder, name), `#!/bin/sh\n${script}\n`);
    chmodSync(join(folder, name), 0o755);
  }
  return [folder, "/usr/bin", "/bin"].join(delimiter);
}

/** Waits until `GET /ready` answers with a status, for a reason where one is named: a probe of the store counts for a second, and may come too late. */
async function becomes({ call }: Pick<HttpSidecar, "call">, status: number, why?: RegExp): Promise<Ready> {
  return until(async () => {
    const { status: seen, body } = await call<Ready>("GET", "/ready", { key: null });
    return seen === status && (why === undefined || why.test(body.reason ?? "")) ? body : undefined;
  }, `GET /ready to be answered with ${status}`);
}

describe("GET /health", () => {
  it("says that the process is there, and nothing else, to whoever asks", async () => {
    const { call } = await spawnHttp();
    const { status, headers, text } = await call("GET", "/health", { key: null });
    expect({ status, text }).toEqual({ status: 200, text: '{"status":"ok"}' });
    expect(headers["content-type"]).toBe("application/json; charset=utf-8");
    expect(await call("GET", "/health?now", { key: "wrong" })).toMatchObject({ status: 200, text });
    expect(await call("HEAD", "/health", { key: null })).toMatchObject({ status: 200, text: "" });
    expect((await call("GET", "/health/", { key: null })).status).not.toBe(200);
  });

  it("waits for nothing: neither for the start of what it does not need, nor for a store that hangs, nor for its turn among other requests", async () => {
    const path = join(temporaryFolder(), "sidecar.db");
    const config = { api: { limits: { max_concurrent_requests: 4 } } };
    const sidecar = await spawnConfigured({ config, args: ["--storage-path", path, "--rate-limit", "1"] });
    await Promise.all(Array.from({ length: 20 }, async () => expect((await sidecar.call("GET", "/health", { key: null })).status).toBe(200)));
    await becomes(sidecar, 200);
    const lock = new Connection(loadDriver().open(path, { readOnly: false }));
    onTestFinished(() => lock.close());
    lock.exec("BEGIN EXCLUSIVE");
    let isAnswered = false;
    const waiting = sidecar.call("POST", "/sessions", { body: {} }).then((answer) => {
      isAnswered = true;
      return answer;
    });
    const answers = await Promise.all(Array.from({ length: 5 }, () => sidecar.call("GET", "/health", { key: null })));
    expect(answers.map(({ text }) => text)).toEqual(Array.from({ length: 5 }, () => '{"status":"ok"}'));
    expect(isAnswered).toBe(false);
    lock.exec("ROLLBACK");
    // On a slow machine the store may have lost its patience.
    expect([201, 503]).toContain((await waiting).status);
  });

  it("is answered while turns run", async () => {
    const sidecar = await spawnHttp({ args: ["--rate-limit", "0"] });
    const long = "word ".repeat(20_000);
    const turns = Array.from({ length: 10 }, () => sidecar.call("POST", "/v1/completions", { body: { prompt: long, model: "echo:any" } }));
    for (let count = 0; count < 20; count++) expect((await sidecar.call("GET", "/health", { key: null })).text).toBe('{"status":"ok"}');
    expect((await Promise.all(turns)).map(({ status }) => status)).toEqual(Array.from({ length: 10 }, () => 200));
  });
});

describe("GET /status", () => {
  it("reports on the container, with --http-only and the variables of a sleeve", { timeout: 120_000 }, async () => {
    const [workspace, home] = [temporaryFolder(), temporaryFolder()];
    mkdirSync(join(workspace, ".cstack"));
    mkdirSync(join(home, ".claude"));
    writeFileSync(join(home, ".claude", ".credentials.json"), "{}");
    const port = await freePort();
    const { sidecar, url, call } = await spawnContainer(["--host", "127.0.0.1", "--rate-limit", "0"], {
      PATH: programs({
        gemini: 'echo "0.9.0"',
        claude: 'echo "2.1.20 (Claude Code)"',
        cs: `[ "$PWD" = "${workspace}" ] && echo '{"open":5,"ready":2,"in_progress":1,"blocked":0,"closed":42,"total":50}'`,
      }),
      HOME: home,
      SLEEVE_NAME: "alice",
      WORKSPACE_PATH: workspace,
      SIDECAR_PORT: String(port),
    });
    expect(url).toBe(`http://127.0.0.1:${port}`);
    // A program that has not answered in two seconds is asked again half a minute later.
    const body = await until(
      async () => {
        const answer = await call("GET", "/status");
        expect(answer.status).toBe(200);
        const { dhf, workspace: seen } = ContainerStatus.parse(answer.body);
        return dhf.version !== null && seen.cstack.total > 0 ? answer.body : undefined;
      },
      "the answers of all programs",
      90_000,
    );
    const { process: first, sidecar: own, ...rest } = ContainerStatus.parse(body);
    expect(Object.keys(body)).toEqual(expect.arrayContaining(["sleeve_name", "dhf", "workspace", "process", "auth"]));
    expect(rest).toEqual({
      sleeve_name: "alice",
      dhf: { name: "claude", version: "2.1.20" },
      workspace: { path: workspace, cstack: { exists: true, open: 5, ready: 2, in_progress: 1, blocked: 0, closed: 42, total: 50 } },
      auth: { claude: true, gemini: false },
    });
    expect(own.pid).toBe(sidecar.child.pid);
    expect([1, own.pid]).toContain(first.pid);
    expect(sidecar.lines).toEqual([]);
  });

  it("is answered without the parts that hang, and holds up nobody", { timeout: 120_000 }, async () => {
    const hanging = ["claude", "gemini", "codex", "aider", "opencode"].map((name) => [name, 'trap "" TERM; while :; do sleep 1000; done']);
    const workspace = temporaryFolder();
    mkdirSync(join(workspace, ".cstack"));
    const env = {
      PATH: programs({ ...Object.fromEntries(hanging), cs: "exec sleep 1000" }),
      HOME: temporaryFolder(),
      WORKSPACE_PATH: workspace,
    };
    /** Who was answered first, and what the reports say. */
    const race = async () => {
      const { call } = await spawnContainer(["--http", "127.0.0.1:0"], env);
      expect((await call("GET", "/v1/info")).status).toBe(200);
      const order: string[] = [];
      const asked = [..."abc"].map(async () => {
        const { status, body } = await call("GET", "/status");
        order.push("status");
        const { dhf, workspace: seen } = ContainerStatus.parse(body);
        return { status, dhf, exists: seen.cstack.exists, total: seen.cstack.total };
      });
      expect((await call("GET", "/health", { key: null })).status).toBe(200);
      expect((await call("GET", "/v1/info")).status).toBe(200);
      order.push("others");
      return { reports: await Promise.all(asked), first: order[0] };
    };
    const report = { status: 200, dhf: { name: "claude", version: null }, exists: true, total: 0 };
    // Where the machine stands still for as long as a report takes, there is no telling: it is tried again.
    await expect.poll(race, { timeout: 80_000 }).toEqual({ reports: [report, report, report], first: "others" });
  });

  it("needs a key, unless it is public; as do the metrics", async () => {
    const closed = await spawnHttp();
    for (const path of ["/status", "/metrics"]) {
      expect((await closed.call("GET", path, { key: null })).status).toBe(401);
      expect((await closed.call("GET", path)).status).toBe(200);
    }
    const open = await spawnConfigured({ config: { api: { public: ["status"] } } });
    expect((await open.call("GET", "/status", { key: null })).status).toBe(200);
    expect((await open.call("GET", "/metrics", { key: null })).status).toBe(401);
    expect((await open.call("GET", "/v1/info", { key: null })).status).toBe(401);
  });
});

describe("GET /ready", () => {
  it("is 200 where the store can be written and there is room", async () => {
    const { call } = await spawnHttp();
    await becomes({ call }, 200);
    const { status, body, text } = await call("GET", "/ready", { key: null });
    expect({ status, body }).toEqual({ status: 200, body: { ready: true } });
    expect(await call("HEAD", "/ready", { key: null })).toMatchObject({ status: 200, text: "" });
    expect(text).toBe('{"ready":true}');
  });

  it("is 503 where the store cannot be opened, without telling where it is", async () => {
    const folder = temporaryFolder();
    const sidecar = await spawnConfigured({ args: ["--storage-path", folder] });
    await becomes(sidecar, 503, /^The store cannot be written/);
    const { status, body, text } = await sidecar.call<Ready>("GET", "/ready", { key: null });
    expect({ status, body }).toEqual({ status: 503, body: { ready: false, reason: expect.stringMatching(/^The store cannot be written/) } });
    expect(text).not.toContain(folder);
    expect((await sidecar.call("GET", "/health", { key: null })).status).toBe(200);
  });

  it.runIf(process.platform === "linux")("is 503 while the disk takes nothing more, and 200 when it does again", { timeout: 60_000 }, async () => {
    const sidecar = await spawnConfigured({ args: ["--storage-path", join(temporaryFolder(), "sidecar.db")] });
    await becomes(sidecar, 200);
    const limit = (bytes: string) => execFileSync("prlimit", ["--pid", String(sidecar.sidecar.child.pid), `--fsize=${bytes}:unlimited`]);
    limit("1");
    await becomes(sidecar, 503, /^The store cannot be written \((?:disk_full|io)\)$/);
    const refused = await sidecar.call<{ error: { code: string } }>("POST", "/sessions", { body: {} });
    expect(refused).toMatchObject({ status: 503, body: { error: { code: "storage" } } });
    // Of an answer outside of a session only the trace is lost, however it is told.
    const body = { prompt: "Hi", model: "echo:any" };
    expect(await sidecar.call("POST", "/v1/completions", { body })).toMatchObject({ status: 200, body: { final_message: "Hi" } });
    expect((await sidecar.call("POST", "/v1/completions", { body: { ...body, stream: true } })).text).toContain("event: finished");
    expect((await sidecar.call("GET", "/health", { key: null })).status).toBe(200);
    limit("unlimited");
    expect(await becomes(sidecar, 200)).toEqual({ ready: true });
    expect((await sidecar.call("POST", "/sessions", { body: {} })).status).toBe(201);
  });

  // Where files that are open cannot be deleted, there is nothing to find out.
  it.skipIf(process.platform === "win32").each([
    ["deleted", (path: string) => rmSync(path)],
    ["replaced", (path: string) => renameSync(`${path}.copy`, path)],
    ["deleted with its folder", (path: string) => rmSync(dirname(path), { recursive: true })],
    ["emptied", (path: string) => truncateSync(path)],
    ["robbed of its log", (path: string) => rmSync(`${path}-wal`)],
  ] as const)("is 503 when the file of the store was %s, and nothing more is said to be stored", async (_, change) => {
    const path = join(temporaryFolder(), "store", "sidecar.db");
    const sidecar = await spawnConfigured({ args: ["--storage-path", path] });
    await becomes(sidecar, 200);
    copyFileSync(path, `${path}.copy`);
    change(path);
    expect(await becomes(sidecar, 503)).toEqual({ ready: false, reason: "The store cannot be written (gone)" });
    expect(await sidecar.call("POST", "/sessions", { body: {} })).toMatchObject({ status: 503, body: { error: { code: "storage" } } });
  });

  it("is 503 while another process keeps the store to itself", { timeout: 60_000 }, async () => {
    const path = join(temporaryFolder(), "sidecar.db");
    const sidecar = await spawnConfigured({ args: ["--storage-path", path] });
    await becomes(sidecar, 200);
    const lock = new Connection(loadDriver().open(path, { readOnly: false }));
    onTestFinished(() => lock.close());
    lock.exec("BEGIN EXCLUSIVE");
    expect((await becomes(sidecar, 503)).reason).toMatch(/^The store /);
    lock.exec("ROLLBACK");
    await becomes(sidecar, 200);
  });

  it("is 503 while all places are taken, or as many streams are open as there may be", async () => {
    const model = await startModel(() => new Promise<undefined>(() => undefined));
    const config = { api: { limits: { max_concurrent_requests: 2 } } };
    const sidecar = await spawnConfigured({ model, config });
    const busy = [1, 2].map(() => sidecar.open("POST", "/v1/completions", { body: { prompt: "Hi" } }));
    await until(() => (model.requests.length === 2 ? true : undefined), "two turns");
    await becomes(sidecar, 503, /^All places for requests are taken$/);
    const refused = await sidecar.call<{ error: { code: string } }>("GET", "/v1/models");
    expect(refused).toMatchObject({ status: 503, body: { error: { code: "overloaded" } }, headers: { "retry-after": expect.any(String) } });
    for (const request of busy) request.destroy();
    await becomes(sidecar, 200);
    expect((await sidecar.call("GET", "/v1/models")).status).toBe(200);

    const narrow = await spawnConfigured({ model, config: { limits: { streams: 1 } } });
    narrow.open("POST", "/v1/completions", { body: { prompt: "Hi" } });
    await becomes(narrow, 503, /^1 of 1 streams are open$/);
  });
});
