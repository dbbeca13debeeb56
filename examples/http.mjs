// The HTTP listener beside stdin: a prompt is answered over HTTP, and the host finds the session through its pipes.
import { spawn } from "steerable-sidecar/client";

// Port 0 takes a free one.
const sidecar = await spawn({ args: ["--http", "127.0.0.1:0"], storagePath: ":memory:", logLevel: "ERROR" });

try {
  // Where it listens, and a token that was made for this run.
  const { http } = await sidecar.listenInfo();
  const post = (path, body) =>
    fetch(http.url + path, {
      method: "POST",
      headers: { authorization: `Bearer ${http.token}`, "content-type": "application/json" },
      body: JSON.stringify(body),
    });

  // `echo` says the prompt back, so that no key is needed. With a real model: "openai:gpt-4o-mini".
  const session = await (await post("/v1/sessions", { alias: "shopping", model: "echo:any" })).json();
  console.log(`the session is   ${session.alias}, with ${session.model}`);

  process.stdout.write("the model says   ");
  const answer = await post(`/v1/sessions/${session.id}/completions`, { prompt: "Milk, bread, a good book.", stream: true });
  for await (const { event, data } of eventsOf(answer)) {
    if (event === "assistant_delta") process.stdout.write(data.text);
    if (event === "error") throw new Error(data.error.message);
    if (event === "finished") console.log(`\nit was asked     ${data.outcome.turns} time`);
  }

  const { messages } = await sidecar.sessions.get(session.id);
  console.log(`the host finds   ${messages.map(({ role }) => role).join(", ")}`);
} finally {
  await sidecar.stop();
}

/** Server-sent events as they come. */
async function* eventsOf(response) {
  let rest = "";
  for await (const text of response.body.pipeThrough(new TextDecoderStream())) {
    const blocks = (rest + text).split("\n\n");
    rest = blocks.pop();
    for (const block of blocks) {
      const fields = Object.fromEntries(block.split("\n").map((line) => line.split(/: (.*)/, 2)));
      // What is no event is a comment that keeps the connection open.
      if (fields.event !== undefined) yield { event: fields.event, data: JSON.parse(fields.data) };
    }
  }
}
