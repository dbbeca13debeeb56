import { once } from "node:events";
import { mkdirSync, symlinkSync, truncateSync, unlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { at, messagesOf, startModel } from "../support/agent.ts";
import { serve } from "../support/serve.ts";
import { startSidecar, temporaryFolder, type TestSidecar } from "../support/sidecar.ts";

const PNG = Buffer.from("89504e470d0a1a0a0000000d49484452", "hex");
const NOTE = { type: "text", text: "[file: note.md]\n```\n# Plan\n```" };
const MIB = 1024 * 1024;

/** A sidecar whose only root is `workspace` in a folder of its own; a secret lies beside it. */
async function start({ roots = "[./workspace]", allowPrivate = false } = {}): Promise<{ sidecar: TestSidecar; folder: string; workspace: string }> {
  const folder = temporaryFolder();
  const workspace = join(folder, "workspace");
  mkdirSync(workspace);
  writeFileSync(join(workspace, "note.md"), "# Plan\n");
  writeFileSync(join(workspace, "shot.txt"), PNG);
  writeFileSync(join(folder, "secret.txt"), "canary");
  writeFileSync(join(folder, "config.yaml"), `storagePath: ./sidecar.db\ntools: { roots: ${roots}, fetch: { allowPrivate: ${allowPrivate} } }\n`);
  return { sidecar: await startSidecar({ args: ["--config", join(folder, "config.yaml")] }), folder, workspace };
}

const echo = (files: unknown, more: object = {}) => ({ provider: "echo", messages: [{ role: "user", content: "Read this: " }], files, ...more });

/** The error of a turn with these files. */
async function refused(sidecar: TestSidecar, files: unknown) {
  const { error } = await sidecar.request("agent.chat.complete", echo(files));
  expect(error).toBeDefined();
  return error as NonNullable<typeof error>;
}

describe("files of a turn", () => {
  it("are sent to the model behind the text, and stored as they were sent", async () => {
    const { sidecar, workspace } = await start();
    const model = await startModel(["Read."]);
    const { sessionId } = await sidecar.call<{ sessionId: string }>("agent.session.create", {});
    const streamId = await sidecar.stream(at(model, { sessionId, files: [{ path: "note.md" }, { path: join(workspace, "shot.txt") }] }));
    const content = [{ type: "text", text: "Go" }, NOTE, { type: "image_url", image_url: { url: `data:image/png;base64,${PNG.toString("base64")}` } }];
    expect(messagesOf(await model.nextRequest())).toEqual([{ role: "user", content }]);
    expect(await sidecar.terminal(streamId)).toMatchObject({ method: "stream.done", params: { ok: true } });

    // The next turn sees what this one saw, whatever has become of the file.
    unlinkSync(join(workspace, "note.md"));
    await sidecar.call("agent.chat.complete", at(model, { sessionId, messages: [{ role: "user", content: "Again" }] }));
    expect(messagesOf(await model.nextRequest())[0]).toEqual({ role: "user", content });
    const { messages } = await sidecar.call<{ messages: object[] }>("agent.session.get", { sessionId });
    expect(messages[0]).toMatchObject({ role: "user", content });
  });

  it("are read once, however often the turn is asked for", async () => {
    const { sidecar, workspace } = await start();
    const model = await startModel(["Read."]);
    const params = at(model, { idempotencyKey: "k", files: [{ path: "note.md" }] });
    const first = await sidecar.call("agent.chat.complete", params);
    writeFileSync(join(workspace, "note.md"), "something else");
    expect(await sidecar.call("agent.chat.complete", params)).toEqual(first);
    unlinkSync(join(workspace, "note.md"));
    expect(await sidecar.call("agent.chat.complete", params)).toEqual(first);
    expect(model.requests).toHaveLength(1);
    const { error } = await sidecar.request("agent.chat.complete", { ...params, files: [{ path: "shot.txt" }] });
    expect(error).toMatchObject({ code: -32602, data: { code: "idempotency_key_reused" } });
  });

  it("outside the roots are refused as if they did not exist, and the turn does not begin", async () => {
    const { sidecar, folder, workspace } = await start();
    symlinkSync(join(folder, "secret.txt"), join(workspace, "link.txt"));
    const { sessionId } = await sidecar.call<{ sessionId: string }>("agent.session.create", {});
    const message = "files[1].path: No file of this path can be read; it has to be inside one of tools.roots";
    for (const path of ["../secret.txt", "link.txt", join(folder, "secret.txt"), "/etc/passwd", "/no/such/file", "missing.md"]) {
      const { error } = await sidecar.request("agent.chat.stream", echo([{ path: "note.md" }, { path }], { sessionId }));
      expect(error).toEqual({ code: -32602, kind: "invalid_params", message, data: { path: "files[1].path" } });
    }
    expect(await sidecar.call("agent.session.get", { sessionId })).toMatchObject({ messages: [] });
  });

  it("need folders to be configured, which may happen while the sidecar runs", async () => {
    const { sidecar, workspace } = await start({ roots: "[]" });
    const error = await refused(sidecar, [{ path: "note.md" }]);
    expect(error.message).toBe("files[0].path: No folders are configured for file tools (tools.roots is empty)");
    await sidecar.call("config.set", { tools: { roots: [workspace] } });
    expect(await sidecar.call("agent.chat.complete", echo([{ path: "note.md" }]))).toMatchObject({ message: { content: `Read this: ${NOTE.text}` } });
  });

  it("that are too large, or nothing for a model, are refused with their names", async () => {
    const { sidecar, folder, workspace } = await start();
    writeFileSync(join(workspace, "report.txt"), "%PDF-1.7\n");
    writeFileSync(join(workspace, "large.txt"), "");
    truncateSync(join(workspace, "large.txt"), 8 * MIB + 1);
    writeFileSync(join(workspace, "wordy.txt"), "x".repeat(MIB + 1));
    writeFileSync(join(workspace, "image"), Buffer.concat([PNG, Buffer.alloc(6 * MIB)]));
    const cases: [string[], object][] = [
      [
        ["report.txt"],
        { code: -32602, message: expect.stringMatching(/^files\[0\]\.path: report\.txt is a PDF document;/), data: { code: "unsupported_media" } },
      ],
      [["large.txt"], { code: -32600, message: "files[0].path: large.txt holds more than 8388608 bytes", data: { code: "too_large", limitBytes: 8 * MIB } }],
      [["wordy.txt"], { code: -32600, data: { code: "too_large", limitCharacters: MIB, path: "files[0].path" } }],
      [["image", "image", "image"], { code: -32600, data: { code: "too_large", limitBytes: 16 * MIB, path: "files" } }],
    ];
    for (const [paths, expected] of cases) {
      const error = await refused(
        sidecar,
        paths.map((path) => ({ path })),
      );
      expect(error).toMatchObject(expected);
      expect(JSON.stringify(error)).not.toContain(folder);
    }
  });

  it("are a path or an address each, and at most 32", async () => {
    const { sidecar } = await start();
    for (const files of [[{}], [{ path: "note.md", url: "http://example.com" }], ["note.md"], [{ path: "" }], "note.md"]) {
      expect(await refused(sidecar, files)).toMatchObject({ code: -32602 });
    }
    const many = Array.from({ length: 33 }, () => ({ path: "note.md" }));
    expect(await refused(sidecar, many)).toMatchObject({ code: -32602, data: { issues: [{ path: "files" }] } });
    const { message } = await sidecar.call<{ message: { content: string } }>("agent.chat.complete", echo(many.slice(1)));
    expect(message.content).toBe(`Read this: ${NOTE.text.repeat(32)}`);
    expect(await sidecar.call("agent.chat.complete", echo([]))).toMatchObject({ message: { content: "Read this: " } });
  });
});

describe("addresses of a turn", () => {
  it("are fetched, where they may be reached", async () => {
    const { sidecar } = await start({ allowPrivate: true });
    const origin = await serve((_request, response) => response.writeHead(200, { "content-type": "text/html" }).end("<h1>News</h1><script>no()</script>"));
    expect(await sidecar.call("agent.chat.complete", echo([{ url: `${origin}/today` }]))).toMatchObject({
      message: { content: `Read this: [file: ${origin}/today]\n\`\`\`\n# News\n\`\`\`` },
    });
  });

  it("that are not public are not asked, unless the configuration says so", async () => {
    const { sidecar } = await start();
    let asked = 0;
    const origin = await serve((_request, response) => {
      asked++;
      response.end("canary");
    });
    const error = await refused(sidecar, [{ url: origin }]);
    expect(error).toMatchObject({ code: -32602, message: expect.stringContaining("is not on the public internet"), data: { path: "files[0].url" } });
    expect(asked).toBe(0);
    await sidecar.call("config.set", { tools: { fetch: { allowPrivate: true } } });
    expect(await sidecar.call("agent.chat.complete", echo([{ url: origin }]))).toMatchObject({ message: { content: expect.stringContaining("canary") } });
  });

  it("that are slow end with the call, and nothing of the turn is kept", async () => {
    const { sidecar } = await start({ allowPrivate: true });
    const { sessionId } = await sidecar.call<{ sessionId: string }>("agent.session.create", {});
    let closings: Promise<unknown>[] = [];
    const origin = await serve((_request, response) => {
      closings.push(once(response, "close"));
      response.write("a little");
      sidecar.send({ jsonrpc: "2.0", method: "$/cancelRequest", params: { id: "slow" } });
    });
    sidecar.send({ jsonrpc: "2.0", id: "slow", method: "agent.chat.complete", params: echo([{ url: origin }], { sessionId }) });
    expect((await sidecar.reply("slow")).error).toMatchObject({ code: -32800 });
    await Promise.all(closings);
    expect(closings).toHaveLength(1);
    closings = [];
    expect(await sidecar.call("agent.session.get", { sessionId })).toMatchObject({ messages: [] });
    expect(await sidecar.call("agent.chat.complete", echo([], { sessionId }))).toMatchObject({ message: { content: "Read this: " } });
  });

  it("that are slow end when their stream is cancelled by the id that the host has chosen", async () => {
    const { sidecar } = await start({ allowPrivate: true });
    const origin = await serve((_request, response) => {
      response.write("a little");
      sidecar.send({ jsonrpc: "2.0", id: "cancel", method: "agent.chat.cancel", params: { streamId: "mine" } });
    });
    const { error } = await sidecar.request("agent.chat.stream", echo([{ url: origin }], { streamId: "mine" }));
    expect(error).toMatchObject({ code: -32800 });
    expect(sidecar.notifications("mine")).toEqual([]);
    expect(await sidecar.stream(echo([], { streamId: "mine" }))).toBe("mine");
  });
});
