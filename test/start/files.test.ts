import { readFileSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { CHAT, damage, FILES, Installation, LIST_TOOLS, PING } from "./installation.ts";

describe("the files of the sidecar", { timeout: 60_000 }, () => {
  it("are small where the start is concerned", () => {
    const { dist } = new Installation();
    // What a start needs has some 30 KB. Zod, pino or another package among it would tell by the size.
    expect(statSync(join(dist, "sidecar.js")).size).toBeLessThan(64 * 1024);
    expect(statSync(join(dist, "app.js")).size).toBeGreaterThan(256 * 1024);
  });

  it("have what only some runs need apart: all else is served without it", async () => {
    const installation = new Installation();
    rmSync(join(installation.dist, "http.js"));
    rmSync(join(installation.dist, "mcp.js"));
    const { reply, code, stderr } = await installation.run({ calls: [PING, LIST_TOOLS, CHAT] });
    for (const call of [0, 1, 2]) expect(reply(call)?.result).toBeDefined();
    expect(code).toBe(0);
    expect(stderr.split("\n")).toHaveLength(2);
  });

  it("hold each package once", () => {
    const { dist } = new Installation();
    // A text of each: undici, zod and pino, which several files need, Fastify, and jose, which only MCP needs.
    const texts = {
      UND_ERR_CONNECT_TIMEOUT: "app",
      ZodError: "app",
      "default level:": "app",
      FST_ERR_CTP_BODY_TOO_LARGE: "http",
      ERR_JOSE_GENERIC: "mcp",
    };
    const contents = FILES.map((file) => [file, readFileSync(join(dist, `${file}.js`), "latin1")] as const);
    for (const [text, home] of Object.entries(texts)) {
      const holders = contents.filter(([, content]) => content.includes(text)).map(([file]) => file);
      expect(holders, text).toEqual([home]);
    }
  });

  it("share their modules: an error that the app throws is one that the start knows", async () => {
    const { reply } = await new Installation().run({ calls: [{ method: "agent.session.resume", params: { sessionId: "sess_none" } }] });
    expect(reply(0)?.error).toMatchObject({ code: -32004, data: { code: "session_not_found" } });
  });

  it("let health be answered before the app is loaded, and without it", async () => {
    const installation = new Installation();
    rmSync(join(installation.dist, "app.js"));
    const { reply, code, stderr } = await installation.run({ calls: [PING, LIST_TOOLS, PING] });
    expect(reply(0)?.result).toMatchObject({ status: "ok" });
    expect(reply(1)?.error).toMatchObject({ code: -32603, kind: "internal" });
    expect(reply(2)?.result).toMatchObject({ status: "ok" });
    expect(code).toBe(0);
    expect(stderr).not.toMatch(/^\s+at /m);
  });

  it("are not mixed with those of another build", async () => {
    const installation = new Installation();
    damage(join(installation.dist, "app.js"), (content) => Buffer.from(content.toString("latin1").replace(/^\/\*.{16}/, "/*0123456789abcdef"), "latin1"));
    const { reply, code } = await installation.run({ calls: [LIST_TOOLS, PING] });
    expect(reply(0)?.error).toMatchObject({ code: -32603, kind: "internal" });
    expect(reply(1)?.result).toMatchObject({ status: "ok" });
    expect(code).toBe(0);
  });

  it("end the start with one line when the first of them is missing", async () => {
    const installation = new Installation();
    rmSync(join(installation.dist, "sidecar.js"));
    const { code, stderr, frames } = await installation.run();
    expect(stderr).toBe("steerable-sidecar: dist/sidecar.js is missing; run npm run build\n");
    expect(code).toBe(1);
    expect(frames).toEqual([]);
  });

  it("end the start with one line when the one that a flag asks for is missing, or of another build", async () => {
    const installation = new Installation();
    const http = join(installation.dist, "http.js");
    const args = ["--storage-path", ":memory:", "--http", "0"];
    damage(http, (content) => Buffer.from(content.toString("latin1").replace(/^\/\*.{16}/, "/*0123456789abcdef"), "latin1"));
    const mixed = await installation.run({ args });
    expect(mixed).toMatchObject({
      code: 1,
      frames: [],
      stderr: "steerable-sidecar: dist/http.js and dist/sidecar.js are of different builds; run npm run build\n",
    });
    rmSync(http);
    const missing = await installation.run({ args });
    expect(missing).toMatchObject({ code: 1, frames: [], stderr: "steerable-sidecar: dist/http.js is missing; run npm run build\n" });
  });
});
