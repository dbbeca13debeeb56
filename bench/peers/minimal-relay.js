/**
 * The least that a relay from a model server to stdout can do: node:http, lines split, each delta
 * parsed and written as the notification that the sidecar sends, one write for each turn of the loop.
 *
 * Every line on stdin, `{"streamId":…,"model":…}`, starts one stream. Ends when stdin does.
 */
import { Agent, request } from "node:http";

const [baseUrl] = process.argv.slice(2);
const agent = new Agent({ keepAlive: true });

process.stdout.write(`${JSON.stringify({ jsonrpc: "2.0", method: "lifecycle.ready" })}\n`);

let rest = "";
process.stdin.setEncoding("utf8").on("data", (text) => {
  const lines = (rest + text).split("\n");
  rest = lines.pop();
  for (const line of lines) relay(JSON.parse(line));
});
process.stdin.on("end", () => process.exit(0));

/** Responses that wait for the host. */
const paused = new Set();
let out = "";

function relay({ streamId, model }) {
  const body = JSON.stringify({ model, stream: true, messages: [{ role: "user", content: "Go" }] });
  const headers = { "content-type": "application/json", "content-length": body.length };
  request(`${baseUrl}/chat/completions`, { method: "POST", agent, headers }, (response) => {
    let seq = 0;
    let cut = "";
    response.setEncoding("utf8").on("data", (text) => {
      const lines = (cut + text).split("\n");
      cut = lines.pop();
      for (const line of lines) {
        if (!line.startsWith("data: ")) continue;
        if (line === "data: [DONE]") {
          send({ jsonrpc: "2.0", method: "stream.done", params: { streamId, seq: seq++, ok: true } });
          continue;
        }
        const delta = JSON.parse(line.slice(6)).choices[0].delta.content;
        if (delta !== undefined) send({ jsonrpc: "2.0", method: "stream.chunk", params: { streamId, seq: seq++, delta } });
      }
      if (!process.stdout.writableNeedDrain) return;
      response.pause();
      paused.add(response);
    });
  }).end(body);
}

function send(frame) {
  if (out === "") setImmediate(flush);
  out += `${JSON.stringify(frame)}\n`;
}

function flush() {
  process.stdout.write(out);
  out = "";
}

process.stdout.on("drain", () => {
  for (const response of paused) response.resume();
  paused.clear();
});
