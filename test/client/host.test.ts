import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { expect, describe, it } from "vitest";
import { root } from "../support/root.ts";
import { signal } from "./sidecars.ts";

/** These run a host of their own, as a user would write it, against the client that is shipped. */
describe("a host process", () => {
  it("ends by itself once the sidecar was stopped", async () => {
    const { code, stdout } = await host(`
      const sidecar = await spawn({ storagePath: ":memory:" });
      await sidecar.stream({ provider: "echo", messages: [{ role: "user", content: "hi" }] }).text();
      await sidecar.ping({ timeoutMs: 600000 });
      console.log((await sidecar.stop()).how, process.getActiveResourcesInfo().filter((name) => name === "Timeout").length);
    `);
    expect(stdout).toBe("shutdown 0\n");
    expect(code).toBe(0);
  });

  it("ends by itself when the sidecar has died for good", async () => {
    const { code } = await host(`
      const sidecar = await spawn({ storagePath: ":memory:", restart: false });
      process.kill(sidecar.pid, "SIGKILL");
    `);
    expect(code).toBe(0);
  });

  it("is not kept alive by a restart that nobody waits for", async () => {
    const { code } = await host(`
      const sidecar = await spawn({ storagePath: ":memory:", restart: { baseDelayMs: 600000 } });
      process.kill(sidecar.pid, "SIGKILL");
    `);
    expect(code).toBe(0);
  });

  it("stays alive for a call that waits for a restart", async () => {
    const { stdout } = await host(`
      const sidecar = await spawn({ storagePath: ":memory:", restart: { baseDelayMs: 50 } });
      sidecar.once("exit", async () => { console.log((await sidecar.ping()).status); await sidecar.stop(); });
      process.kill(sidecar.pid, "SIGKILL");
    `);
    expect(stdout).toBe("ok\n");
  });

  it("takes its sidecar with it when it exits", async () => {
    const { stdout } = await host(`
      const sidecar = await spawn({ storagePath: ":memory:" });
      console.log(sidecar.pid);
      process.exitCode = 0;
      process.stdout.write("", () => process.exit());
    `);
    await expect.poll(() => signal(Number(stdout), 0), { timeout: 10_000 }).toBe(false);
  });

  it("may be written in CommonJS", async () => {
    const { stdout } = await host(
      `const { spawn, SidecarError } = require("steerable-sidecar/client");
      spawn({ storagePath: ":memory:" }).then(async (sidecar) => {
        await sidecar.sessions.resume("nowhere").catch((error) => console.log(error instanceof SidecarError, error.kind));
        await sidecar.stop();
      });`,
      "commonjs",
    );
    expect(stdout).toBe("true invalid_request\n");
  });

  it("loads no schema library", async () => {
    const { stdout } = await host(
      `require("steerable-sidecar/client"); console.log(Object.keys(require.cache).filter((file) => !file.includes("vscode-jsonrpc")).map((file) => require("node:path").basename(file)).join());`,
      "commonjs",
    );
    expect(stdout.trim()).toBe("client.cjs");
  });

  it("shows a newcomer the whole round with the demo", async () => {
    const { code, stdout, stderr } = await run([join(root, "examples/demo.mjs")]);
    expect(stderr).toBe("");
    expect(code).toBe(0);
    expect(stdout).toMatch(/Hello/);
    expect(stdout).toMatch(/llm\.generate/);
  });
});

function host(body: string, type: "module" | "commonjs" = "module") {
  const source = type === "module" ? `import { spawn } from "steerable-sidecar/client";\n${body}` : body;
  return run([`--input-type=${type}`, "-e", source]);
}

async function run(args: string[]) {
  // From inside the package, its own name leads to what it ships.
  const child = spawn(process.execPath, args, { cwd: root, stdio: ["ignore", "pipe", "pipe"] });
  let [stdout, stderr] = ["", ""];
  child.stdout.setEncoding("utf8").on("data", (text: string) => (stdout += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
  const patience = setTimeout(() => child.kill("SIGKILL"), 50_000);
  const [code, signalName] = (await once(child, "close")) as [number | null, NodeJS.Signals | null];
  clearTimeout(patience);
  return { code: code ?? signalName, stdout, stderr };
}
