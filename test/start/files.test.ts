import { rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { damage, Installation, LIST_TOOLS, PING } from "./installation.ts";

describe("the two files of the sidecar", () => {
  it("are small where the start is concerned", () => {
    const { dist } = new Installation();
    // What a start needs has some 30 KB. Zod, pino or another package among it would tell by the size.
    expect(statSync(join(dist, "sidecar.js")).size).toBeLessThan(64 * 1024);
    expect(statSync(join(dist, "app.js")).size).toBeGreaterThan(256 * 1024);
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
});
