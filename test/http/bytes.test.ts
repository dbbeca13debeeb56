import { once } from "node:events";
import { connect } from "node:net";
import fc from "fast-check";
import { describe, expect, it, onTestFinished } from "vitest";
import { startModel } from "../support/agent.ts";
import { type HttpSidecar, spawnHttp } from "../support/http.ts";
import { openaiStream } from "../support/model-server.ts";
import { answersIn, type RawAnswer, sendBytes } from "./fuzz/socket.ts";

const HOST = "Host: 127.0.0.1\r\n";
const CLOSE = "Connection: close\r\n";
const JSON_TYPE = "Content-Type: application/json\r\n";
const post = (headers: string, body = "") => `POST /v1/auth/check HTTP/1.1\r\n${HOST}${JSON_TYPE}${headers}\r\n${body}`;
const SMUGGLED = `GET /health HTTP/1.1\r\n${HOST}\r\n`;

/** Bytes that are no request, with the status that says so. */
const refused: Record<string, [status: number, bytes: string]> = {
  "binary data": [400, "\x00\x01\x02\x03\r\n\r\n"],
  "the beginning of TLS": [400, "\x16\x03\x01\x00\xc8\x01\x00\x00\xc4\x03\x03"],
  "HTTP/2": [400, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"],
  "a version that there is not": [400, `GET /health HTTP/3.0\r\n${HOST}\r\n`],
  "a verb that there is not": [400, `BREW /health HTTP/1.1\r\n${HOST}\r\n`],
  "a verb in lower case": [400, `get /health HTTP/1.1\r\n${HOST}\r\n`],
  "a path without a slash": [400, `GET health HTTP/1.1\r\n${HOST}\r\n`],
  "lines that end in LF alone": [400, "GET /health HTTP/1.1\nHost: 127.0.0.1\n\n"],
  "lines that end in CR alone": [400, "GET /health HTTP/1.1\rHost: 127.0.0.1\r\r"],
  "no Host": [400, `GET /health HTTP/1.1\r\n${CLOSE}\r\n`],
  "no Host, in HTTP/1.0": [403, "GET /health HTTP/1.0\r\n\r\n"],
  "HTTP/0.9": [400, "GET /health\r\n\r\n"],
  "two hosts": [403, `GET /health HTTP/1.1\r\n${HOST}Host: other.example\r\n${CLOSE}\r\n`],
  "a header with a NUL": [400, `GET /health HTTP/1.1\r\n${HOST}X: a\0b\r\n\r\n`],
  "a header without a colon": [400, `GET /health HTTP/1.1\r\n${HOST}X\r\n\r\n`],
  "a header that is too long": [431, `GET /health HTTP/1.1\r\n${HOST}X: ${"x".repeat(100_000)}\r\n\r\n`],
  "a path that is too long": [431, `GET /${"x".repeat(100_000)} HTTP/1.1\r\n${HOST}\r\n`],
  "an address that cannot be decoded": [400, `GET /%zz HTTP/1.1\r\n${HOST}${CLOSE}\r\n`],
  "a length that is no number": [400, post("Content-Length: five\r\n")],
  "a length below zero": [400, post("Content-Length: -1\r\n")],
  "a length beyond all numbers": [400, post("Content-Length: 99999999999999999999999\r\n")],
  "a chunk without a length": [400, post("Transfer-Encoding: chunked\r\n", "zz\r\n")],
  "a chunk with a long extension": [400, post("Transfer-Encoding: chunked\r\n", `1;${"a".repeat(50_000)}\r\n`)],
};

/** Bodies whose end two readers could see in different places. */
const ambiguous: Record<string, string> = {
  "a length and chunks": post("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", `0\r\n\r\n${SMUGGLED}`),
  "chunks and a length": post("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", `0\r\n\r\n${SMUGGLED}`),
  "two lengths": post("Content-Length: 0\r\nContent-Length: 44\r\n", SMUGGLED),
  "a list of lengths": post("Content-Length: 0, 44\r\n", SMUGGLED),
  "a length with a sign": post("Content-Length: +0\r\n", SMUGGLED),
  "an unknown encoding": post("Transfer-Encoding: xchunked\r\n", `0\r\n\r\n${SMUGGLED}`),
  "an encoding behind chunked": post("Transfer-Encoding: chunked, identity\r\n", `0\r\n\r\n${SMUGGLED}`),
  "two headers of encodings": post("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", `0\r\n\r\n${SMUGGLED}`),
  "a blank in front of the colon": post("Transfer-Encoding : chunked\r\n", `0\r\n\r\n${SMUGGLED}`),
  "a folded header": post("Transfer-Encoding:\r\n chunked\r\n", `0\r\n\r\n${SMUGGLED}`),
  "a folded length": post("Content-Length:\r\n 0\r\n", SMUGGLED),
  "a vertical tab": post("Transfer-Encoding:\x0bchunked\r\n", `0\r\n\r\n${SMUGGLED}`),
  "a length in hexadecimals": post("Content-Length: 0x0\r\n", SMUGGLED),
  "a chunk whose line ends in LF": post("Transfer-Encoding: chunked\r\n", `0\n\n${SMUGGLED}`),
  "a chunk with a sign": post("Transfer-Encoding: chunked\r\n", `+0\r\n\r\n${SMUGGLED}`),
};

/** Requests as nobody writes them, and as they may be written. */
const unusual: Record<string, [statuses: number[], bytes: string]> = {
  "HTTP/1.0 with a Host": [[200], `GET /health HTTP/1.0\r\n${HOST}\r\n`],
  "empty lines in front": [[200], `\r\n\r\nGET /health HTTP/1.1\r\n${HOST}${CLOSE}\r\n`],
  "a whole address": [[200], `GET http://127.0.0.1/health HTTP/1.1\r\n${HOST}${CLOSE}\r\n`],
  "OPTIONS of everything": [[404], `OPTIONS * HTTP/1.1\r\n${HOST}${CLOSE}\r\n`],
  TRACE: [[404], `TRACE /health HTTP/1.1\r\n${HOST}${CLOSE}\r\n`],
  "an upgrade to a WebSocket": [[200], `GET /health HTTP/1.1\r\n${HOST}Connection: Upgrade, close\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\r\n`],
  "an upgrade to HTTP/2": [
    [200],
    `GET /health HTTP/1.1\r\n${HOST}Connection: Upgrade, HTTP2-Settings, close\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n`,
  ],
  "an expectation that nobody knows": [[200], `GET /health HTTP/1.1\r\n${HOST}${CLOSE}Expect: something\r\n\r\n`],
  "a GET with a body": [[200], `GET /health HTTP/1.1\r\n${HOST}${CLOSE}Content-Length: 5\r\n\r\nhello`],
  "chunks, with extensions and trailers": [
    [200],
    post(`${CLOSE}Transfer-Encoding: chunked\r\n`, "1;a=b\r\n{\r\n1\r\n}\r\n0\r\nHost: other.example\r\nAuthorization: Bearer x\r\n\r\n"),
  ],
  "requests in a row": [Array(21).fill(200), `${`GET /health HTTP/1.1\r\n${HOST}\r\n`.repeat(20)}GET /health HTTP/1.1\r\n${HOST}${CLOSE}\r\n`],
  "many headers": [[200], `GET /health HTTP/1.1\r\n${HOST}${CLOSE}${Array.from({ length: 200 }, (_, index) => `a${index}: 1\r\n`).join("")}\r\n`],
};

describe("bytes on a connection", { timeout: 120_000 }, () => {
  it("that are no request are refused as all that is refused, and the connection ends", async () => {
    const http = await spawnHttp({ args: ["--no-auth"] });
    for (const [name, [status, bytes]] of Object.entries(refused)) {
      const answers = answersIn(await sendBytes(http.url, bytes));
      expect(
        answers.map((answer) => answer.status),
        name,
      ).toEqual([status]);
      expectWhole(answers, name);
    }
    await expectAlive(http);
  });

  it("that hide a request behind another one are refused, and what they hide is not answered", async () => {
    const http = await spawnHttp({ args: ["--no-auth"] });
    for (const [name, bytes] of Object.entries(ambiguous)) {
      const answers = answersIn(await sendBytes(http.url, bytes));
      expect(
        answers.map((answer) => answer.status),
        name,
      ).toEqual([400]);
      expectWhole(answers, name);
    }
    await expectAlive(http);
  });

  it("that are an unusual request are answered", async () => {
    const http = await spawnHttp({ args: ["--no-auth"] });
    for (const [name, [statuses, bytes]] of Object.entries(unusual)) {
      const answers = answersIn(await sendBytes(http.url, bytes));
      expect(
        answers.map((answer) => answer.status),
        name,
      ).toEqual(statuses);
      expectWhole(answers, name);
    }
    expect(answersIn(await sendBytes(http.url, `CONNECT 127.0.0.1:1 HTTP/1.1\r\n${HOST}\r\n`))).toEqual([]);
    await expectAlive(http);
  });

  it("that stop in the middle of a request take nothing with them", async () => {
    const http = await spawnHttp({ args: ["--no-auth"] });
    const whole = post("Content-Length: 2\r\n", "{}");
    const cuts = [0, 1, 10, whole.indexOf("\r\n\r\n"), whole.length - 2, whole.length - 1];
    for (const cut of cuts) {
      for (const ending of ["leave", "reset"] as const) {
        const answers = answersIn(await sendBytes(http.url, whole.slice(0, cut), ending));
        expectWhole(answers, `${ending} after ${cut}`);
        for (const { status } of answers) expect(status, `${ending} after ${cut}`).toBe(400);
      }
    }
    await expectAlive(http);
  });

  it("that are a request with something wrong in it are refused or answered, and the process lives on", async () => {
    const http = await spawnHttp({ args: ["--no-auth", "--rate-limit", "0"] });
    const seeds = [...Object.values(ambiguous), ...Object.values(unusual).map(([, bytes]) => bytes), post("Content-Length: 2\r\n", "{}")].filter(
      ({ length }) => length < 2000,
    );
    const piece = fc.oneof(
      fc.uint8Array({ maxLength: 8 }).map((bytes) => Buffer.from(bytes).toString("latin1")),
      fc.constantFrom(
        "\r\n",
        "\n",
        "\r",
        "\0",
        ":",
        " ",
        "\t",
        "chunked",
        "Content-Length: 3\r\n",
        "Transfer-Encoding: chunked\r\n",
        "HTTP/1.1",
        "%",
        "..",
        "\xff",
      ),
    );
    const edits = fc.array(fc.record({ place: fc.nat(2000), cut: fc.nat(6), piece }), { minLength: 1, maxLength: 4 });
    const property = fc.asyncProperty(
      fc.constantFrom(...seeds),
      edits,
      fc.constantFrom("leave" as const, "leave" as const, "reset" as const),
      async (seed, changes, ending) => {
        const bytes = changes.reduce((text, { place, cut, piece: put }) => {
          const at = place % (text.length + 1);
          return text.slice(0, at) + put + text.slice(at + cut);
        }, seed);
        const answers = answersIn(await sendBytes(http.url, bytes, ending));
        expectWhole(answers, JSON.stringify(bytes));
        expect(Math.max(0, ...answers.map(({ status }) => status)), JSON.stringify(bytes)).toBeLessThan(500);
      },
    );
    await fc.assert(property, { numRuns: 1500, interruptAfterTimeLimit: 60_000 });
    await expectAlive(http);
  });

  it("that come behind a request whose answer is a stream do not get into the stream", async () => {
    const model = await startModel(async (_request, answer) => {
      const [first = "", ...rest] = openaiStream(["one ", "two ", "three"]);
      await answer.head(200);
      await answer.chunk(first + rest[0]);
      // The rest never comes: whoever reads has to be cut off.
      return undefined;
    });
    const http = await spawnHttp({ args: ["--no-auth"] });
    const { body: session } = await http.call<{ session_id: string }>("POST", "/sessions", {
      body: { provider: "openai", model: "test-model", base_url: `${model.url}/v1` },
    });
    const socket = connect(Number(new URL(http.url).port), "127.0.0.1");
    onTestFinished(() => void socket.destroy());
    socket.on("error", () => undefined);
    let text = "";
    const closed = once(socket, "close");
    const body = JSON.stringify({ prompt: "Count", stream: true });
    const told = new Promise<void>((resolve) => {
      socket.setEncoding("latin1").on("data", (part: string) => {
        text += part;
        if (text.includes("one ")) resolve();
      });
    });
    socket.write(`POST /v1/sessions/${session.session_id}/completions HTTP/1.1\r\n${HOST}${JSON_TYPE}Content-Length: ${body.length}\r\n\r\n${body}`);
    await told;
    socket.write("this is no request\r\n\r\n");
    await closed;
    expect(text.match(/HTTP\/1\.1 /g)).toHaveLength(1);
    await expectAlive(http);
  });
});

/** What every answer has: an id, and where it is an error, the body of errors. */
function expectWhole(answers: readonly RawAnswer[], name: string): void {
  for (const { status, headers, text } of answers) {
    expect(headers, name).toMatchObject({ "x-request-id": expect.any(String), "x-content-type-options": "nosniff", "cache-control": "no-store" });
    if (status < 400) continue;
    const { error } = JSON.parse(text) as { error: { code: string; request_id: string } };
    expect(error, name).toEqual({ code: expect.any(String), message: expect.any(String), request_id: headers["x-request-id"] });
  }
}

async function expectAlive({ sidecar, call }: HttpSidecar): Promise<void> {
  expect((await call("GET", "/health")).body).toEqual({ status: "ok" });
  expect(await sidecar.call("system.ping")).toMatchObject({ status: "ok" });
  expect(sidecar.stderr).not.toMatch(/"level":"(WARN|ERROR|FATAL)"/);
}
