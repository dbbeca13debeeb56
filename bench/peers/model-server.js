/**
 * A chat completions server on a raw socket of 127.0.0.1, so cheap that it is never the bottleneck: a
 * text is encoded once, before it is first sent, and goes out in large writes. Each delta is an HTTP
 * chunk of its own, as real servers send them.
 *
 * Says `{"port":…}` at first, and `{"sent":…}`, the bytes of answers taken by the network so far, for
 * every line on stdin. Ends when stdin does.
 */
import { once } from "node:events";
import { createServer } from "node:net";
import { clock, parseModel, textDeltas } from "./answers.js";

const HEAD = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
const SLICE = 64 * 1024;

/** Encoded answers by model. @type {Map<string, Buffer>} */
const encoded = new Map();
let sent = 0;

const server = createServer((socket) => {
  socket.setNoDelay(true);
  // A client that goes away in the middle of an answer is nothing to fail at.
  socket.on("error", () => undefined);
  let received = "";
  socket.setEncoding("utf8").on("data", (text) => {
    received += text;
    const bodyAt = received.indexOf("\r\n\r\n") + 4;
    const length = Number(/\r\ncontent-length: *(\d+)/i.exec(received)?.[1]);
    // Requests are plain ASCII and never pipelined: both clients wait for the end of an answer.
    if (bodyAt < 4 || received.length < bodyAt + length) return;
    const { model } = JSON.parse(received.slice(bodyAt));
    received = "";
    answer(socket, model).catch(() => socket.destroy());
  });
});
server.listen(0, "127.0.0.1", () => say({ port: server.address().port }));

process.stdin.on("data", (lines) => {
  for (const byte of lines) if (byte === 10) say({ sent });
});
process.stdin.on("end", () => process.exit(0));

async function answer(socket, model) {
  const { kind, count, size } = parseModel(model);
  if (kind === "ticks") {
    await write(socket, HEAD);
    await ticks(socket, count, size);
    await write(socket, end());
    return;
  }
  let bytes = encoded.get(model);
  if (bytes === undefined) {
    bytes = Buffer.from(`${HEAD}${textDeltas(model).map(delta).join("")}${end()}`);
    encoded.set(model, bytes);
  }
  for (let at = 0; at < bytes.length; at += SLICE) await write(socket, bytes.subarray(at, at + SLICE));
}

async function ticks(socket, count, everyMs) {
  let left = count;
  await new Promise((resolve) => {
    const timer = setInterval(() => {
      socket.write(delta(`${clock()} `));
      if (--left > 0 && !socket.destroyed) return;
      clearInterval(timer);
      resolve();
    }, everyMs);
  });
}

async function write(socket, bytes) {
  if (socket.destroyed) throw new Error("the client is gone");
  if (!socket.write(bytes)) await Promise.race([once(socket, "drain"), once(socket, "close")]);
  sent += bytes.length;
}

function delta(content) {
  return event(
    JSON.stringify({
      id: "chatcmpl-1",
      object: "chat.completion.chunk",
      created: 1767261600,
      model: "bench",
      choices: [{ index: 0, delta: { content }, finish_reason: null }],
    }),
  );
}

function end() {
  const finish = {
    id: "chatcmpl-1",
    object: "chat.completion.chunk",
    created: 1767261600,
    model: "bench",
    choices: [{ index: 0, delta: {}, finish_reason: "stop" }],
  };
  return `${event(JSON.stringify(finish))}${event("[DONE]")}0\r\n\r\n`;
}

function event(data) {
  const text = `data: ${data}\n\n`;
  return `${text.length.toString(16)}\r\n${text}\r\n`;
}

function say(message) {
  process.stdout.write(`${JSON.stringify(message)}\n`);
}
