/**
 * The least that the routes which are measured can do on node:http: no keys, no limits, no validation, no
 * sessions. Answers have the shape of the real ones.
 *
 * `GET /health`; `POST /v1/completions` with the prompt itself as the answer, or, where the model is
 * `openai:…`, with that of the model server (whose address is the first argument), as a whole or, with
 * `stream: true`, as it comes. Says `{"port":…}` at first. Ends when stdin does.
 */
import { randomUUID } from "node:crypto";
import { Agent, createServer, request as ask } from "node:http";

const [baseUrl] = process.argv.slice(2);
const agent = new Agent({ keepAlive: true });
const JSON_HEAD = { "content-type": "application/json; charset=utf-8" };

const server = createServer((request, response) => {
  if (request.url === "/health") return sendJson(response, { status: "ok" });
  let text = "";
  request.setEncoding("utf8").on("data", (piece) => {
    text += piece;
  });
  request.on("end", () => complete(JSON.parse(text), response));
});
server.listen(0, "127.0.0.1", () => process.stdout.write(`${JSON.stringify({ port: server.address().port })}\n`));
process.stdin.on("end", () => process.exit(0)).resume();

function complete({ model, prompt, stream }, response) {
  if (!model.startsWith("openai:")) return sendJson(response, answerOf(prompt));
  const write = stream === true ? eventsTo(response) : undefined;
  let answer = "";
  const onDelta = (text) => {
    answer += text;
    return write?.("assistant_delta", { text });
  };
  askModel(model.slice(model.indexOf(":") + 1), prompt, response, onDelta, () => {
    if (write === undefined) return sendJson(response, answerOf(answer));
    write("finished", { outcome: { turns: 1, tool_calls: 0, compressed: false } });
    response.end();
  });
}

/** Calls `onDelta` with each piece of the answer; where it gives false, the model server waits until the client has read. */
function askModel(model, prompt, client, onDelta, onEnd) {
  const body = JSON.stringify({ model, stream: true, messages: [{ role: "user", content: prompt }] });
  const headers = { "content-type": "application/json", "content-length": Buffer.byteLength(body) };
  ask(`${baseUrl}/chat/completions`, { method: "POST", agent, headers }, (answer) => {
    let rest = "";
    answer.setEncoding("utf8").on("data", (piece) => {
      const lines = (rest + piece).split("\n");
      rest = lines.pop();
      for (const line of lines) {
        if (!line.startsWith("data: ") || line === "data: [DONE]") continue;
        const delta = JSON.parse(line.slice(6)).choices[0].delta.content;
        if (delta !== undefined) onDelta(delta);
      }
      if (!client.writableNeedDrain) return;
      answer.pause();
      client.once("drain", () => answer.resume());
    });
    answer.on("end", onEnd);
  }).end(body);
}

function eventsTo(response) {
  response.writeHead(200, { "content-type": "text/event-stream; charset=utf-8" });
  const write = (event, data) => response.write(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`);
  write("started", { request_id: randomUUID(), session_id: null });
  return write;
}

function answerOf(text) {
  return {
    request_id: randomUUID(),
    session_id: null,
    final_message: text,
    tool_calls: [],
    turns: 1,
    compressed: false,
    auto_continued: 0,
    usage: null,
  };
}

function sendJson(response, body) {
  const text = JSON.stringify(body);
  response.writeHead(200, { ...JSON_HEAD, "content-length": Buffer.byteLength(text) }).end(text);
}
