import { chmodSync, chownSync, copyFileSync, mkdirSync, readFileSync, rmSync, statSync, watch, writeFileSync } from "node:fs";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { age, CHAT, damage, FILES, Installation, isUntouched, LIST_TOOLS, PING, type Run } from "./installation.ts";

/** Starts long enough ago to be told from new ones. */
async function withCaches(): Promise<Installation> {
  const installation = new Installation();
  await installation.run({ calls: [LIST_TOOLS] });
  for (const of of ["sidecar", "app"] as const) age(installation.cache(of));
  return installation;
}

function expectAnswered(run: Run): void {
  expect(run.reply(0)).toMatchObject({ result: expect.anything() });
  expect(run).toMatchObject({ code: 0, signal: null });
  // Nothing but the ready marker.
  expect(run.stderr.split("\n")).toEqual([expect.stringMatching(/^__SIDECAR_READY__:/), ""]);
}

describe("the code caches", { timeout: 60_000 }, () => {
  it("are made by the first run that needs them, and used by the next", async () => {
    const installation = new Installation();
    expectAnswered(await installation.run({ calls: [PING] }));
    expect(installation.caches()).toEqual([expect.stringMatching(/^sidecar-[0-9a-f]{16}-v\d+\.\d+\.\d+-\w+-\w+\.cache$/)]);

    age(installation.cache("sidecar"));
    expectAnswered(await installation.run({ calls: [LIST_TOOLS] }));
    expect(installation.caches()).toHaveLength(2);
    expect(isUntouched(installation.cache("sidecar"))).toBe(true);

    age(installation.cache("app"));
    expectAnswered(await installation.run({ calls: [LIST_TOOLS] }));
    expect(installation.caches()).toHaveLength(2);
    expect(isUntouched(installation.cache("sidecar"))).toBe(true);
    expect(isUntouched(installation.cache("app"))).toBe(true);
  });

  it("of parts that few runs need are made by those runs alone", async () => {
    const installation = await withCaches();
    const config = join(installation.folder, "config.yaml");
    writeFileSync(config, "logLevel: ERROR\nstoragePath: ':memory:'\nmcpServers: { none: { command: /nonexistent } }\n");
    expect((await installation.run({ calls: [LIST_TOOLS], args: ["--config", config] })).reply(0)).toHaveProperty("result");
    expect(installation.caches()).toHaveLength(3);
    const http = ["--storage-path", ":memory:", "--log-level", "ERROR", "--http", "0"];
    expectAnswered(await installation.run({ calls: [LIST_TOOLS], args: http }));
    expect(installation.caches()).toHaveLength(4);

    for (const of of FILES) age(installation.cache(of));
    expectAnswered(await installation.run({ calls: [LIST_TOOLS], args: http }));
    expectAnswered(await installation.run({ calls: [LIST_TOOLS] }));
    for (const of of FILES) expect(isUntouched(installation.cache(of)), of).toBe(true);
  });

  it("grow when a run uses more of the app than those before it", async () => {
    const installation = await withCaches();
    const before = statSync(installation.cache("app")).size;
    expectAnswered(await installation.run({ calls: [CHAT] }));
    expect(statSync(installation.cache("app")).size).toBeGreaterThan(before);
    expect(isUntouched(installation.cache("sidecar"))).toBe(true);

    age(installation.cache("app"));
    expectAnswered(await installation.run({ calls: [CHAT] }));
    expectAnswered(await installation.run({ calls: [LIST_TOOLS] }));
    expect(isUntouched(installation.cache("app"))).toBe(true);
  });

  it("are made while the process runs, so that one that is killed leaves them too", async () => {
    const installation = new Installation();
    const made = new Set<string>();
    const watcher = watch(installation.dist);
    const bothMade = new Promise<void>((resolve) => {
      watcher.on("change", (_, name) => {
        const of = /^(sidecar|app)-.*\.cache$/.exec(String(name))?.[1];
        if (of !== undefined && made.add(of).size === 2) resolve();
      });
    });
    const child = spawn(process.execPath, [installation.program, "--storage-path", ":memory:"], { stdio: ["pipe", "ignore", "ignore"], env: installation.env });
    onTestFinished(() => {
      watcher.close();
      child.kill("SIGKILL");
    });
    child.stdin.write(`${JSON.stringify({ jsonrpc: "2.0", id: 0, ...LIST_TOOLS })}\n`);
    await bothMade;
    child.kill("SIGKILL");
    await once(child, "exit");

    for (const of of ["sidecar", "app"] as const) age(installation.cache(of));
    expectAnswered(await installation.run({ calls: [LIST_TOOLS] }));
    expect(isUntouched(installation.cache("sidecar"))).toBe(true);
    expect(isUntouched(installation.cache("app"))).toBe(true);
  });

  it.each([["--version"], ["--help"], ["--nonsense"], ["--config", "missing.yaml"]])(
    "are not made by a run that only says something: %s %s",
    async (...args) => {
      const installation = new Installation();
      const { code } = await installation.run({ args: args.filter((arg) => arg !== undefined) });
      expect(code).toBe(args[0] === "--version" || args[0] === "--help" ? 0 : 2);
      expect(installation.caches()).toEqual([]);
    },
  );

  it("are kept apart by the flags of V8, wherever they come from", async () => {
    const installation = new Installation();
    const hosts = [{}, { nodeArgs: ["--stack-size=900"] }, { env: { NODE_OPTIONS: "--max-semi-space-size=8" } }];
    for (const host of hosts) expectAnswered(await installation.run({ calls: [PING], ...host }));
    expect(installation.caches()).toHaveLength(hosts.length);

    for (const name of installation.caches()) age(join(installation.dist, name));
    for (const host of hosts) expectAnswered(await installation.run({ calls: [PING], ...host }));
    for (const name of installation.caches()) expect(isUntouched(join(installation.dist, name)), name).toBe(true);
  });

  it("are whole after several processes have made them at once", async () => {
    const installation = new Installation();
    const runs = await Promise.all(Array.from({ length: 4 }, () => installation.run({ calls: [LIST_TOOLS] })));
    runs.forEach(expectAnswered);
    // No draft is left either.
    expect(installation.caches()).toHaveLength(2);
    for (const of of ["sidecar", "app"] as const) age(installation.cache(of));
    expectAnswered(await installation.run({ calls: [LIST_TOOLS] }));
    expect(isUntouched(installation.cache("sidecar"))).toBe(true);
    expect(isUntouched(installation.cache("app"))).toBe(true);
  });

  it("go to the folder of the user when the package lies in one that cannot be written", async () => {
    const installation = new Installation();
    chmodSync(installation.dist, 0o555);
    const nodeArgs = asOrdinaryUser(installation);
    expectAnswered(await installation.run({ calls: [LIST_TOOLS], nodeArgs }));
    expect(installation.caches()).toEqual([]);
    expect(installation.caches(installation.ownCaches)).toHaveLength(2);
    expect(statSync(installation.ownCaches).mode & 0o777).toBe(0o700);

    const [boot, app] = [installation.cache("sidecar", installation.ownCaches), installation.cache("app", installation.ownCaches)];
    for (const file of [boot, app]) {
      expect(statSync(file).mode & 0o777).toBe(0o600);
      age(file);
    }
    expectAnswered(await installation.run({ calls: [LIST_TOOLS], nodeArgs }));
    expect(isUntouched(boot)).toBe(true);
    expect(isUntouched(app)).toBe(true);
  });

  it("leave no draft where something stands in their place", async () => {
    const installation = await withCaches();
    const place = installation.cache("app");
    rmSync(place);
    mkdirSync(place);
    expectAnswered(await installation.run({ calls: [LIST_TOOLS] }));
    expect(installation.caches()).toHaveLength(2);
    expect(statSync(installation.cache("app", installation.ownCaches)).isFile()).toBe(true);
  });

  it("are done without where nothing can be written", async () => {
    const installation = new Installation();
    chmodSync(installation.dist, 0o555);
    expectAnswered(await installation.run({ calls: [LIST_TOOLS], nodeArgs: asOrdinaryUser(installation), env: { HOME: "/nonexistent" } }));
    expect(installation.caches()).toEqual([]);
  });
});

describe("a code cache that is not as it was made", { timeout: 180_000 }, () => {
  const damages: [string, (content: Buffer) => Buffer][] = [
    // Over both copies: what V8 made, the text behind it, and its length.
    ...[0, 5, 17, 40].map((at) => [`a flipped bit in byte ${at}`, flip((content) => at % content.length)] satisfies [string, (content: Buffer) => Buffer]),
    ...[0.1, 0.25, 0.5, 0.75, 0.9].map(
      (part) => [`a flipped bit ${part} in`, flip(({ length }) => Math.floor(part * length))] satisfies [string, (content: Buffer) => Buffer],
    ),
    ...[1, 5, 9].map(
      (back) => [`a flipped bit ${back} bytes before the end`, flip(({ length }) => length - back)] satisfies [string, (content: Buffer) => Buffer],
    ),
    ["nothing in it", () => Buffer.alloc(0)],
    ["three bytes", (content) => content.subarray(0, 3)],
    ["its first half", (content) => content.subarray(0, content.length >> 1)],
    ["all but its last byte", (content) => content.subarray(0, -1)],
    ["zeros", (content) => Buffer.alloc(content.length)],
    ["a half of zeros", (content) => Buffer.concat([content.subarray(0, content.length >> 1), Buffer.alloc(content.length - (content.length >> 1))])],
    ["a byte too many", (content) => Buffer.concat([content, Buffer.from([0])])],
  ];

  it.each(["sidecar", "app"] as const)("is refused and made anew: %s", async (of) => {
    const installation = await withCaches();
    const file = installation.cache(of);
    for (const [what, change] of damages) {
      damage(file, change);
      age(file);
      expectAnswered(await installation.run({ calls: [LIST_TOOLS] }));
      expect(isUntouched(file), what).toBe(false);
    }
    age(file);
    expectAnswered(await installation.run({ calls: [LIST_TOOLS] }));
    expect(isUntouched(file)).toBe(true);
  });

  it("is refused when it was made for something else", async () => {
    const installation = await withCaches();
    const [boot, app] = [installation.cache("sidecar"), installation.cache("app")];
    copyFileSync(boot, app);
    age(app);
    expectAnswered(await installation.run({ calls: [LIST_TOOLS] }));
    expect(isUntouched(app)).toBe(false);

    // Another build: the same length is all that V8 would ask for.
    const old = readFileSync(boot);
    for (const name of ["sidecar.js", "app.js"])
      damage(join(installation.dist, name), (content) => Buffer.from(`/*0123456789abcdef${content.toString("latin1").slice(18)}`, "latin1"));
    const ofOtherBuild = boot.replace(/sidecar-[0-9a-f]{16}/, "sidecar-0123456789abcdef");
    writeFileSync(ofOtherBuild, old);
    age(ofOtherBuild);
    expectAnswered(await installation.run({ calls: [LIST_TOOLS] }));
    expect(isUntouched(ofOtherBuild)).toBe(false);
  });
});

function flip(at: (content: Buffer) => number): (content: Buffer) => Buffer {
  return (content) => {
    const flipped = Buffer.from(content);
    const place = at(content);
    flipped[place] = flipped[place]! ^ 0x10;
    return flipped;
  };
}

/** Permissions mean nothing to root: it gives up its rights before the program begins. */
function asOrdinaryUser({ folder, home }: Installation): string[] {
  if (process.getuid?.() !== 0) return [];
  const NOBODY = 65_534;
  chmodSync(folder, 0o755);
  chownSync(home, NOBODY, NOBODY);
  const script = join(folder, "ordinary-user.cjs");
  mkdirSync(folder, { recursive: true });
  writeFileSync(script, `process.setgroups([]); process.setgid(${NOBODY}); process.setuid(${NOBODY});\n`);
  return ["--require", script];
}
