import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import path from "node:path";
import { gzipSync } from "node:zlib";
import { describe, expect, it, onTestFinished } from "vitest";
import { AttachmentRefusal } from "../../src/tools/attachment.ts";
import { attachmentReader } from "../../src/tools/builtin/attach/reader.ts";
import { type Reach, reachOf } from "../../src/tools/builtin/fetch/reach.ts";
import { serve } from "../support/serve.ts";
import { freshFolder } from "./builtin-support.ts";

const MIB = 1024 * 1024;
const HIDDEN = "No file of this path can be read; it has to be inside one of tools.roots";
const never = new AbortController().signal;
const PNG = Buffer.from("89504e470d0a1a0a0000000d49484452", "hex");

const inRoots = (...roots: string[]) => attachmentReader({ roots, fetch: { allowPrivate: false } });
const overHttp = (reach: Reach = reachOf(true)) => attachmentReader({ roots: [], fetch: { allowPrivate: false } }, reach);
const readPath = (root: string, name: string, mostBytes = MIB) => inRoots(root).readPath(name, mostBytes, never);
const readUrl = (url: string, mostBytes = MIB, signal = never) => overHttp().readUrl(url, mostBytes, signal);

/** What an attempt is refused with; fails when it succeeds, or fails by accident. */
async function refusal(attempt: Promise<unknown>): Promise<Pick<AttachmentRefusal, "reason" | "message">> {
  const error: unknown = await attempt.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(AttachmentRefusal);
  const { reason, message } = error as AttachmentRefusal;
  return { reason, message };
}

const answer = (body: string | Uint8Array, type?: string, status = 200) =>
  serve((_request, response) => response.writeHead(status, type === undefined ? {} : { "content-type": type }).end(body));

describe("a path", () => {
  it("gives the text of a file inside the roots, under the name that it was given by", async () => {
    const root = freshFolder();
    mkdirSync(path.join(root, "notes"));
    writeFileSync(path.join(root, "notes", "ä.md"), "\ufeffGrüße 👋\n");
    expect(await readPath(root, "notes/ä.md")).toEqual({ type: "text", name: "notes/ä.md", bytes: 16, text: "Grüße 👋\n" });
  });

  it("that is absolute is shown relative to its root", async () => {
    const root = freshFolder();
    mkdirSync(path.join(root, "sub"));
    writeFileSync(path.join(root, "sub", "a.txt"), "a");
    writeFileSync(path.join(root, "sub", "zip"), "PK\x03\x04\x00");
    expect(await readPath(root, path.join(root, "sub", "a.txt"))).toMatchObject({ name: "sub/a.txt", text: "a" });
    const refused = await refusal(readPath(root, path.join(root, "sub", "zip")));
    expect(refused).toMatchObject({ reason: "unsupported", message: expect.stringMatching(/^sub\/zip is a ZIP archive/) });
    expect(refused.message).not.toContain(root);
    expect((await refusal(readPath(root, root))).message).toBe(`${path.basename(root)} is not a regular file`);
  });

  it("outside the roots, to nothing, or through a link that leads out is refused in one and the same words", async () => {
    const folder = freshFolder();
    const root = path.join(folder, "root");
    mkdirSync(root);
    writeFileSync(path.join(folder, "secret.txt"), "canary");
    writeFileSync(path.join(root, "file.txt"), "x");
    symlinkSync(path.join(folder, "secret.txt"), path.join(root, "out.txt"));
    symlinkSync(folder, path.join(root, "up"));
    symlinkSync("loop", path.join(root, "loop"));
    symlinkSync(path.join(folder, "nothing"), path.join(root, "dangling"));
    const outside = [path.join(folder, "secret.txt"), path.join(folder, "nothing"), "/etc/passwd", "../secret.txt", "out.txt", "up/secret.txt", "up/nothing"];
    for (const name of [...outside, "missing.txt", "file.txt/below", "loop", "dangling", "a\0b", `${"x".repeat(300)}`]) {
      expect(await refusal(readPath(root, name)), name).toEqual({ reason: "unavailable", message: HIDDEN });
    }
  });

  it("may be a link that stays inside the roots", async () => {
    const root = freshFolder();
    writeFileSync(path.join(root, "file.txt"), "inside");
    symlinkSync("file.txt", path.join(root, "link.txt"));
    expect(await readPath(root, "link.txt")).toMatchObject({ name: "link.txt", text: "inside" });
  });

  it("has to be that of a regular file: nothing else is even opened", async () => {
    const root = freshFolder();
    mkdirSync(path.join(root, "folder"));
    execFileSync("mkfifo", [path.join(root, "pipe")]);
    symlinkSync("pipe", path.join(root, "to-pipe"));
    // Opening a socket would fail with an error of its own.
    const socket = createServer().listen(path.join(root, "socket"));
    onTestFinished(() => new Promise((resolve) => socket.close(() => resolve())));
    await once(socket, "listening");
    for (const name of ["folder", "pipe", "to-pipe", "socket"]) {
      expect(await refusal(readPath(root, name))).toEqual({ reason: "unavailable", message: `${name} is not a regular file` });
    }
    expect(await refusal(inRoots("/dev").readPath("zero", MIB, never))).toEqual({ reason: "unavailable", message: "zero is not a regular file" });
  });

  it("needs roots to be configured", async () => {
    expect(await refusal(inRoots().readPath("a.txt", MIB, never))).toEqual({
      reason: "unavailable",
      message: "No folders are configured for file tools (tools.roots is empty)",
    });
    const gone = path.join(freshFolder(), "gone");
    const refused = await refusal(inRoots(gone).readPath("a.txt", MIB, never));
    expect(refused.message).toContain("tools.roots");
    expect(refused.message).not.toContain(gone);
  });

  it("is read up to a limit, to the byte", async () => {
    const root = freshFolder();
    writeFileSync(path.join(root, "exact"), "x".repeat(1000));
    writeFileSync(path.join(root, "huge"), "");
    truncateSync(path.join(root, "huge"), 2 ** 40);
    expect(await readPath(root, "exact", 1000)).toMatchObject({ bytes: 1000 });
    expect(await refusal(readPath(root, "exact", 999))).toEqual({ reason: "too_large", message: "exact holds more than 999 bytes" });
    expect(await refusal(readPath(root, "huge"))).toMatchObject({ reason: "too_large" });
  });

  it.runIf(process.platform === "linux")("may be that of a file that does not know its size", async () => {
    const { text } = (await inRoots("/proc/self").readPath("status", MIB, never)) as { text: string };
    expect(text).toContain(`Pid:\t${process.pid}\n`);
    expect(await refusal(inRoots("/proc/self").readPath("status", 10, never))).toMatchObject({ reason: "too_large" });
  });

  it("is shown on one line, however it is written", async () => {
    const root = freshFolder();
    writeFileSync(path.join(root, "a]\n[file: b"), "x");
    expect(await readPath(root, "a]\n[file: b")).toMatchObject({ name: "a]\ufffd[file: b" });
  });

  it("is not read any further once the signal is aborted", async () => {
    const root = freshFolder();
    writeFileSync(path.join(root, "a"), "x");
    await expect(inRoots(root).readPath("a", MIB, AbortSignal.abort(new Error("stop")))).rejects.toThrow("stop");
  });
});

describe("content", () => {
  const webp = Buffer.concat([Buffer.from("RIFF"), Buffer.from([4, 0, 0, 0]), Buffer.from("WEBP")]);
  const image = { png: PNG, jpeg: Buffer.from("ffd8ffe000104a464946", "hex"), gif: Buffer.from("474946383961010001000000", "hex"), webp };

  it.each(Object.entries(image))("is known as %s by its bytes, whatever its name says", async (type, bytes) => {
    const root = freshFolder();
    writeFileSync(path.join(root, "notes.txt"), bytes);
    const expected = { type: "image", name: "notes.txt", bytes: bytes.length, mediaType: `image/${type}`, base64: bytes.toString("base64") };
    expect(await readPath(root, "notes.txt")).toEqual(expected);
  });

  it("that is text stays text, whatever it begins with", async () => {
    const root = freshFolder();
    for (const text of ["", "GIF89a is a format", "MZ", "BMW", "<svg xmlns='…'/>", "\x1b[1mbold\x1b[0m"]) {
      writeFileSync(path.join(root, "picture.png"), text);
      expect(await readPath(root, "picture.png")).toMatchObject({ type: "text", text });
    }
  });

  it("that is neither is refused, saying what it is", async () => {
    const root = freshFolder();
    const cases: [string | Buffer, string][] = [
      ["%PDF-1.4\nall of it ASCII\n", "a PDF document"],
      [Buffer.from("504b0304ff", "hex"), "a ZIP archive, or a document that is one inside"],
      [gzipSync("x"), "gzip data"],
      [Buffer.from("RIFF\xff\0\0\0WAVE", "latin1"), "RIFF media"],
      [Buffer.from("\ufeffhi", "utf16le"), "text in UTF-16"],
      [Buffer.from("caf\xe9", "latin1"), "binary data"],
      ["a\0b", "binary data"],
      [Buffer.from([0xed, 0xa0, 0x80]), "binary data"],
    ];
    for (const [content, what] of cases) {
      writeFileSync(path.join(root, "a.txt"), content);
      const message = `a.txt is ${what}; text in UTF-8 and images (PNG, JPEG, GIF, WebP) can be attached`;
      expect(await refusal(readPath(root, "a.txt"))).toEqual({ reason: "unsupported", message });
    }
  });
});

describe("an address", () => {
  it("gives text as it is, and says where it is from, without what is secret in it", async () => {
    const origin = await answer('{"a": 1}', "application/json");
    expect(await readUrl(`${origin}/x.json?page=2&token=hunter2hunter2#part`)).toEqual({
      type: "text",
      name: `${origin}/x.json?page=2&token=********`,
      bytes: 8,
      text: '{"a": 1}',
    });
  });

  it("gives a web page as text to be read, in its own charset", async () => {
    const page = '<html><head><title>Men&uuml;</title><script>no()</script></head><body><h1>Caf\xe9</h1><a href="/b">b</a></body></html>';
    const origin = await answer(Buffer.from(page, "latin1"), "text/html; charset=iso-8859-1");
    expect(await readUrl(`${origin}/`)).toMatchObject({ type: "text", text: `Title: Menü\n\n# Café\n\n[b](${origin}/b)` });
    const untyped = await answer("<!DOCTYPE html><p>Hi</p>");
    expect(await readUrl(untyped)).toMatchObject({ type: "text", text: "Hi" });
    const source = await answer("<html><p>Hi</p>", "text/plain");
    expect(await readUrl(source)).toMatchObject({ type: "text", text: "<html><p>Hi</p>" });
  });

  it("gives text in the charset that the server says, as far as it is one", async () => {
    expect(await readUrl(await answer(Buffer.from("BM\xfcller", "latin1"), "text/plain; charset=iso-8859-1"))).toMatchObject({ text: "BMüller" });
    expect(await readUrl(await answer("schön", "text/plain; charset=ascii85"))).toMatchObject({ text: "schön" });
    expect(await readUrl(await answer(Buffer.from("\ufeffhi", "utf16le"), "text/plain"))).toMatchObject({ text: "hi" });
  });

  it("gives what its bytes say, whatever the server calls it", async () => {
    for (const type of ["text/html", "text/plain; charset=iso-8859-1", "application/octet-stream"]) {
      expect(await readUrl(await answer(PNG, type))).toMatchObject({ type: "image", mediaType: "image/png" });
      expect(await refusal(readUrl(await answer("%PDF-1.7\n", type)))).toMatchObject({ reason: "unsupported" });
      expect(await refusal(readUrl(await answer(Buffer.from("504b030400", "hex"), type)))).toMatchObject({ reason: "unsupported" });
    }
    expect(await readUrl(await answer("just text", "image/png"))).toMatchObject({ type: "text", text: "just text" });
  });

  it("has to answer with success", async () => {
    const origin = await answer("<h1>gone</h1>", "text/html", 404);
    expect(await refusal(readUrl(origin))).toEqual({ reason: "unavailable", message: `${origin.slice("http://".length)} answered with status 404` });
    expect(await readUrl(await answer("", undefined, 204))).toMatchObject({ type: "text", text: "" });
  });

  it("is read up to a limit, decompressed, whether or not the server says how much there is", async () => {
    const tooLarge = { reason: "too_large", message: expect.stringMatching(/ holds more than 1000 bytes$/) };
    expect(await readUrl(await answer("x".repeat(1000), "text/plain"), 1000)).toMatchObject({ bytes: 1000 });
    expect(await refusal(readUrl(await answer("x".repeat(1001), "text/plain"), 1000))).toEqual(tooLarge);
    const endless = await serve((_request, response) => {
      const pour = () => {
        while (response.write("x".repeat(1000)));
        response.once("drain", pour);
      };
      pour();
    });
    expect(await refusal(readUrl(endless, 1000))).toEqual(tooLarge);
    const bomb = await serve((_request, response) => response.writeHead(200, { "content-encoding": "gzip" }).end(gzipSync(Buffer.alloc(MIB))));
    expect(await refusal(readUrl(bomb, 1000))).toEqual(tooLarge);
  });

  it("has to be public, and so does every place that it redirects to", async () => {
    let asked = 0;
    const inside = await serve((_request, response) => {
      asked++;
      response.end("canary");
    });
    const onlyHere: Reach = { allowPrivate: false, isPublic: (address) => address === "127.0.0.1", resolve: async () => [{ address: "127.0.0.1", family: 4 }] };
    const redirecting = (to: string) => serve((_request, response) => response.writeHead(302, { location: to }).end());
    const closed = attachmentReader({ roots: [], fetch: { allowPrivate: false } });
    expect((await refusal(closed.readUrl(inside, MIB, never))).message).toContain("is not on the public internet");
    const strict: Reach = { ...reachOf(false), isPublic: () => false };
    expect((await refusal(overHttp(strict).readUrl(inside, MIB, never))).message).toContain("is not on the public internet");
    for (const target of [
      inside.replace("127.0.0.1", "10.0.0.1"),
      "http://169.254.169.254/latest",
      "http://[::1]/",
      inside.replace("127.0.0.1", "localhost"),
    ]) {
      const refused = await refusal(overHttp(onlyHere).readUrl(await redirecting(target), MIB, never));
      expect(refused).toMatchObject({ reason: "unavailable", message: expect.stringContaining("is not on the public internet") });
    }
    expect((await refusal(readUrl(await redirecting("file:///etc/passwd")))).message).toContain("Only http and https");
    expect(asked).toBe(0);
    expect(await readUrl(await redirecting(inside))).toMatchObject({ text: "canary" });
  });

  it("has to be one of http or https, without a password", async () => {
    for (const url of ["file:///etc/passwd", "data:text/plain,hi", "notes.txt", "ftp://example.com/"]) {
      expect(await refusal(readUrl(url)), url).toMatchObject({ reason: "unavailable" });
    }
    const refused = await refusal(readUrl("http://me:hunter2@example.com/"));
    expect(refused).toEqual({ reason: "unavailable", message: "The URL must not hold a user name or password" });
  });

  it("is left alone once the signal is aborted, in the middle of a body too", async () => {
    const stop = new AbortController();
    let closed: Promise<unknown> | undefined;
    const slow = await serve((_request, response) => {
      closed = once(response, "close");
      response.write("a little");
      stop.abort(new Error("stop"));
    });
    await expect(readUrl(slow, MIB, stop.signal)).rejects.toThrow("stop");
    await closed;
    expect(closed).toBeDefined();
  });
});
