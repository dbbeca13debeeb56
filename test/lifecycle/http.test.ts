import { spawn } from "node:child_process";
import { createServer } from "node:net";
import { networkInterfaces } from "node:os";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { spawnConfigured } from "../support/completions.ts";
import { type Answer, askerOf, type HttpSidecar, spawnHttp } from "../support/http.ts";
import { openaiStream, startModelServer } from "../support/model-server.ts";
import { root } from "../support/root.ts";
import { hangingTurn, scriptedConfig } from "../support/script.ts";
import { cleanEnv, spawnSidecar, type TestSidecar } from "../support/sidecar.ts";

const MEMORY = ["--storage-path", ":memory:"];

/** A stream of completions that has said something. */
async function liveStream({ open }: Pick<HttpSidecar, "open">, model = "scripted:any"): Promise<{ text(): string; ended: Promise<void> }> {
  const request = open("POST", "/v1/completions", { body: { prompt: "hi", model, stream: true } });
  let text = "";
  return new Promise((resolve, reject) => {
    request.once("error", reject);
    request.once("response", (response) => {
      const ended = new Promise<void>((settle) => response.once("close", settle));
      response.once("error", () => undefined);
      response.setEncoding("utf8").on("data", (part: string) => {
        text += part;
        if (/first|so far/.test(text)) resolve({ text: () => text, ended });
      });
      void ended.then(() => reject(new Error(`the stream ended before it began: ${text}`)));
    });
  });
}

/** Names of the events, without the pings. */
function eventsOf(text: string): string[] {
  return [...text.matchAll(/^event: (.*)$/gm)].map(([, name = ""]) => name).filter((name) => name !== "ping");
}

function rpc({ call }: Pick<HttpSidecar, "call">, method: string): Promise<Answer> {
  return call("POST", "/rpc", { body: { jsonrpc: "2.0", id: 1, method } });
}

/** A sidecar that serves HTTP alone, with what its one line on stderr says. */
async function spawnAlone(args: string[] = MEMORY): Promise<Pick<HttpSidecar, "call" | "open"> & { sidecar: TestSidecar; line: string }> {
  const sidecar = spawnSidecar({ args: [...args, "--http", "0", "--http-only"] });
  await sidecar.until(() => sidecar.stderr.includes("__SIDECAR_READY__:"), "the ready marker");
  const [line = ""] = sidecar.stderr.match(/^steerable-sidecar: .*$/m) ?? [];
  const [, url = "", token] = /^steerable-sidecar: listening on (\S+) with the token (\S+)$/.exec(line) ?? [];
  return { sidecar, line, ...askerOf(url, token) };
}

describe("a sidecar with an HTTP listener", () => {
  it("tells its host where it listens, and the token that was made for this run", async () => {
    const { sidecar, url, token, call } = await spawnHttp();
    expect(url).toMatch(/^http:\/\/127\.0\.0\.1:[1-9]\d*$/);
    expect(token).toMatch(/^\S{20,}$/);
    expect((await call("GET", "/health", { key: null })).status).toBe(200);
    expect((await rpc({ call }, "system.ping")).body["result"]).toMatchObject({ status: "ok", pid: sidecar.child.pid });
    expect(await sidecar.call("system.ping")).toMatchObject({ status: "ok" });
    expect(sidecar.stderr).not.toContain(token);
  });

  it("tells no token that was given to it, and shows it to nobody", async () => {
    for (const given of [{ args: ["--auth-token", "open-sesame"] }, { env: { STEERABLE_AUTH_TOKEN: "open-sesame" } }]) {
      const { sidecar, token, call } = await spawnHttp(given);
      expect(token).toBeUndefined();
      expect((await call("POST", "/rpc", { key: "open-sesame", body: { jsonrpc: "2.0", id: 1, method: "config.get" } })).text).not.toContain("open-sesame");
      expect((await call("POST", "/rpc", { key: "open-barley", body: {} })).status).toBe(401);
      expect(sidecar.lines.join("\n") + sidecar.stderr).not.toContain("open-sesame");
      expect(sidecar.stderr).not.toContain("WARNING");
    }
  });

  it("is opened by the configuration as well", async () => {
    // Not every machine has IPv6.
    const hasV6 = Object.values(networkInterfaces()).some((addresses) => addresses?.some(({ address }) => address === "::1"));
    const host = hasV6 ? "[::1]" : "127.0.0.1";
    const { args } = scriptedConfig([], `api: { enabled: true, listen_addr: '${host}:0' }\n`);
    const sidecar = spawnSidecar({ args });
    const { params } = await sidecar.notification("lifecycle.ready");
    expect(params?.["listenInfo"]).toMatchObject({ transport: "stdio", http: { url: expect.stringContaining(`http://${host}:`) } });
  });

  it.each(["SIGTERM", "SIGINT"] as const)("ends at %s at any moment of its start without a stack trace", { timeout: 120_000 }, async (signal) => {
    for (const delayMs of [0, 50, 100, 150, 200, 250, 300, 400, 600]) {
      const sidecar = spawnSidecar({ args: [...MEMORY, "--http", "0"] });
      await new Promise((resolve) => setTimeout(resolve, delayMs));
      sidecar.child.kill(signal);
      expect([
        { code: 0, signal: null },
        { code: null, signal },
      ]).toContainEqual(await sidecar.exit);
      expect(sidecar.stderr).not.toMatch(/\n\s+at |caught by nobody/);
      expect(sidecar.unfinishedLine).toBe("");
    }
  });
});

describe("a listener that cannot be opened", () => {
  async function refusal(...args: string[]): Promise<{ code: number | null; line: string }> {
    const sidecar = spawnSidecar({ args: [...MEMORY, ...args] });
    const { code } = await sidecar.exit;
    expect(sidecar.lines).toEqual([]);
    return { code, line: sidecar.stderr };
  }

  it("ends the process with 1 and one line when the port is taken", async () => {
    const other = createServer();
    await new Promise<void>((resolve) => other.listen(0, "127.0.0.1", resolve));
    onTestFinished(() => void other.close());
    const { port } = other.address() as { port: number };
    expect(await refusal("--http", String(port))).toEqual({
      code: 1,
      line: `steerable-sidecar: the HTTP listener cannot be opened on 127.0.0.1:${port}: the port is taken\n`,
    });
  });

  it("ends the process with 1 and one line when the address is not this machine's", async () => {
    // Of a network that is kept for examples.
    const { code, line } = await refusal("--http", "192.0.2.1:0", "--auth-token", "open-sesame");
    expect(code).toBe(1);
    expect(line).toMatch(/^steerable-sidecar: the HTTP listener cannot be opened on 192\.0\.2\.1:0: this machine has no such address\n$/);
  });

  it("ends the process with 2 and one line when it would be open to everybody, or nothing opens it", async () => {
    expect(await refusal("--bind-all")).toMatchObject({ code: 2, line: expect.stringMatching(/^steerable-sidecar: 0\.0\.0\.0 can be reached .*\n$/) });
    expect(await refusal("--http-only")).toMatchObject({ code: 2, line: expect.stringMatching(/^steerable-sidecar: these flags .*\n$/) });
  });
});

describe("--http-only", () => {
  it("reads no stdin, writes nothing to stdout, and says on stderr where it listens", async () => {
    const { sidecar, call, line } = await spawnAlone();
    expect(line).not.toBe("");
    // A request and the end of stdin, which both mean nothing.
    sidecar.sendRaw('{"jsonrpc":"2.0","id":1,"method":"system.shutdown"}\n');
    sidecar.child.stdin.end();
    expect((await call("POST", "/v1/completions", { body: { prompt: "hi", model: "echo:any" } })).body).toMatchObject({
      final_message: expect.stringContaining("hi"),
    });
    expect((await rpc({ call }, "system.ping")).body["result"]).toMatchObject({ status: "ok" });
    sidecar.child.kill("SIGTERM");
    expect(await sidecar.exit).toEqual({ code: 0, signal: null });
    expect([...sidecar.lines, sidecar.unfinishedLine]).toEqual([""]);
    // The log keeps the token to itself.
    const [, token = ""] = /the token (\S+)$/.exec(line) ?? [];
    expect(sidecar.stderr.split(token)).toHaveLength(2);
  });

  it.each(["system.shutdown", "system.shutdown_now"])("ends by %s over HTTP, which is answered first", async (method) => {
    const { sidecar, call } = await spawnAlone();
    expect(await rpc({ call }, method)).toMatchObject({ status: 200, body: { id: 1, result: null } });
    expect(await sidecar.exit).toEqual({ code: 0, signal: null });
  });

  it("outlives its parent", { timeout: 60_000 }, async () => {
    const program = JSON.stringify([join(root, "bin/steerable-sidecar.js"), ...MEMORY, "--http", "0", "--http-only"]);
    const script = `require("node:child_process").spawn(process.execPath, ${program}, { stdio: "inherit" }); setInterval(() => 0, 1000);`;
    const host = spawn(process.execPath, ["-e", script], { stdio: ["ignore", "ignore", "pipe"], env: cleanEnv() });
    let stderr = "";
    host.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
    await expect.poll(() => stderr, { timeout: 30_000 }).toMatch(/__SIDECAR_READY__:.*\n/);
    const pid = Number(/"pid":(\d+)/.exec(stderr)?.[1]);
    onTestFinished(() => {
      host.kill("SIGKILL");
      try {
        process.kill(pid, "SIGKILL");
      } catch {
        // It has ended by itself.
      }
    });
    const [, url = "", token] = /listening on (\S+) with the token (\S+)/.exec(stderr) ?? [];
    host.kill("SIGKILL");
    // Longer than it takes a sidecar with a host to look for it twice.
    await new Promise((resolve) => setTimeout(resolve, 2500));
    const { call } = askerOf(url, token);
    expect((await call("GET", "/health")).status).toBe(200);
    expect((await rpc({ call }, "system.shutdown")).status).toBe(200);
  });
});

describe("a signal where there is a listener", () => {
  it("lets what runs run to its end, takes nothing new, and exits with 0", async () => {
    let letGo: () => void = () => undefined;
    const held = new Promise<void>((resolve) => {
      letGo = resolve;
    });
    const parts = openaiStream(["first", " and last"]);
    const model = await startModelServer(async (_request, answer) => {
      await answer.head(200);
      await answer.chunk(parts.slice(0, 2).join(""));
      await held;
      await answer.chunk(parts.slice(2).join(""));
      await answer.end();
    });
    onTestFinished(() => model.close());
    const http = await spawnConfigured({ model });
    const { sidecar } = http;
    const [stream, ofHost] = await Promise.all([
      liveStream(http, "openai:any"),
      sidecar.stream({ provider: "openai", model: "any", messages: [{ role: "user", content: "hi" }] }),
    ]);
    sidecar.child.kill("SIGTERM");
    await sidecar.until(() => sidecar.stderr.includes("a signal has come"), "the log of the signal");
    expect(await sidecar.call("system.ping")).toMatchObject({ status: "shutting_down" });
    expect((await sidecar.request("agent.session.list")).error).toMatchObject({ kind: "transport_closed" });
    await expect(http.call("GET", "/health")).rejects.toThrow(/ECONNREFUSED/);
    expect(eventsOf(stream.text()).at(-1)).toBe("assistant_delta");

    letGo();
    await stream.ended;
    expect(stream.text()).toContain(" and last");
    expect(eventsOf(stream.text()).at(-1)).toBe("finished");
    expect((await sidecar.terminal(ofHost)).params).toMatchObject({ ok: true });
    expect(await sidecar.exit).toEqual({ code: 0, signal: null });
    expect(sidecar.frames.at(-1)).toMatchObject({ method: "lifecycle.shutdown", params: { reason: "normal" } });
  });

  it("ends what runs when the patience is over: its client hears of it, and the exit code is 3", async () => {
    const { args } = scriptedConfig([hangingTurn], "api: { shutdown_grace_seconds: 0.2 }\n");
    const http = await spawnHttp({ args });
    const stream = await liveStream(http);
    http.sidecar.child.kill("SIGINT");
    await stream.ended;
    expect(eventsOf(stream.text()).at(-1)).toBe("error");
    expect(await http.sidecar.exit).toEqual({ code: 3, signal: null });
  });

  it("ends what runs at once when it comes a second time", async () => {
    const http = await spawnHttp({ args: scriptedConfig([hangingTurn]).args });
    const stream = await liveStream(http);
    http.sidecar.child.kill("SIGTERM");
    await http.sidecar.until(() => http.sidecar.stderr.includes("a signal has come"), "the log of the signal");
    http.sidecar.child.kill("SIGTERM");
    await stream.ended;
    expect(eventsOf(stream.text()).at(-1)).toBe("error");
    expect(await http.sidecar.exit).toEqual({ code: 3, signal: null });
  });
});

describe("the other ways to end, where there is a listener", () => {
  it.each([
    ["stdin that ends", 3, (sidecar: TestSidecar) => sidecar.child.stdin.end()],
    ["system.shutdown", 0, (sidecar: TestSidecar) => sidecar.send({ jsonrpc: "2.0", id: "bye", method: "system.shutdown" })],
    ["system.shutdown_now", 0, (sidecar: TestSidecar) => sidecar.send({ jsonrpc: "2.0", id: "bye", method: "system.shutdown_now" })],
  ] as const)("%s ends the streams of HTTP clients with their last event", async (_, code, end) => {
    const http = await spawnHttp({ args: scriptedConfig([hangingTurn]).args });
    const stream = await liveStream(http);
    end(http.sidecar);
    await stream.ended;
    expect(eventsOf(stream.text()).at(-1)).toBe("error");
    expect(await http.sidecar.exit).toEqual({ code, signal: null });
  });
});
