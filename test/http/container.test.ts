import { execFileSync } from "node:child_process";
import { chmodSync, copyFileSync, mkdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
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

/** A port that was free a moment ago. */
async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
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

/** Waits until `GET /ready` answers with a status: a probe of the store counts for a second. */
async function becomes({ call }: Pick<HttpSidecar, "call">, status: number): Promise<Ready> {
  return until(async () => {
    const answer = await call<Ready>("GET", "/ready", { key: null });
    return answer.status === status ? answer.body : undefined;
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
    expect((await waiting).status).toBe(201);
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
  it("reports on the container, with --http-only and the variables of a sleeve", async () => {
    const [workspace, home] = [temporaryFolder(), temporaryFolder()];
    mkdirSync(join(workspace, ".cstack"));
    mkdirSync(join(home, ".claude"));
    writeFileSync(join(home, ".claude", ".credentials.json"), "{}");
    const port = await freePort();
    const { sidecar, url, call } = await spawnContainer(["--host", "127.0.0.1"], {
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
    const { status, body } = await call("GET", "/status");
    expect(status).toBe(200);
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

  it("is answered without the parts that hang, and holds up nobody", async () => {
    const hanging = ["claude", "gemini", "codex", "aider", "opencode"].map((name) => [name, 'trap "" TERM; while :; do sleep 1000; done']);
    const workspace = temporaryFolder();
    mkdirSync(join(workspace, ".cstack"));
    const { call } = await spawnContainer(["--http", "127.0.0.1:0"], {
      PATH: programs({ ...Object.fromEntries(hanging), cs: "exec sleep 1000" }),
      HOME: temporaryFolder(),
      WORKSPACE_PATH: workspace,
    });
    const order: string[] = [];
    const asked = [..."abc"].map(async () => {
      const answer = await call("GET", "/status");
      order.push("status");
      return answer;
    });
    expect((await call("GET", "/health", { key: null })).status).toBe(200);
    expect((await call("GET", "/v1/info")).status).toBe(200);
    order.push("others");
    for (const { status, body } of await Promise.all(asked)) {
      expect({ status, body }).toMatchObject({
        status: 200,
        body: { dhf: { name: "claude", version: null }, workspace: { cstack: { exists: true, total: 0 } } },
      });
    }
    expect(order[0]).toBe("others");
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
    const { status, body, text } = await call("GET", "/ready", { key: null });
    expect({ status, body }).toEqual({ status: 200, body: { ready: true } });
    expect(await call("HEAD", "/ready", { key: null })).toMatchObject({ status: 200, text: "" });
    expect(text).toBe('{"ready":true}');
  });

  it("is 503 where the store cannot be opened, without telling where it is", async () => {
    const folder = temporaryFolder();
    const sidecar = await spawnConfigured({ args: ["--storage-path", folder] });
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
    const { reason } = await becomes(sidecar, 503);
    expect(reason).toMatch(/^The store cannot be written \((?:disk_full|io)\)$/);
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
    expect(await becomes(sidecar, 503)).toMatchObject({ reason: "All places for requests are taken" });
    const refused = await sidecar.call<{ error: { code: string } }>("GET", "/v1/models");
    expect(refused).toMatchObject({ status: 503, body: { error: { code: "overloaded" } }, headers: { "retry-after": expect.any(String) } });
    for (const request of busy) request.destroy();
    await becomes(sidecar, 200);
    expect((await sidecar.call("GET", "/v1/models")).status).toBe(200);

    const narrow = await spawnConfigured({ model, config: { limits: { streams: 1 } } });
    narrow.open("POST", "/v1/completions", { body: { prompt: "Hi" } });
    expect(await becomes(narrow, 503)).toMatchObject({ reason: "1 of 1 streams are open" });
  });
});
