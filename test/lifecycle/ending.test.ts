import { execFileSync, spawn } from "node:child_process";
import { closeSync, openSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { root } from "../support/root.ts";
import { hangingTurn, scriptedConfig } from "../support/script.ts";
import { cleanEnv, spawnSidecar, startSidecar, temporaryFolder, type TestSidecar } from "../support/sidecar.ts";

const hanging = () => scriptedConfig([hangingTurn]).args;

/** Starts a turn in a session and waits until it has said something. */
async function liveTurn(sidecar: TestSidecar): Promise<{ sessionId: string; streamId: string }> {
  const { sessionId } = await sidecar.call<{ sessionId: string }>("agent.session.create", { chatId: "c" });
  const streamId = await sidecar.stream({ provider: "scripted", sessionId, messages: [{ role: "user", content: "hi" }] });
  await sidecar.notification("stream.chunk", (params) => params["streamId"] === streamId);
  return { sessionId, streamId };
}

function terminals(sidecar: TestSidecar, streamId: string): unknown[] {
  return sidecar.notifications(streamId).filter((frame) => frame.method !== "stream.chunk");
}

/** The last line is lifecycle.shutdown, and every line is whole. */
function expectLastWord(sidecar: TestSidecar, reason: string): void {
  expect(sidecar.frames.at(-1)).toEqual({ jsonrpc: "2.0", method: "lifecycle.shutdown", params: { reason } });
  expect(sidecar.unfinishedLine).toBe("");
}

describe("at the start", () => {
  it("the marker is on stderr with the health, and lifecycle.ready is the first line on stdout", async () => {
    const sidecar = await startSidecar();
    await sidecar.until(() => sidecar.stderr.includes("\n"), "the marker");
    const marker = /^__SIDECAR_READY__:(.*)\n/.exec(sidecar.stderr);
    expect(JSON.parse(marker?.[1] ?? "")).toMatchObject({ status: "ok", version: "0.1.0", protocolVersion: "0.1.0", pid: sidecar.child.pid });
    expect(sidecar.frames[0]).toEqual({
      jsonrpc: "2.0",
      method: "lifecycle.ready",
      params: { version: "0.1.0", protocolVersion: "0.1.0", pid: sidecar.child.pid, listenInfo: { transport: "stdio" } },
    });
  });

  it("--quiet-ready leaves stderr empty", async () => {
    const sidecar = await startSidecar({ args: ["--quiet-ready", "--storage-path", ":memory:"] });
    sidecar.child.stdin.end();
    await sidecar.exit;
    expect(sidecar.stderr).toBe("");
  });

  it.each(["SIGTERM", "SIGINT"] as const)("%s at any moment ends the process without a stack trace", { timeout: 120_000 }, async (signal) => {
    for (const delayMs of [0, 5, 10, 15, 20, 25, 30, 35, 40, 50]) {
      const sidecar = spawnSidecar();
      await new Promise((resolve) => setTimeout(resolve, delayMs));
      sidecar.child.kill(signal);
      const exit = await sidecar.exit;
      // Before our handler stands, the signal does what it does to every process.
      expect([
        { code: 0, signal: null },
        { code: null, signal },
      ]).toContainEqual(exit);
      expect(sidecar.stderr).not.toMatch(/\n\s+at /);
      expect(sidecar.unfinishedLine).toBe("");
    }
  });

  it("a host that closes stdin at once gets ready, shutdown and exit code 0", async () => {
    const sidecar = spawnSidecar();
    sidecar.child.stdin.end();
    expect(await sidecar.exit).toEqual({ code: 0, signal: null });
    expect(sidecar.frames.map((frame) => (frame as { method: string }).method)).toEqual(["lifecycle.ready", "lifecycle.shutdown"]);
  });
});

describe("system.shutdown", () => {
  it("ends live streams, is answered, says goodbye and exits with 0", async () => {
    const sidecar = await startSidecar({ args: hanging() });
    const { streamId } = await liveTurn(sidecar);
    const reply = await sidecar.request("system.shutdown", null);
    expect(reply).toHaveProperty("result", null);
    expect(await sidecar.exit).toEqual({ code: 0, signal: null });
    expect(terminals(sidecar, streamId)).toMatchObject([{ method: "stream.done", params: { ok: false, cancelled: true } }]);
    expectLastWord(sidecar, "normal");
    const order = sidecar.frames.slice(-3).map((frame) => (frame as { method?: string }).method ?? "reply");
    expect(order).toEqual(["stream.done", "reply", "lifecycle.shutdown"]);
  });

  it("turns requests away that come behind it, and answers those before it", async () => {
    const sidecar = await startSidecar();
    const frames = [1, 2, 3].map((id) => ({ jsonrpc: "2.0", id: `c${id}`, method: "agent.session.create", params: { chatId: "c" } }));
    const all = [...frames, { jsonrpc: "2.0", id: "bye", method: "system.shutdown" }, { jsonrpc: "2.0", id: "late", method: "agent.session.list" }];
    await sidecar.call("system.info");
    sidecar.sendRaw(all.map((frame) => `${JSON.stringify(frame)}\n`).join(""));
    await sidecar.exit;
    for (const { id } of frames) expect((await sidecar.reply(id)).result).toBeDefined();
    expect((await sidecar.reply("late")).error).toMatchObject({ code: -32005, kind: "transport_closed" });
    expect(await sidecar.reply("bye")).toHaveProperty("result", null);
  });

  it("ends the process even when the host does not read", async () => {
    const config = join(temporaryFolder(), "config.yaml");
    writeFileSync(config, "gracePeriodSeconds: 0.5\nstoragePath: ':memory:'\n");
    const sidecar = await startSidecar({ args: ["--config", config], unread: true });
    for (let id = 0; id < 2000; id++) sidecar.send({ jsonrpc: "2.0", id, method: "system.ping" });
    sidecar.send({ jsonrpc: "2.0", id: "bye", method: "system.shutdown" });
    expect(await sidecar.exit).toMatchObject({ signal: null });
  });
});

describe("system.shutdown_now", () => {
  it("is answered, ends live streams and exits with 0", async () => {
    const sidecar = await startSidecar({ args: hanging() });
    const { streamId } = await liveTurn(sidecar);
    expect(await sidecar.request("system.shutdown_now")).toHaveProperty("result", null);
    expect(await sidecar.exit).toEqual({ code: 0, signal: null });
    expect(terminals(sidecar, streamId)).toHaveLength(1);
    expectLastWord(sidecar, "normal");
  });
});

describe("stdin that ends", () => {
  it("has every request on it answered before the exit, the last one even without a newline", async () => {
    const sidecar = await startSidecar();
    sidecar.sendRaw(`{"jsonrpc":"2.0","id":"a","method":"agent.session.create"}\n{"jsonrpc":"2.0","id":"b","method":"agent.session.list"}`);
    sidecar.child.stdin.end();
    expect(await sidecar.exit).toEqual({ code: 0, signal: null });
    expect((await sidecar.reply("a")).result).toBeDefined();
    expect((await sidecar.reply("b")).result).toBeDefined();
    expectLastWord(sidecar, "eof");
  });

  it("ends a live turn with its terminal and exit code 3, and the turn is found interrupted", async () => {
    const args = hanging();
    const sidecar = await startSidecar({ args });
    const { sessionId, streamId } = await liveTurn(sidecar);
    sidecar.child.stdin.end();
    expect(await sidecar.exit).toEqual({ code: 3, signal: null });
    expect(terminals(sidecar, streamId)).toMatchObject([{ method: "stream.done", params: { ok: false, cancelled: true } }]);
    expectLastWord(sidecar, "eof");

    const next = await startSidecar({ args });
    const { messages } = await next.call<{ messages: unknown[] }>("agent.session.get", { sessionId });
    expect(messages).toMatchObject([
      { role: "user", content: "hi", turnStatus: "interrupted" },
      { role: "assistant", content: "so far", partial: true, turnStatus: "interrupted" },
    ]);
  });
});

describe("a signal", () => {
  it.each(["SIGTERM", "SIGINT"] as const)("%s exits with 0 when nothing runs", async (signal) => {
    const sidecar = await startSidecar();
    await sidecar.call("agent.session.create");
    sidecar.child.kill(signal);
    expect(await sidecar.exit).toEqual({ code: 0, signal: null });
    expectLastWord(sidecar, "normal");
  });

  it("during a turn exits with 3, sends the terminal and keeps the text", async () => {
    const args = hanging();
    const sidecar = await startSidecar({ args });
    const { sessionId, streamId } = await liveTurn(sidecar);
    sidecar.child.kill("SIGTERM");
    expect(await sidecar.exit).toEqual({ code: 3, signal: null });
    expect(terminals(sidecar, streamId)).toHaveLength(1);
    const next = await startSidecar({ args });
    const { messages } = await next.call<{ messages: unknown[] }>("agent.session.get", { sessionId });
    expect(messages).toMatchObject([{ content: "hi" }, { content: "so far", partial: true, turnStatus: "interrupted" }]);
  });

  it("ends a process whose host does not read", async () => {
    const sidecar = await startSidecar({ unread: true });
    for (let id = 0; id < 3000; id++) sidecar.send({ jsonrpc: "2.0", id, method: "system.ping" });
    await new Promise((resolve) => setTimeout(resolve, 100));
    sidecar.child.kill("SIGTERM");
    expect(await sidecar.exit).toEqual({ code: 0, signal: null });
  });
});

describe("a host that goes away", () => {
  it("by closing stdout ends the process at the next line, quietly", async () => {
    const sidecar = await startSidecar({ args: ["--quiet-ready", "--storage-path", ":memory:"] });
    sidecar.child.stdout.destroy();
    for (let id = 0; id < 20; id++) sidecar.send({ jsonrpc: "2.0", id, method: "system.ping" });
    expect(await sidecar.exit).toEqual({ code: 0, signal: null });
    expect(sidecar.stderr).toBe("");
  });

  it("by closing stdout during a turn ends the process with 3, and the turn is found interrupted", async () => {
    const args = hanging();
    const sidecar = await startSidecar({ args });
    const { sessionId } = await liveTurn(sidecar);
    sidecar.child.stdout.destroy();
    sidecar.send({ jsonrpc: "2.0", id: "into the void", method: "system.ping" });
    expect(await sidecar.exit).toEqual({ code: 3, signal: null });
    const next = await startSidecar({ args });
    const { messages } = await next.call<{ messages: unknown[] }>("agent.session.get", { sessionId });
    expect(messages).toMatchObject([{ turnStatus: "interrupted" }, { content: "so far", partial: true }]);
  });

  it("by dying ends the process although a sibling keeps stdin and stdout open", async () => {
    // This test is the sibling: it holds both ends of the pipe that host and sidecar have as stdin.
    const pipe = join(temporaryFolder(), "stdin");
    execFileSync("mkfifo", [pipe]);
    const stdin = openSync(pipe, "r+");
    const spawnSidecarScript = `require("node:child_process").spawn(process.execPath, [${JSON.stringify(join(root, "bin/steerable-sidecar.js"))}, "--storage-path", ":memory:"], { stdio: "inherit" }); setInterval(() => 0, 1000);`;
    const host = spawn(process.execPath, ["-e", spawnSidecarScript], { stdio: [stdin, "pipe", "ignore"], env: cleanEnv() });
    let out = "";
    await new Promise<void>((resolve) => {
      host.stdout?.setEncoding("utf8").on("data", (text: string) => {
        out += text;
        if (out.includes("lifecycle.ready")) resolve();
      });
    });
    // stdout ends when the last process that holds it is gone.
    const closed = new Promise((resolve) => host.stdout?.once("end", resolve));
    host.kill("SIGKILL");
    await closed;
    closeSync(stdin);
    expect(out).toMatch(/"lifecycle.shutdown","params":\{"reason":"eof"\}\}\n$/);
  });
});

describe("a parent that is invisible from the start", { timeout: 60_000 }, () => {
  it("is not taken for dead: the process goes on until it is told to end", async () => {
    const pipe = join(temporaryFolder(), "stdin");
    execFileSync("mkfifo", [pipe]);
    const stdin = openSync(pipe, "r+");
    // Node starts when the shell is gone, which sees to that itself: `$$` is the shell, in its child too.
    const orphan = '(while kill -0 $$ 2>/dev/null; do sleep 0.05; done; exec "$@" <&3) &';
    const shell = spawn("sh", ["-c", orphan, "sh", process.execPath, join(root, "bin/steerable-sidecar.js"), "--storage-path", ":memory:"], {
      stdio: ["ignore", "pipe", "ignore", stdin],
      env: cleanEnv(),
    });
    let out = "";
    const closed = new Promise((resolve) =>
      shell.stdout
        ?.setEncoding("utf8")
        .on("data", (text: string) => (out += text))
        .once("end", resolve),
    );
    await expect.poll(() => out, { timeout: 30_000 }).toContain("lifecycle.ready");
    // Longer than it takes to look for the parent twice.
    await new Promise((resolve) => setTimeout(resolve, 2500));
    writeSync(stdin, '{"jsonrpc":"2.0","id":"still here","method":"system.ping"}\n{"jsonrpc":"2.0","id":"bye","method":"system.shutdown"}\n');
    await closed;
    closeSync(stdin);
    expect(out).toMatch(/"id":"still here","result"[\s\S]*"id":"bye","result":null[\s\S]*"reason":"normal"/);
  });
});

describe("the frame stream", () => {
  it("stays whole whatever a dependency prints", async () => {
    const folder = temporaryFolder();
    const preload = join(folder, "noisy.cjs");
    writeFileSync(
      preload,
      `const early = process.stdout; const fs = require("node:fs");
       setInterval(() => { console.log("LOG"); console.info({ a: 1 }); process.stdout.write("STREAM\\n"); early.write("EARLY"); fs.writeSync(1, "DESCRIPTOR\\n"); fs.write(1, "ASYNC", () => 0); }, 1).unref();`,
    );
    const sidecar = await startSidecar({ nodeArgs: ["--require", preload] });
    const noise = ["LOG", "STREAM", "EARLY", "DESCRIPTOR", "ASYNC"];
    await sidecar.until(() => noise.every((word) => sidecar.stderr.includes(word)), "noise on stderr");
    for (let index = 0; index < 50; index++) await sidecar.call("system.ping");
    expect(sidecar.lines.every((line) => line.startsWith("{"))).toBe(true);
  });

  it("carries no stack trace when something throws that nobody catches", async () => {
    const folder = temporaryFolder();
    const preload = join(folder, "faulty.cjs");
    // Told by a signal, so that it is after the start, however long that takes.
    writeFileSync(preload, `process.on("SIGUSR2", () => { setImmediate(() => { throw new Error("boom one"); }); Promise.reject(new Error("boom two")); });`);
    const sidecar = await startSidecar({ nodeArgs: ["--require", preload] });
    sidecar.child.kill("SIGUSR2");
    await sidecar.until(() => sidecar.stderr.includes("boom one") && sidecar.stderr.includes("boom two"), "both errors in the log");
    expect((await sidecar.call("system.ping"))["status"]).toBe("ok");
    expect(sidecar.stderr).not.toMatch(/\n\s+at |\\n\s+at /);
  });
});
