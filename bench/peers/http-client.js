/**
 * A client for HTTP servers, on raw sockets of 127.0.0.1, so cheap that the server is what is measured.
 *
 * Each line on stdin, `{port, request, connections, count}`, sends `request` (the bytes of a whole request)
 * `count` times over so many kept connections, each waiting for its answer before it asks again. The line
 * that answers is `{ms, sample}`: the time without that for connecting, and one body; or `{error}` as soon as
 * anything but 200 comes. With `streams: true` the answers are event streams, all at a time, and the bodies
 * come in `folder`, a file for each. Ends when stdin does.
 */
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { createInterface } from "node:readline";

const HEAD_END = Buffer.from("\r\n\r\n");
const LAST_CHUNK = Buffer.from("0\r\n\r\n");

for await (const line of createInterface({ input: process.stdin })) {
  const order = JSON.parse(line);
  try {
    say(await (order.streams === true ? stream(order) : ask(order)));
  } catch (error) {
    say({ error: error.message });
  }
}

/** Many answers, one behind the other on each connection. */
async function ask({ port, request, connections, count }) {
  const sockets = await open(port, connections);
  const bytes = Buffer.from(request);
  let toSend = count;
  let sample;
  const run = (socket) =>
    settled(socket, (resolve, reject) => {
      let rest = Buffer.alloc(0);
      const next = () => (toSend-- > 0 ? socket.write(bytes) : resolve());
      socket.on("data", (piece) => {
        rest = rest.length === 0 ? piece : Buffer.concat([rest, piece]);
        const headEnd = rest.indexOf(HEAD_END);
        if (headEnd === -1) return;
        const head = rest.latin1Slice(0, headEnd);
        if (!head.startsWith("HTTP/1.1 200 ")) return reject(new Error(rest.toString("utf8")));
        const bodyAt = headEnd + HEAD_END.length;
        const end = bodyAt + Number(/\r\ncontent-length: (\d+)/i.exec(head)?.[1]);
        if (!(rest.length >= end)) return;
        sample ??= rest.toString("utf8", bodyAt, end);
        // Nothing is pipelined: what follows an answer belongs to nobody.
        rest = Buffer.alloc(0);
        next();
      });
      next();
    });
  return { ms: await timed(sockets, run), sample };
}

/** One event stream on each of many connections. */
async function stream({ port, request, connections, folder }) {
  const sockets = await open(port, connections);
  const bytes = Buffer.from(request);
  const bodies = sockets.map(() => []);
  const run = (socket, index) =>
    settled(socket, (resolve) => {
      socket.on("data", (piece) => {
        bodies[index].push(piece);
        // The last chunk is written by itself, or at the end of a piece.
        if (piece.length >= LAST_CHUNK.length ? piece.subarray(-LAST_CHUNK.length).equals(LAST_CHUNK) : isOver(bodies[index])) resolve();
      });
      socket.write(bytes);
    });
  const ms = await timed(sockets, run);
  for (const [index, pieces] of bodies.entries()) writeFileSync(join(folder, String(index)), Buffer.concat(pieces));
  return { ms };
}

function isOver(pieces) {
  return Buffer.concat(pieces.slice(-LAST_CHUNK.length)).subarray(-LAST_CHUNK.length).equals(LAST_CHUNK);
}

async function open(port, connections) {
  const sockets = Array.from({ length: connections }, () => connect(port, "127.0.0.1").setNoDelay(true));
  await Promise.all(sockets.map((socket) => once(socket, "connect")));
  return sockets;
}

/** Milliseconds until every socket has done its part. */
async function timed(sockets, run) {
  const started = performance.now();
  try {
    await Promise.all(sockets.map(run));
    return performance.now() - started;
  } finally {
    for (const socket of sockets) socket.destroy();
  }
}

/** A promise that a socket which ends before its time rejects. */
function settled(socket, start) {
  return new Promise((resolve, reject) => {
    socket.once("error", reject).once("close", () => reject(new Error("the server has closed the connection")));
    start(resolve, reject);
  });
}

function say(message) {
  process.stdout.write(`${JSON.stringify(message)}\n`);
}
