import { once } from "node:events";
import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from "node:http";
import { createServer as createTlsServer } from "node:https";
import { type AddressInfo, createServer as createTcpServer, type Server, type Socket } from "node:net";
import { brotliCompressSync, deflateSync, gzipSync } from "node:zlib";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { isLocalName, isPublic } from "../../src/tools/builtin/fetch/addresses.ts";
import type { FetchedPage } from "../../src/tools/builtin/fetch/page.ts";
import { type Reach, reachOf } from "../../src/tools/builtin/fetch/reach.ts";
import { readable } from "../../src/tools/builtin/fetch/readable.ts";
import { scanHtml, type Tag } from "../../src/tools/builtin/fetch/scan.ts";
import { fetchUrl } from "../../src/tools/builtin/fetch-url.ts";
import { selfSignedCertificate } from "../support/certificate.ts";
import { call, refusal } from "./builtin-support.ts";

const MIB = 1024 * 1024;
const open = reachOf(true);
/** Here 127.0.0.1 is the public internet, and everything else is not. */
const onlyHere: Reach = { allowPrivate: false, isPublic: (address) => address === "127.0.0.1", resolve: async () => [{ address: "127.0.0.1", family: 4 }] };

const fetchWith = (reach: Reach, url: string, more: Record<string, unknown> = {}, signal?: AbortSignal) =>
  call<FetchedPage>(fetchUrl(reach, reach), { url, ...more }, signal);
const get = (url: string, more: Record<string, unknown> = {}, signal?: AbortSignal) => fetchWith(open, url, more, signal);
const said = async (attempt: Promise<unknown>) => (await refusal(attempt)).message;

async function listening(server: Server): Promise<number> {
  const sockets = new Set<Socket>();
  server.on("connection", (socket) => sockets.add(socket));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(async () => {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  });
  return (server.address() as AddressInfo).port;
}

/** The origin of a server on this machine. */
async function serve(handler: RequestListener): Promise<string> {
  return `http://127.0.0.1:${await listening(createServer(handler))}`;
}

const answer = (body: string | Uint8Array, headers: Record<string, string> = {}, status = 200) =>
  serve((_request, response) => response.writeHead(status, { "content-type": "text/plain", ...headers }).end(body));

describe("addresses", () => {
  it("are public only where everybody can reach them", () => {
    const reserved = [
      ["0.0.0.0", "0.1.2.3", "10.0.0.1", "10.255.255.255", "100.64.0.1", "100.127.255.255", "127.0.0.1", "127.255.255.254", "169.254.169.254"],
      ["172.16.0.1", "172.31.255.255", "192.0.0.1", "192.0.2.1", "192.88.99.1", "192.168.0.1", "198.18.0.1", "198.19.255.255", "198.51.100.7"],
      ["203.0.113.9", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255"],
      [
        "::",
        "::1",
        "::7f00:1",
        "::127.0.0.1",
        "fe80::1",
        "fe80::1%eth0",
        "febf::1",
        "fec0::1",
        "fc00::1",
        "fdff::1",
        "ff02::1",
        "100::1",
        "4000::1",
        "5f00::1",
      ],
      ["2001::1", "2001:2::1", "2001:10::1", "2001:20::1", "2001:db8::1", "3fff::1", "64:ff9b:1::1", "64:ff9b:0:1::808:808"],
      [
        "::ffff:127.0.0.1",
        "::ffff:7f00:1",
        "::ffff:10.0.0.1",
        "0:0:0:0:0:ffff:a9fe:a9fe",
        "64:ff9b::127.0.0.1",
        "64:ff9b::a00:1",
        "2002:7f00:1::",
        "2002:c0a8:1::1",
      ],
      ["", "localhost", "1.2.3", "127.1", "0x7f000001", "[::1]", "8.8.8.8:80"],
    ].flat();
    expect(reserved.filter(isPublic)).toEqual([]);
    const reachable = [
      ["1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255", "128.0.0.1", "169.253.255.255", "172.15.255.255"],
      ["172.32.0.0", "191.255.255.255", "192.0.1.1", "192.167.255.255", "192.169.0.0", "198.17.255.255", "198.20.0.0", "223.255.255.255"],
      ["2606:4700:4700::1111", "2a00:1450:4001:80b::200e", "2001:4860:4860::8888", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8", "2002:808:808::1", "2000::"],
    ].flat();
    expect(reachable.filter((address) => !isPublic(address))).toEqual([]);
  });

  it("of names that are local by their form are not even looked up", () => {
    const local = ["localhost", "LOCALHOST", "localhost.", "a.localhost", "printer.local", "metadata.google.internal", "x.internal..", "nas.home.arpa"];
    expect(local.filter((name) => !isLocalName(name))).toEqual([]);
    expect(["example.com", "localhost.example.com", "mylocalhost", "local.dev", "internal.com", "notlocal"].filter(isLocalName)).toEqual([]);
  });
});

describe("what fetch_url may reach", () => {
  it("carries out what a URL holds, so it is not called reading", () => {
    expect(fetchUrl({ allowPrivate: false }).mode).toBe("other");
  });

  it("is the public internet only, however the address is written", async () => {
    const resolve = vi.fn(async () => [{ address: "127.0.0.1", family: 4 }]);
    const reach = { ...reachOf(false), resolve };
    const written = ["127.0.0.1", "2130706433", "0x7f.1", "0177.0.0.1", "127.1", "[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "0", "[::]"];
    const more = [
      "10.0.0.1:8080",
      "169.254.169.254",
      "192.168.1.1",
      "[fd00::1]",
      "[fe80::1]",
      "[64:ff9b::7f00:1]",
      "localhost",
      "localhost.",
      "a.local",
      "x.internal",
    ];
    for (const host of [...written, ...more, "①②⑦.0.0.1", "127。0。0。1"]) {
      for (const scheme of ["http", "https"]) {
        expect(await said(fetchWith(reach, `${scheme}://${host}/`)), host).toContain("is not on the public internet");
      }
    }
    expect(resolve).not.toHaveBeenCalled();
  });

  it("asks for every address of a name, and refuses the name for one that is not public", async () => {
    const addresses = (...list: string[]): Reach => ({ ...reachOf(false), resolve: async () => list.map((address) => ({ address, family: 4 })) });
    expect(await said(fetchWith(addresses("127.0.0.1"), "http://rebind.example/"))).toContain("rebind.example is not on the public internet");
    expect(await said(fetchWith(addresses("8.8.8.8", "10.0.0.1"), "http://rebind.example/"))).toContain("is not on the public internet");
    expect(await said(fetchWith(addresses(), "http://nowhere.example/"))).toContain("has no address");
    const unknown = { ...open, resolve: () => Promise.reject(Object.assign(new Error("getaddrinfo"), { code: "ENOTFOUND" })) };
    expect(await said(fetchWith(unknown, "http://nowhere.example/"))).toBe("The name of nowhere.example could not be resolved (ENOTFOUND)");
  });

  it("connects to the very address that was checked, and looks the name up once", async () => {
    const hosts: (string | undefined)[] = [];
    const origin = await serve(({ headers }, response) => {
      hosts.push(headers.host);
      response.writeHead(200, { "content-type": "text/plain" }).end("here");
    });
    const { port } = new URL(origin);
    const answers = ["127.0.0.1", "10.0.0.1"];
    const resolve = vi.fn(async () => [{ address: answers.shift() ?? "", family: 4 }]);
    expect((await fetchWith({ ...onlyHere, resolve }, `http://rebind.example:${port}/`)).text).toBe("here");
    expect(hosts).toEqual([`rebind.example:${port}`]);
    expect(resolve).toHaveBeenCalledTimes(1);
  });

  it("checks every redirect like the first URL", async () => {
    const asked: string[] = [];
    const targets = [
      "http://10.0.0.1/",
      "http://127.0.0.2/",
      "http://localhost/",
      "http://a.example/b",
      "file:///etc/passwd",
      "http://u:p@127.0.0.1/",
      "http://",
      "data:,x",
    ];
    const origin = await serve(({ url = "" }, response) => {
      asked.push(url);
      response.writeHead(302, { location: targets[Number(url.slice(1))] ?? "" }).end();
    });
    const resolve = async (name: string) => [{ address: name === "a.example" ? "192.168.0.1" : "127.0.0.1", family: 4 }];
    const messages = [];
    for (const [index] of targets.entries()) messages.push(await said(fetchWith({ ...onlyHere, resolve }, `${origin}/${index}`)));
    expect(messages.slice(0, 4).map((message) => message.replace(/;.*/, ""))).toEqual([
      "10.0.0.1 is not on the public internet",
      "127.0.0.2 is not on the public internet",
      "localhost is not on the public internet",
      "a.example is not on the public internet",
    ]);
    expect(messages[4]).toContain("redirected to a place that is not followed: Only http and https");
    expect(messages[5]).toContain("must not hold a user name or password");
    expect(messages[6]).toContain("not a URL");
    expect(messages[7]).toContain("Only http and https");
    expect(asked).toHaveLength(targets.length);
  });

  it("is nothing but http and https, without passwords", async () => {
    for (const url of ["file:///etc/passwd", "ftp://example.com/", "data:,x", "javascript:1", "gopher://x/"]) {
      expect(await said(get(url))).toBe("Only http and https URLs can be fetched");
    }
    for (const url of ["http://user:pass@127.0.0.1/", "http://user@127.0.0.1/", "http://:pass@127.0.0.1/"]) {
      expect(await said(get(url))).toBe("The URL must not hold a user name or password");
    }
    for (const url of ["example.com", "/path", "http://", "http://a b/"]) expect(await said(get(url))).toContain("This is not a URL");
    expect(await said(get(`http://127.0.0.1/${"x".repeat(9000)}`))).toContain("longer than 8192 characters");
  });

  it("does not depend on the proxy variables", async () => {
    const origin = await answer("direct");
    for (const name of ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY"]) vi.stubEnv(name, "http://127.0.0.1:1");
    onTestFinished(() => void vi.unstubAllEnvs());
    expect((await get(origin)).text).toBe("direct");
  });

  it("says why nothing could be reached, and trusts no certificate that nobody vouches for", async () => {
    const closed = createTcpServer();
    const port = await listening(closed);
    await new Promise((resolve) => closed.close(resolve));
    expect(await said(get(`http://127.0.0.1:${port}/`))).toContain(`Could not connect to 127.0.0.1:${port}: connection refused`);
    const tls = createTlsServer(selfSignedCertificate(), (_request, response) => response.end("x"));
    expect(await said(get(`https://127.0.0.1:${await listening(tls)}/`))).toContain("certificate");
    const noise = createTcpServer((socket) => socket.on("error", () => {}).end("SSH-2.0-x\r\n"));
    expect(await said(get(`http://127.0.0.1:${await listening(noise)}/`))).toContain("does not speak HTTP");
  });
});

describe("fetch_url", () => {
  it("gives text with its type and status, whatever the status", async () => {
    const origin = await answer('{"a": "é"}', { "content-type": "application/json", etag: '"1"', "last-modified": "Thu, 01 Jan 2026 00:00:00 GMT" }, 404);
    expect(await get(`${origin}/x?y=1#part`)).toEqual({
      url: `${origin}/x?y=1`,
      status: 404,
      contentType: "application/json",
      text: '{"a": "é"}',
      truncated: false,
      etag: '"1"',
      lastModified: "Thu, 01 Jan 2026 00:00:00 GMT",
    });
    expect(await get(await answer("", {}, 304))).toMatchObject({ status: 304, text: "" });
    expect(await get(await answer("broken", {}, 500))).toMatchObject({ status: 500, text: "broken" });
  });

  it("sends the headers that it is given, and only harmless ones", async () => {
    const seen: IncomingMessage["headers"][] = [];
    const origin = await serve(({ headers }, response) => {
      seen.push(headers);
      response.end();
    });
    await get(origin, { headers: { Accept: "text/plain", "If-None-Match": '"1"' } });
    expect(seen[0]).toMatchObject({ accept: "text/plain", "if-none-match": '"1"', "user-agent": expect.stringMatching(/^steerable-sidecar\//) });
    expect(Object.keys(seen[0] ?? {}).toSorted()).toEqual(["accept", "accept-encoding", "connection", "host", "if-none-match", "user-agent"]);
    for (const name of ["cookie", "Authorization", "host", "x-api-key", "__proto__", "content-length", "proxy-authorization", "referer", "a\r\nb"]) {
      const failure = await refusal(get(origin, { headers: JSON.parse(JSON.stringify([[name, "x"]]).replace(/^\[\[(.*),(.*)\]\]$/, "{$1:$2}")) }));
      expect([failure.kind, failure.message], name).toEqual(["invalid_params", expect.stringContaining("cannot be set; only accept,")]);
    }
    expect(await said(get(origin, { headers: { accept: "a\r\nx: y" } }))).toContain("cannot be sent");
    expect(seen).toHaveLength(1);
  });

  it("asks without reading a body for HEAD", async () => {
    const methods: (string | undefined)[] = [];
    const origin = await serve(({ method }, response) => {
      methods.push(method);
      response.writeHead(200, { "content-type": "image/png", "content-length": "12345", "content-encoding": "gzip" }).end();
    });
    expect(await get(origin, { method: "HEAD" })).toMatchObject({ status: 200, contentType: "image/png", text: "", contentLength: 12345 });
    expect(methods).toEqual(["HEAD"]);
  });

  it("follows redirects, five at most, and says how it went", async () => {
    const origin = await serve(({ url = "/" }, response) => {
      const left = Number(url.slice(1));
      if (left === 0) return response.writeHead(200, { "content-type": "text/plain" }).end("there");
      return response.writeHead([301, 302, 303, 307, 308][left % 5] ?? 302, { location: `./${left - 1}` }).end("moved");
    });
    expect(await get(`${origin}/5`)).toMatchObject({ url: `${origin}/0`, text: "there", redirects: [5, 4, 3, 2, 1].map((left) => `${origin}/${left}`) });
    expect(await said(get(`${origin}/6`))).toBe("The server redirected more than 5 times");
    expect(await get(await answer("stay", {}, 302))).toMatchObject({ status: 302, text: "stay" });
  });

  it("decodes by byte order mark, charset, and what the page says", async () => {
    const latin = Buffer.from("caf\xe9", "latin1");
    const text = async (body: Uint8Array, contentType: string, more = {}) => (await get(await answer(body, { "content-type": contentType }), more)).text;
    expect(await text(latin, "text/plain; charset=ISO-8859-1")).toBe("café");
    expect(await text(latin, 'text/plain;x=y; Charset="windows-1252"')).toBe("café");
    expect(await text(Buffer.from([0x93, 0x80, 0x94]), "text/plain; charset=iso-8859-1")).toBe("“€”");
    expect(await text(latin, "text/plain; charset=nonsense")).toBe("caf\uFFFD");
    expect(await text(Buffer.concat([Buffer.from([0xff, 0xfe]), Buffer.from("é", "utf16le")]), "text/plain; charset=utf-8")).toBe("é");
    expect(await text(Buffer.from("\uFEFFé"), "text/plain; charset=latin1")).toBe("é");
    expect(await text(Buffer.concat([Buffer.from('<meta charset="iso-8859-1"><p>'), latin]), "text/html")).toBe("café");
    const equivalent = '<meta http-equiv="Content-Type" content="text/html; charset=iso-8859-1"><p>';
    expect(await text(Buffer.concat([Buffer.from(equivalent), latin]), "text/html")).toBe("café");
    expect(await text(Buffer.concat([Buffer.from('<?xml version="1.0" encoding="iso-8859-1"?>'), latin]), "application/xml")).toContain("café");
    expect(await text(Buffer.from([0x93, 0xfa]), "text/plain; charset=shift_jis")).toBe("日");
  });

  it("cuts at maxBytes, between characters, and stops reading", async () => {
    const origin = await serve((_request, response) => endless(response, Buffer.from("é".repeat(8192))));
    expect(await get(origin, { maxBytes: 5 })).toMatchObject({ text: "éé", truncated: true });
    const whole = await get(origin);
    expect([Buffer.byteLength(whole.text), whole.truncated]).toEqual([MIB, true]);
    expect(Buffer.byteLength((await get(origin, { maxBytes: 5 * MIB })).text)).toBe(5 * MIB);
    expect(await get(await answer("exact"), { maxBytes: 5 })).toMatchObject({ text: "exact", truncated: false });
  });

  it("unpacks what is compressed, and cuts what would explode", async () => {
    const packed = async (body: Uint8Array, encoding: string, more = {}) => get(await answer(body, { "content-encoding": encoding }), more);
    expect((await packed(gzipSync("hello"), "gzip")).text).toBe("hello");
    expect((await packed(deflateSync("hello"), "deflate")).text).toBe("hello");
    expect((await packed(brotliCompressSync("hello"), "BR")).text).toBe("hello");
    expect((await packed(brotliCompressSync(gzipSync("hello")), "gzip, br")).text).toBe("hello");
    expect((await packed(Buffer.from("hello"), "identity")).text).toBe("hello");
    for (const encoding of ["gzip", "br"]) {
      const bomb = (encoding === "gzip" ? gzipSync : brotliCompressSync)(Buffer.alloc(64 * MIB, "a"));
      const page = await packed(bomb, encoding, { maxBytes: 1000 });
      expect([page.text.length, page.truncated]).toEqual([1000, true]);
    }
    expect(await said(packed(Buffer.from("not gzip"), "gzip"))).toBe("The body could not be decompressed");
    expect(await said(packed(gzipSync("hello".repeat(1000)).subarray(0, 20), "gzip"))).toBe("The body could not be decompressed");
    expect(await said(packed(Buffer.from("x"), "zstd"))).toContain("not understood");
    expect(await said(packed(Buffer.from("x"), "gzip, gzip, gzip"))).toContain("too many times");
  }, 120_000);

  it("refuses what is not text, with its type and size", async () => {
    const png = await answer(Buffer.from([0x89, 0x50]), { "content-type": "image/png", "content-length": "2" }, 403);
    expect(await said(get(png))).toBe("The answer is not text: status 403, image/png, 2 bytes");
    const endlessly = await serve((_request, response) => endless(response.writeHead(200, { "content-type": "application/octet-stream" }), Buffer.alloc(8192)));
    expect(await said(get(endlessly))).toBe("The answer is not text: status 200, application/octet-stream");
    const untyped = (body: Uint8Array) => serve((_request, response) => response.end(body));
    expect(await said(get(await untyped(Buffer.from([0, 1]))))).toBe("The answer is not text: status 200, of unknown type");
    expect(await get(await untyped(Buffer.from("text")))).toMatchObject({ contentType: "", text: "text" });
    for (const type of ["application/ld+json", "image/svg+xml", "application/javascript", "TEXT/CSV", "application/x-yaml", "application/x-ndjson"]) {
      expect((await get(await answer("x", { "content-type": type }))).text).toBe("x");
    }
  });

  it("gives web pages as readable text, or raw", async () => {
    const origin = await answer('<title>T</title><h1>Hello</h1><a href="/x">there</a>', { "content-type": "text/html" });
    expect(await get(origin)).toMatchObject({ title: "T", text: `# Hello\n\n[there](${origin}/x)` });
    const raw = await get(origin, { raw: true });
    expect(raw.text).toContain("<h1>Hello</h1>");
    expect(raw.title).toBeUndefined();
  });

  it("fails when the body breaks off", async () => {
    const origin = await serve((_request, response) => {
      response.writeHead(200, { "content-type": "text/plain", "content-length": "100" });
      response.write("half", () => response.destroy());
    });
    expect(await said(get(origin))).toContain("broke before the response was complete");
  });

  it("ends at once when it is cancelled: while a name is looked up, before an answer, in the middle of one", async () => {
    const stuck = { ...open, resolve: () => new Promise<never>(() => {}) };
    const cancelled = async (attempt: (signal: AbortSignal) => Promise<unknown>, when: Promise<unknown>) => {
      const stop = new AbortController();
      const refused = expect(attempt(stop.signal)).rejects.toThrow("stop");
      await when;
      stop.abort(new Error("stop"));
      await refused;
    };
    await cancelled((signal) => fetchWith(stuck, "http://stuck.example/", {}, signal), new Promise(setImmediate));
    for (const start of [() => undefined, (response: ServerResponse) => response.writeHead(200, { "content-type": "text/plain" }).write("begin")]) {
      const server = createServer();
      const asked = once(server, "request");
      const closed = new Promise((resolve) => server.on("connection", (socket) => socket.on("close", resolve)));
      const port = await listening(server);
      server.on("request", (_request, response) => start(response));
      await cancelled((signal) => get(`http://127.0.0.1:${port}/`, {}, signal), asked);
      await closed;
    }
    await expect(get("http://127.0.0.1:1/", {}, AbortSignal.abort(new Error("stop")))).rejects.toThrow("stop");
  });

  it("leaves no connection open", async () => {
    const server = createServer((_request, response) => response.writeHead(200, { "content-type": "text/plain" }).end("x"));
    const closed = new Promise((resolve) => server.on("connection", (socket) => socket.on("close", resolve)));
    expect((await get(`http://127.0.0.1:${await listening(server)}/`)).text).toBe("x");
    await closed;
  });
});

describe("readable text", () => {
  it("is not kept waiting by a tag with hundreds of thousands of attributes", async () => {
    const sizes: number[] = [];
    const sink = { text: () => undefined, title: () => undefined, open: ({ attributes }: Tag) => sizes.push(attributes.size), close: () => undefined };
    await scanHtml(`<a href="x" ${Array.from({ length: 200_000 }, (_, index) => `n${index}`).join(" ")}>text</a><b c>`, sink, new AbortController().signal);
    expect(sizes).toEqual([256, 1]);
  });

  const base = new URL("https://example.com/a/b");
  const never = new AbortController().signal;
  const text = async (html: string) => (await readable(html, base, never)).text;

  it("keeps what there is to read, in the order of the page", async () => {
    const page = `<!doctype html><html><head><title> A &amp; B </title><style>p{}</style><script>if (a < b) "</p>"</script></head>
      <body><!-- <p>no</p> --><h2>Head <em>ing</em></h2><p>One
      two&nbsp;three<br>four</p><ul><li>a<li><p>b</p><ol><li>b1</li><li>b2</li></ol></li></ul>
      <table><tr><th>x</th><th>y</th></tr><tr><td>1</td><td>2</td></tr></table><hr><img alt="A cat" src="c.png"><img src="d.png">
      <pre>
  code  &lt;x&gt;
    more</pre><blockquote>said</blockquote><noscript>plain</noscript></body></html>`;
    expect(await readable(page, base, never)).toEqual({
      title: "A & B",
      text: [
        "## Head ing",
        "One two three\nfour",
        "- a\n- b\n  1. b1\n  2. b2",
        "x | y\n1 | 2",
        "---",
        "[image: A cat]",
        "```\n  code  <x>\n    more\n```",
        "said",
        "plain",
      ].join("\n\n"),
    });
  });

  it("keeps links with their whole address, and none that leads nowhere", async () => {
    expect(await text('a <a href="c?x=1&amp;y=2">see <b>this</b></a>, b')).toBe("a [see this](https://example.com/a/c?x=1&y=2), b");
    expect(await text('<a href="#top">top</a> <a href="javascript:alert(1)">js</a> <a name=x>name</a> <a href="/e"></a><a href=/u>u</a>')).toBe(
      "top js name [u](https://example.com/u)",
    );
    expect(await text('<a href="/1">one<a href="/2">two')).toBe("[one](https://example.com/1)[two](https://example.com/2)");
    expect(await text('<base href="https://other.example/"><a href="x">x</a>')).toBe("[x](https://other.example/x)");
  });

  it("leaves out scripts, styles and pictures, also where they are broken", async () => {
    expect(await text("a<script>b</script >c<STYLE>d</style>e<svg><title>t</title><text>f</text></svg>g<svg/>h<template><p>i</template>j")).toBe("aceghj");
    expect((await readable("<svg><title>icon</title></svg><title>page</title>", base, never)).title).toBe("page");
    expect(await text("a<script>b")).toBe("a");
    expect(await text("a<!-- b")).toBe("a");
    expect(await text('a<p title="b>c')).toBe("a");
    expect(await text("a <p title='>' x=\"<script>\" = y>b")).toBe("a\n\nb");
    expect(await text("1 < 2 <3 </> </ x>&lt;b&gt; &bogus; &#65;&#x42;&#150;&#0;&#xd800;&euro;")).toBe("1 < 2 <3 <b> &bogus; AB–\uFFFD\uFFFD€");
  });

  it("takes time in proportion to the page", async () => {
    for (const piece of ["<", "<a ", '<a "', "<a href='", "</", "<!--", "<script>", "&", "<ul><li>", "<svg>", "<pre>", "<a href=x>", "<a b=", "   "]) {
      expect(await text(piece.repeat(Math.floor((2 * MIB) / piece.length)))).toBeTypeOf("string");
    }
  }, 240_000);

  it("lets others work meanwhile, and ends when it is cancelled", async () => {
    const stop = new AbortController();
    // Fires only if the event loop is free.
    setImmediate(() => stop.abort(new Error("stop")));
    await expect(readable("<p>text</p>".repeat(100_000), base, stop.signal)).rejects.toThrow("stop");
  });
});

/** Writes for as long as someone reads. */
function endless(response: ServerResponse, chunk: Buffer): void {
  if (!response.headersSent) response.writeHead(200, { "content-type": "text/plain" });
  const more = (): void => {
    while (!response.destroyed && response.write(chunk));
  };
  response.on("drain", more);
  more();
}
